// SPDX-License-Identifier: Apache-2.0
//! passive-client-*.json of mlswg/mls-implementations. The files are not in the tree (2.5 MB): they
//! are read from PARLEY_MLS_VECTORS, by default ../shared/vectors/mls beside the tree, and a test
//! without them says so.

use std::path::PathBuf;

use super::*;

fn hex(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap().as_bytes();
    let digit = |at: usize| (text[at] as char).to_digit(16).unwrap() as u8;
    (0..text.len()).step_by(2).map(|at| digit(at) << 4 | digit(at + 1)).collect()
}

fn folder() -> PathBuf {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/vectors/mls");
    std::env::var_os("PARLEY_MLS_VECTORS").map_or(beside.into(), PathBuf::from)
}

/// One client, from its key package through all epochs.
fn run(vector: &Value) {
    let mut context = Context::open(&[1, 1, 0, 1]).unwrap();
    for psk in vector["external_psks"].as_array().unwrap() {
        super::psk(&context, &hex(&psk["psk_id"]), &hex(&psk["psk"])).unwrap();
    }
    let (init, encryption) = (hex(&vector["init_priv"]), hex(&vector["encryption_priv"]));
    import(&context, &hex(&vector["key_package"]), &init, &encryption).unwrap();
    let tree = if vector["ratchet_tree"].is_null() { vec![] } else { hex(&vector["ratchet_tree"]) };
    let mut group = join(&context, &hex(&vector["welcome"]), &tree).unwrap();
    assert_eq!(group.authenticator(), hex(&vector["initial_epoch_authenticator"]));
    for epoch in vector["epochs"].as_array().unwrap() {
        let proposals = epoch["proposals"].as_array().unwrap().iter();
        for message in proposals.chain([&epoch["commit"]]) {
            process(&context, &mut group, &hex(message)).unwrap();
        }
        assert_eq!(group.authenticator(), hex(&epoch["epoch_authenticator"]));
    }
    context.drop_delta().unwrap();
}

fn all(name: &str, expected: usize) {
    crate::world::World::new(1);
    let path = folder().join(name);
    let Ok(text) = std::fs::read(&path) else {
        println!("SKIPPED: {expected} vectors, {} is not there", path.display());
        return;
    };
    let vectors: Value = serde_json::from_slice(&text).unwrap();
    let vectors = vectors.as_array().unwrap();
    // Suites 1 to 3 only: the files are cut to them.
    for vector in vectors {
        run(vector);
    }
    println!("{name}: {} vectors", vectors.len());
    assert_eq!(vectors.len(), expected);
}

#[test]
fn passive_client_welcome() {
    all("passive-client-welcome.json", 24);
}

#[test]
fn passive_client_handling_commit() {
    all("passive-client-handling-commit.json", 39);
}

#[test]
fn passive_client_random() {
    all("passive-client-random.json", 1);
}
