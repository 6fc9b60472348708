// SPDX-License-Identifier: Apache-2.0
//! On wasm32 there is one heap, that of the C library: the client's C code and the crate are one
//! module.
use core::alloc::{GlobalAlloc, Layout};

extern "C" {
    fn malloc(n: usize) -> *mut u8;
    fn free(p: *mut u8);
    fn realloc(p: *mut u8, n: usize) -> *mut u8;
    fn aligned_alloc(align: usize, n: usize) -> *mut u8;
}

/// What `malloc` of wasi-libc aligns to.
const ALIGN: usize = 16;

struct CHeap;

// SAFETY: the C library's heap keeps the contract of GlobalAlloc; alignments above its own go
// through aligned_alloc, whose size is a multiple of the alignment as C asks.
unsafe impl GlobalAlloc for CHeap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() <= ALIGN {
            // SAFETY: any size may be asked for.
            unsafe { malloc(layout.size()) }
        } else {
            // SAFETY: the alignment is a power of two, the size a multiple of it.
            unsafe { aligned_alloc(layout.align(), layout.size().next_multiple_of(layout.align())) }
        }
    }

    unsafe fn dealloc(&self, p: *mut u8, _: Layout) {
        // SAFETY: it came from `alloc`.
        unsafe { free(p) }
    }

    unsafe fn realloc(&self, p: *mut u8, layout: Layout, n: usize) -> *mut u8 {
        if layout.align() <= ALIGN {
            // SAFETY: it came from malloc.
            return unsafe { realloc(p, n) };
        }
        // SAFETY: the caller gives a size that fits the layout; old and new do not overlap.
        unsafe {
            let new = self.alloc(Layout::from_size_align_unchecked(n, layout.align()));
            if !new.is_null() {
                core::ptr::copy_nonoverlapping(p, new, layout.size().min(n));
                free(p);
            }
            new
        }
    }
}

#[global_allocator]
static HEAP: CHeap = CHeap;
