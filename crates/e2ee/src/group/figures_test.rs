// SPDX-License-Identifier: Apache-2.0
//! Figures of e2ee §17 for groups, printed; run by hand, in release:
//! `cargo test --release --locked figures -- --ignored --nocapture`.

use std::time::Instant;

use super::*;
use crate::world::{Wish, World, CHAT};

/// The best of five, in microseconds: others are at work on the machine.
fn best(mut call: impl FnMut()) -> u128 {
    let mut time = || {
        let begin = Instant::now();
        call();
        begin.elapsed().as_micros()
    };
    (0..5).map(|_| time()).min().unwrap_or(0)
}

/// 8 people with 8 devices each, all of them in.
#[test]
#[ignore]
fn figures() {
    let mut w = World::new(1);
    let firsts: Vec<usize> = (1..=8).map(|n| w.person(n)).collect();
    let mut others = Vec::new();
    for user in 1..=8 {
        (2..=8).for_each(|n| others.push(w.device([user; 16], n)));
    }
    let policy = w.group(&firsts, &others);
    let lists = w.all();
    // Every fourth leaf has committed once: the tree is somewhat as it is in life.
    for by in (0..w.devs.len()).step_by(4) {
        let wish = Wish { mid: [by as u8; 16], ..Wish::default() };
        let told = wish.told(&policy);
        let bundle = w.devs[by].commit(&wish, &lists).unwrap();
        w.devs[by].confirm().unwrap();
        for dev in (0..w.devs.len()).filter(|dev| *dev != by) {
            w.devs[dev].follow(&bundle.commit, &told, &lists).unwrap();
        }
    }
    let told = Wish::default().told(&policy);
    let wish = Wish::default();
    let build = best(|| {
        w.devs[0].commit(&wish, &lists).unwrap();
        w.devs[0].discard().unwrap();
    });
    let bundle = w.devs[0].commit(&wish, &lists).unwrap();
    let ctx = &mut w.devs[0].ctx;
    let confirmed =
        ctx.mutate(|c| commit::confirm(c, &CHAT, 1)).map(|_| w.devs[0].flush()).unwrap();
    let dev = &mut w.devs[1];
    let process = best(|| {
        dev.process(&bundle.commit, &told).unwrap();
        process::reject(&mut dev.ctx, &CHAT, 1).unwrap();
    });
    dev.process(&bundle.commit, &told).unwrap();
    let begin = Instant::now();
    let applied = dev.ctx.mutate(|c| process::apply(c, &CHAT, 1, &lists)).map(|_| dev.flush());
    let apply = begin.elapsed().as_micros();
    let rows = dev.rows(|key| key[0] == crate::rows::KEY_GROUP);
    let load = best(|| {
        unload(&mut dev.ctx, &CHAT, 1).unwrap();
        load(&mut dev.ctx, &CHAT, 1, &rows).unwrap();
    });
    let info = group_info(&dev.ctx, dev.group()).unwrap();
    let join = best(|| {
        delta_free_join(&mut w, &info, &lists);
    });
    println!(
        "64 leaves, µs: build {build}, process {process}, apply {apply}, load {load}, join {join}"
    );
    println!(
        "64 leaves, B: commit {}, group info {}, deltas: confirm {confirmed}, apply {}; rows {}",
        bundle.commit.len(),
        info.len(),
        applied.unwrap(),
        rows.len()
    );
}

/// An external join by a device that has forgotten the group.
fn delta_free_join(w: &mut World, info: &[u8], lists: &[u8]) {
    let dev = &mut w.devs[2];
    if dev.ctx.groups.find(&CHAT, 1).is_ok() {
        dev.call(|c| delete(c, &CHAT, 1)).unwrap();
    }
    dev.external(info, lists, [1; 16]).unwrap();
}
