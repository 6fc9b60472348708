// SPDX-License-Identifier: Apache-2.0
//! group: chats as MLS groups.
use std::ffi::c_int;

use super::{id, input, output, with, Buf};
use crate::context::Context;
use crate::group::{self, commit, join, process};

#[no_mangle]
pub unsafe extern "C" fn pe_grp_create(
    ctx: *mut Context,
    chat_id: *const u8,
    gen: u16,
    suite: u16,
    policy: *const u8,
    policy_n: usize,
    kps: *const u8,
    kps_n: usize,
    dl_states: *const u8,
    dl_states_n: usize,
    bundle: *mut Buf,
) -> c_int {
    // SAFETY: as the header says.
    unsafe {
        with(ctx, |context| {
            let out = output(bundle)?;
            let (chat, policy) = (id(chat_id)?, input(policy, policy_n)?);
            let (kps, lists) = (input(kps, kps_n)?, input(dl_states, dl_states_n)?);
            let made =
                context.mutate(|c| commit::create(c, (chat, gen), suite, policy, kps, lists))?;
            out.set(&made);
            Ok(())
        })
    }
}

#[no_mangle]
pub unsafe extern "C" fn pe_grp_load(
    ctx: *mut Context,
    chat_id: *const u8,
    gen: u16,
    rows: *const u8,
    rows_n: usize,
) -> c_int {
    // SAFETY: as the header says.
    unsafe { with(ctx, |context| group::load(context, id(chat_id)?, gen, input(rows, rows_n)?)) }
}

#[no_mangle]
pub unsafe extern "C" fn pe_grp_unload(ctx: *mut Context, chat_id: *const u8, gen: u16) -> c_int {
    // SAFETY: as the header says.
    unsafe { with(ctx, |context| group::unload(context, id(chat_id)?, gen)) }
}

#[no_mangle]
pub unsafe extern "C" fn pe_grp_delete(ctx: *mut Context, chat_id: *const u8, gen: u16) -> c_int {
    // SAFETY: as the header says.
    unsafe {
        with(ctx, |context| {
            let chat = id(chat_id)?;
            context.mutate(|c| group::delete(c, chat, gen))
        })
    }
}

#[no_mangle]
pub unsafe extern "C" fn pe_grp_join_welcome(
    ctx: *mut Context,
    welcome: *const u8,
    welcome_n: usize,
    dl_states: *const u8,
    dl_states_n: usize,
    info: *mut Buf,
) -> c_int {
    // SAFETY: as the header says.
    unsafe {
        with(ctx, |context| {
            let out = output(info)?;
            let (welcome, lists) = (input(welcome, welcome_n)?, input(dl_states, dl_states_n)?);
            out.set(&context.mutate(|c| join::welcome(c, welcome, lists))?);
            Ok(())
        })
    }
}

#[no_mangle]
pub unsafe extern "C" fn pe_grp_join_external(
    ctx: *mut Context,
    group_info: *const u8,
    group_info_n: usize,
    dl_states: *const u8,
    dl_states_n: usize,
    aad: *const u8,
    aad_n: usize,
    bundle: *mut Buf,
) -> c_int {
    // SAFETY: as the header says.
    unsafe {
        with(ctx, |context| {
            let out = output(bundle)?;
            let (info, lists) = (input(group_info, group_info_n)?, input(dl_states, dl_states_n)?);
            let aad = input(aad, aad_n)?;
            out.set(&context.mutate(|c| join::external(c, info, lists, aad))?);
            Ok(())
        })
    }
}

#[no_mangle]
pub unsafe extern "C" fn pe_grp_commit(
    ctx: *mut Context,
    chat_id: *const u8,
    gen: u16,
    change: *const u8,
    change_n: usize,
    aad: *const u8,
    aad_n: usize,
    bundle: *mut Buf,
) -> c_int {
    // SAFETY: as the header says.
    unsafe {
        with(ctx, |context| {
            let out = output(bundle)?;
            let (chat, change, aad) = (id(chat_id)?, input(change, change_n)?, input(aad, aad_n)?);
            out.set(&context.mutate(|c| commit::commit(c, chat, gen, change, aad))?);
            Ok(())
        })
    }
}

#[no_mangle]
pub unsafe extern "C" fn pe_grp_confirm(
    ctx: *mut Context,
    chat_id: *const u8,
    gen: u16,
    info: *mut Buf,
) -> c_int {
    // SAFETY: as the header says.
    unsafe {
        with(ctx, |context| {
            let (out, chat) = (output(info)?, id(chat_id)?);
            out.set(&context.mutate(|c| commit::confirm(c, chat, gen))?);
            Ok(())
        })
    }
}

#[no_mangle]
pub unsafe extern "C" fn pe_grp_discard(ctx: *mut Context, chat_id: *const u8, gen: u16) -> c_int {
    // SAFETY: as the header says.
    unsafe {
        with(ctx, |context| {
            let chat = id(chat_id)?;
            context.mutate(|c| commit::discard(c, chat, gen))
        })
    }
}

#[no_mangle]
pub unsafe extern "C" fn pe_grp_process(
    ctx: *mut Context,
    chat_id: *const u8,
    gen: u16,
    commit: *const u8,
    commit_n: usize,
    told: *const u8,
    told_n: usize,
    staged: *mut Buf,
) -> c_int {
    // SAFETY: as the header says.
    unsafe {
        with(ctx, |context| {
            let out = output(staged)?;
            let (chat, commit, told) =
                (id(chat_id)?, input(commit, commit_n)?, input(told, told_n)?);
            out.set(&process::process(context, chat, gen, commit, told)?);
            Ok(())
        })
    }
}

#[no_mangle]
pub unsafe extern "C" fn pe_grp_apply(
    ctx: *mut Context,
    chat_id: *const u8,
    gen: u16,
    dl_states: *const u8,
    dl_states_n: usize,
    info: *mut Buf,
) -> c_int {
    // SAFETY: as the header says.
    unsafe {
        with(ctx, |context| {
            let (out, chat) = (output(info)?, id(chat_id)?);
            let lists = input(dl_states, dl_states_n)?;
            out.set(&context.mutate(|c| process::apply(c, chat, gen, lists))?);
            Ok(())
        })
    }
}

#[no_mangle]
pub unsafe extern "C" fn pe_grp_reject(ctx: *mut Context, chat_id: *const u8, gen: u16) -> c_int {
    // SAFETY: as the header says.
    unsafe { with(ctx, |context| process::reject(context, id(chat_id)?, gen)) }
}

#[no_mangle]
pub unsafe extern "C" fn pe_grp_info(
    ctx: *mut Context,
    chat_id: *const u8,
    gen: u16,
    what: u32,
    out: *mut Buf,
) -> c_int {
    // SAFETY: as the header says.
    unsafe {
        with(ctx, |context| {
            output(out)?.set(&group::info(context, id(chat_id)?, gen, what)?);
            Ok(())
        })
    }
}

#[no_mangle]
pub unsafe extern "C" fn pe_epoch_key(
    ctx: *mut Context,
    chat_id: *const u8,
    gen: u16,
    key: *mut Buf,
) -> c_int {
    // SAFETY: as the header says.
    unsafe {
        with(ctx, |context| {
            output(key)?.set(&group::epoch_key(context, id(chat_id)?, gen)?);
            Ok(())
        })
    }
}
