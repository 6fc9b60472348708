// SPDX-License-Identifier: Apache-2.0
//! The host of the crate's own tests: `parley_random` by a seed, for each thread, so that tests run
//! beside each other and a failure comes again; and a heap that notices secrets in freed memory.
#![allow(unsafe_code)]
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, RefCell};

thread_local! {
    static SEED: Cell<u64> = const { Cell::new(1) };
    static BROKEN: Cell<bool> = const { Cell::new(false) };
    static NEEDLES: RefCell<Vec<[u8; 32]>> = const { RefCell::new(Vec::new()) };
    static FOUND: Cell<usize> = const { Cell::new(0) };
    static LOOKING: Cell<bool> = const { Cell::new(false) };
}

/// From here on the thread's randomness follows from the seed.
pub(crate) fn seed(seed: u64) {
    SEED.with(|state| state.set(seed));
}

/// While `broken`, the host gives no randomness.
pub(crate) fn break_random(broken: bool) {
    BROKEN.with(|state| state.set(broken));
}

/// splitmix64: good enough to be different each time.
fn next() -> u64 {
    SEED.with(|state| {
        let now = state.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        state.set(now);
        let mixed = (now ^ (now >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    })
}

#[no_mangle]
extern "C" fn parley_random(p: *mut u8, n: usize) -> i32 {
    if BROKEN.with(Cell::get) {
        return -1;
    }
    // SAFETY: the crate asks for n bytes at a slice of its own.
    let out = unsafe { std::slice::from_raw_parts_mut(p, n) };
    for chunk in out.chunks_mut(8) {
        let bytes = next().to_le_bytes();
        chunk.copy_from_slice(&bytes[..chunk.len()]);
    }
    0
}

/// Runs `call` and counts the blocks of the heap that this thread gave back with one of the secrets
/// still in it.
pub(crate) fn freed_with(secrets: &[[u8; 32]], call: impl FnOnce()) -> usize {
    NEEDLES.with(|needles| *needles.borrow_mut() = secrets.to_vec());
    FOUND.with(|found| found.set(0));
    LOOKING.with(|looking| looking.set(true));
    call();
    LOOKING.with(|looking| looking.set(false));
    FOUND.with(Cell::get)
}

struct Watched;

fn look(p: *mut u8, n: usize) {
    if n < 32 || !LOOKING.try_with(Cell::get).unwrap_or(false) {
        return;
    }
    // SAFETY: the block is still its owner's; whatever lies in it is looked at as bytes.
    let block = unsafe { std::slice::from_raw_parts(p, n) };
    NEEDLES.with(|needles| {
        for needle in needles.borrow().iter() {
            if block.windows(32).any(|window| window == needle) {
                FOUND.with(|found| found.set(found.get() + 1));
            }
        }
    });
}

// SAFETY: everything is the system's; what is given back is looked at before.
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, p: *mut u8, layout: Layout) {
        look(p, layout.size());
        // SAFETY: passed on.
        unsafe { System.dealloc(p, layout) }
    }

    unsafe fn realloc(&self, p: *mut u8, layout: Layout, n: usize) -> *mut u8 {
        look(p, layout.size());
        // SAFETY: passed on.
        unsafe { System.realloc(p, layout, n) }
    }
}

#[global_allocator]
static HEAP: Watched = Watched;

/// A context with an account, a device and its first list.
pub(crate) struct Person {
    pub context: crate::context::Context,
    pub rk: [u8; 32],
    /// What `pe_devlist_verify` said of the list.
    pub state: Vec<u8>,
    pub list: Vec<u8>,
}

/// The same every time: user and device are `number`, all keys follow from it.
pub(crate) fn person(number: u8) -> Person {
    use crate::{account, devlist};
    seed(u64::from(number));
    let mut context = crate::context::Context::open(&[1, 1, 0, 1]).unwrap();
    let rk = *context.mutate(|context| account::create(context, &[number; 16])).unwrap();
    context.rows.take();
    let sigpub =
        context.mutate(|context| account::create_device(context, &[number; 16], 7)).unwrap();
    context.rows.take();
    let change = change(0, "ann", &[(number, sigpub)], &[]);
    let list = devlist::sign(context.account().unwrap(), &[], &change).unwrap();
    let state = devlist::verify_chain(&listed(&[&list]), &[]).unwrap().write();
    Person { context, rk, state, list }
}

/// A list of items.
pub(crate) fn listed(items: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    for item in items {
        crate::wire::put_long(&mut out, item);
    }
    out
}

/// A change of a device list; ids are one byte, 16 times, names are the same byte.
pub(crate) fn change(
    flags: u8,
    username: &str,
    added: &[(u8, [u8; 32])],
    removed: &[u8],
) -> Vec<u8> {
    let mut out = vec![flags, 0, 0, 0, 0, 0, 0, 1, 2, username.len() as u8];
    out.extend_from_slice(username.as_bytes());
    out.push(added.len() as u8);
    for (id, sigpub) in added {
        out.extend_from_slice(&[*id; 16]);
        out.extend_from_slice(sigpub);
        out.extend_from_slice(&[7, 1, *id]);
    }
    out.push(removed.len() as u8);
    for id in removed {
        out.extend_from_slice(&[*id; 16]);
    }
    out
}
