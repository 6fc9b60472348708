// SPDX-License-Identifier: Apache-2.0
//! The vectors in `vectors/`: what the crate makes from fixed keys must be what stands there, and
//! tests/e2ee/vectors_test.c makes the same with other libraries. PARLEY_VECTORS=write writes them.
use std::fmt::Write;
use std::path::PathBuf;

use crate::account;
use crate::content::{self, HEADER_BYTES};
use crate::credential::Credential;
use crate::devlist;
use crate::recovery;
use crate::testing::{change, listed, person, seed, Person};
use crate::vault;

/// One file: lines `name hex`, an empty line between cases.
struct Vectors(String);

impl Vectors {
    fn new() -> Self {
        Vectors(
            "# Written by crates/e2ee (src/vectors_test.rs). A case ends at an empty line.\n"
                .into(),
        )
    }

    fn add(&mut self, name: &str, bytes: &[u8]) {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(self.0, "{name} {}", if hex.is_empty() { "-" } else { &hex }).unwrap();
    }

    fn end(&mut self) {
        self.0.push('\n');
    }

    fn check(self, name: &str) {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors").join(name);
        if std::env::var("PARLEY_VECTORS").is_ok_and(|what| what == "write") {
            std::fs::write(&path, &self.0).unwrap();
        }
        assert!(std::fs::read_to_string(&path).unwrap() == self.0, "{} is of another time", name);
    }
}

fn aik_seed(who: &Person) -> [u8; 32] {
    *who.context.opened.as_ref().unwrap().aik.seed()
}

#[test]
fn vaults() {
    let mut out = Vectors::new();
    for rotations in 0..3 {
        let mut ann = person(40 + rotations);
        let aik = aik_seed(&ann);
        let rk = ann.rk;
        let mut sealed = account::seal_vault(&mut ann.context, &rk, 1).unwrap();
        for _ in 0..rotations {
            let user = ann.context.account().unwrap().user;
            ann.context.mutate(|context| account::recover(context, &user, &rk, &sealed)).unwrap();
            ann.context.rows.take();
            sealed = ann.context.mutate(|context| account::rotate(context, &rk)).unwrap().vault;
            ann.context.rows.take();
        }
        let account = ann.context.account().unwrap();
        out.add("rk", &rk);
        out.add("text", recovery::text(&rk).as_bytes());
        out.add("rk_id", &vault::rk_id(&rk));
        out.add("user", &account.user);
        out.add("ver", &(u32::from(rotations) + 1).to_be_bytes());
        out.add("aik_seed", &aik);
        out.add("dsk_seed", account.dsk.seed());
        out.add("dsk_ver", &account.dsk_ver.to_be_bytes());
        out.add("backup_keys", &account::write_backup_keys(&account.backup_keys));
        out.add("vault", &sealed);
        out.end();
    }
    out.check("vault.txt");
}

#[test]
fn device_lists() {
    let mut out = Vectors::new();
    let ann = person(50);
    let (account, device) = (ann.context.account().unwrap(), ann.context.device().unwrap());
    let mut state = Vec::new();
    let own = (50, device.key.public());
    for change in [
        change(0, "ann", &[own], &[]),
        change(0, "", &[(51, [1; 32]), (52, [2; 32])], &[]),
        change(0, "", &[(53, [3; 32]), (52, [2; 32])], &[51]),
        change(0, "", &[], &[52, 53]),
        change(0, "", &[], &[50]),
    ] {
        let list = devlist::sign(account, &state, &change).unwrap();
        state = devlist::verify_chain(&listed(&[&list]), &state).unwrap().write();
        out.add("aik_seed", &aik_seed(&ann));
        out.add("dsk_seed", account.dsk.seed());
        out.add("list", &list);
        out.add("state", &state);
        out.end();
    }
    out.check("devlist.txt");
    let mut out = Vectors::new();
    out.add("dsk_seed", account.dsk.seed());
    out.add("sigpub", &device.key.public());
    out.add("credential", &Credential::own(account, device).write());
    out.end();
    out.check("credential.txt");
}

#[test]
fn messages() {
    let mut out = Vectors::new();
    let ann = person(60);
    let keys = (ann.context.account().unwrap(), ann.context.device().unwrap());
    for (number, size) in [0usize, 1, 63, 64, 200, 1000, 4097].into_iter().enumerate() {
        seed(600 + number as u64);
        let k = crate::random::secret().unwrap();
        let kind = [0, 1, 2, 3, 4][number % 5];
        let (sctr, mid) =
            if kind == 2 { (0, [0; 16]) } else { (0x0102_0304 + number as u64, [9; 16]) };
        let mut header = vec![1, kind];
        header.extend_from_slice(&[0xc4; 16]);
        header.extend_from_slice(&[1, number as u8 + 1]);
        header.extend_from_slice(&(7 << 40 | number as u64).to_be_bytes());
        header.extend_from_slice(&keys.1.id);
        header.extend_from_slice(&sctr.to_be_bytes());
        header.resize(HEADER_BYTES, 0);
        let said: Vec<u8> = (0..size).map(|at| (at * 7 + number) as u8).collect();
        let envelope = content::seal(keys, &k, &header, &mid, &said).unwrap();
        out.add("k", &k[..]);
        out.add("user", &keys.0.user);
        out.add("mid", &mid);
        out.add("device_seed", keys.1.key.seed());
        out.add("content", &said);
        out.add("envelope", &envelope);
        out.add("m", &content::reveal(&k, (&keys.0.user, &mid), &envelope).unwrap()[..]);
        out.end();
    }
    out.check("content.txt");
}
