// SPDX-License-Identifier: Apache-2.0
use zeroize::Zeroizing;

use super::*;
use crate::error::Code;

fn value(text: &str) -> Value {
    Zeroizing::new(text.as_bytes().to_vec())
}

fn put(key: &[u8], text: &str) -> Vec<u8> {
    let mut out = vec![1, 0, key.len() as u8];
    out.extend_from_slice(key);
    out.extend_from_slice(&(text.len() as u32).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
    out
}

fn loaded() -> Rows {
    let rows = Rows::default();
    rows.load(&[put(&[1], "one"), put(&[2, 7], "two")].concat(), |_| true).unwrap();
    rows
}

#[test]
fn a_delta_has_what_changed_once() {
    let rows = loaded();
    assert!(rows.take().is_empty());
    rows.begin().unwrap();
    rows.put(&[3], value("three"));
    rows.put(&[3], value("drei"));
    rows.put(&[1], value("one"));
    rows.del(&[2, 7]);
    rows.del(&[9]);
    let wanted = [&[2, 0, 2, 2, 7, 0, 0, 0, 0][..], &put(&[3], "drei")].concat();
    assert_eq!(*rows.take(), wanted);
    assert!(rows.take().is_empty());
}

#[test]
fn the_next_change_waits_for_the_take() {
    let rows = loaded();
    rows.begin().unwrap();
    rows.begin().unwrap(); // nothing changed
    rows.put(&[3], value("three"));
    assert_eq!(rows.begin().unwrap_err().code, Code::State);
    rows.take();
    rows.begin().unwrap();
}

#[test]
fn undo_goes_back_before_the_call() {
    for take in [false, true] {
        let rows = loaded();
        rows.begin().unwrap();
        rows.put(&[1], value("uno"));
        rows.put(&[3], value("three"));
        rows.del(&[2, 7]);
        if take {
            rows.take();
        }
        rows.undo();
        assert_eq!(rows.get(&[1]), Some(value("one")));
        assert_eq!(rows.get(&[2, 7]), Some(value("two")));
        assert_eq!(rows.get(&[3]), None);
        rows.begin().unwrap();
        assert!(rows.take().is_empty());
    }
}

#[test]
fn what_cannot_be_loaded_leaves_nothing() {
    let good = [put(&[1], "one"), put(&[2], "two")].concat();
    let delete = vec![2, 0, 1, 1, 0, 0, 0, 0];
    let long = vec![1, 0, 1, 1, 0xff, 0xff, 0xff, 0xff];
    let nameless = put(&[], "x");
    for bad in (1..good.len()).filter(|at| *at != 11).map(|at| good[..at].to_vec()).chain([
        delete,
        long,
        nameless,
        put(&[0x10], "a group"),
    ]) {
        let rows = Rows::default();
        assert_eq!(rows.load(&bad, |key| key[0] < 0x10).unwrap_err().code, Code::Format);
        assert!(rows.is_empty());
    }
}

#[test]
fn unloading_is_no_change() {
    let rows = loaded();
    rows.unload(&[2]);
    assert_eq!(rows.get(&[2, 7]), None);
    assert_eq!(rows.keys(&[]), [vec![1]]);
    assert!(rows.take().is_empty());
}
