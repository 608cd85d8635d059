//! Conformance: does the signature walk say of Biscuit's own samples what Biscuit's library says, and what does
//! the profile answer to each?
//!
//! The samples are those that the published package of biscuit-auth carries; they are found through Cargo and not copied.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use biscuit_auth::Biscuit;
use biscuit_auth::datalog::SymbolTable;
use prost::Message;
use serde_json::Value;

use super::*;
use crate::capability::Capability;
use crate::chain::RevocationId;
use crate::profile::shape::ShapedBlock;
use Walk::*;

/// What the walk comes to over a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Walk {
    /// Every signature holds, from the root to the proof.
    Holds,
    /// Every signature but the grant's holds; that is of version 0, of which the walk reads none.
    HoldsAfterGrant,
    /// A signature of version 0, of which the walk reads none; Biscuit's library accepts the token.
    Version0,
    /// A key or signature of P-256, of which the walk reads none; Biscuit's library accepts the token.
    P256,
    /// Biscuit's library refuses the token for its signatures or their form, and so does the walk.
    Refused,
}

/// Each sample, what the walk comes to, and what the profile answers: its cause and the block. `docs/vectors.md`
/// has the same table.
const SAMPLES: [(&str, Walk, &str, usize); 38] = [
    ("test001_basic.bc", Version0, "signature_version", 0),
    ("test002_different_root_key.bc", Refused, "signature_version", 0),
    ("test003_invalid_signature_format.bc", Refused, "signature_version", 0),
    ("test004_random_block.bc", Refused, "signature_version", 0),
    ("test005_invalid_signature.bc", Refused, "signature_version", 0),
    ("test006_reordered_blocks.bc", Refused, "signature_version", 0),
    ("test007_scoped_rules.bc", Version0, "signature_version", 0),
    ("test008_scoped_checks.bc", Version0, "signature_version", 0),
    ("test009_expired_token.bc", Version0, "signature_version", 0),
    ("test010_authorizer_scope.bc", Version0, "signature_version", 0),
    ("test011_authorizer_authority_caveats.bc", Version0, "signature_version", 0),
    ("test012_authority_caveats.bc", Version0, "signature_version", 0),
    ("test013_block_rules.bc", Version0, "signature_version", 0),
    ("test014_regex_constraint.bc", Version0, "signature_version", 0),
    ("test015_multi_queries_caveats.bc", Version0, "signature_version", 0),
    ("test016_caveat_head_name.bc", Version0, "signature_version", 0),
    ("test017_expressions.bc", Version0, "signature_version", 0),
    ("test018_unbound_variables_in_rule.bc", Version0, "signature_version", 0),
    ("test019_generating_ambient_from_variables.bc", Version0, "signature_version", 0),
    ("test020_sealed.bc", Version0, "signature_version", 0),
    ("test021_parsing.bc", Version0, "signature_version", 0),
    ("test022_default_symbols.bc", Version0, "signature_version", 0),
    ("test023_execution_scope.bc", Version0, "signature_version", 0),
    ("test024_third_party.bc", HoldsAfterGrant, "signature_version", 0),
    ("test025_check_all.bc", Version0, "signature_version", 0),
    ("test026_public_keys_interning.bc", HoldsAfterGrant, "signature_version", 0),
    ("test027_integer_wraparound.bc", Version0, "signature_version", 0),
    ("test028_expressions_v4.bc", Version0, "signature_version", 0),
    ("test029_reject_if.bc", Holds, "fact", 0),
    ("test030_null.bc", Holds, "fact", 0),
    ("test031_heterogeneous_equal.bc", Holds, "fact", 0),
    ("test032_laziness_closures.bc", Holds, "content", 0),
    ("test033_typeof.bc", Holds, "fact", 0),
    ("test034_array_map.bc", Holds, "fact", 0),
    ("test035_ffi.bc", Holds, "content", 0),
    ("test036_secp256r1.bc", P256, "algorithm", 0),
    ("test037_secp256r1_third_party.bc", P256, "algorithm", 0),
    ("test038_try_op.bc", Holds, "content", 0),
];

/// How many samples there are of each kind, in the order of [`Walk`].
const COUNTS: [(Walk, usize); 5] =
    [(Holds, 8), (HoldsAfterGrant, 2), (Version0, 21), (P256, 2), (Refused, 5)];

/// How many revocation ids the samples state, but for the four of P-256, which are no ids here.
const REVOCATION_IDS: usize = 63;

/// The samples, as the package describes them.
struct Samples {
    folder: PathBuf,
    root: biscuit_auth::PublicKey,
    cases: Vec<Value>,
}

impl Samples {
    fn find() -> Samples {
        let folder = package_folder("biscuit-auth", "6.0.0").join("samples");
        let described = std::fs::read_to_string(folder.join("samples.json")).unwrap();
        let described: Value = serde_json::from_str(&described).unwrap();
        let root = described["root_public_key"].as_str().unwrap();
        let root = hex::decode(root).unwrap();
        let root = biscuit_auth::PublicKey::from_bytes(&root, biscuit_auth::Algorithm::Ed25519);
        let cases = described["testcases"].as_array().unwrap().clone();
        Samples { folder, root: root.unwrap(), cases }
    }

    fn root(&self) -> PublicKey {
        PublicKey::from_bytes(&self.root.to_bytes().try_into().unwrap()).unwrap()
    }

    fn tokens(&self) -> impl Iterator<Item = (&str, Vec<u8>, &Value)> {
        self.cases.iter().map(|case| {
            let name = case["filename"].as_str().unwrap();
            (name, std::fs::read(self.folder.join(name)).unwrap(), case)
        })
    }

    /// Whether Biscuit's library finds the token authentic.
    fn accepted_by_biscuit(&self, token: &[u8]) -> bool {
        Biscuit::from(token, self.root).is_ok()
    }
}

/// Where Cargo keeps the source of a package.
fn package_folder(name: &str, version: &str) -> PathBuf {
    let cargo = |arguments: &[&str]| {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        let output = command.current_dir(env!("CARGO_MANIFEST_DIR")).args(arguments).output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    let about = cargo(&["-vV"]);
    let host = about.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    // Of other platforms, Cargo may never have fetched what they need.
    let metadata = cargo(&[
        "metadata",
        "--offline",
        "--locked",
        "--format-version=1",
        "--filter-platform",
        host,
    ]);
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let package = packages.iter().find(|it| it["name"] == name && it["version"] == version);
    let manifest = package.unwrap()["manifest_path"].as_str().unwrap();
    PathBuf::from(manifest).parent().unwrap().to_owned()
}

/// What the walk needs of a token, where the shape gate would refuse it for what its blocks say; the reason, where
/// the walk has no way to read it.
fn shaped(token: &[u8]) -> Result<Shaped, Walk> {
    let biscuit = schema::Biscuit::decode(token).map_err(|_| Refused)?;
    let ed25519 = schema::public_key::Algorithm::Ed25519 as i32;
    let signature = |bytes: &[u8]| <[u8; 64]>::try_from(bytes).map_err(|_| Refused);
    let block = |signed: &schema::SignedBlock| {
        let signers = signed.external_signature.iter().map(|external| &external.public_key);
        if signers.chain([&signed.next_key]).any(|key| key.algorithm != ed25519) {
            return Err(P256);
        }
        let external = signed.external_signature.as_ref().map(|external| {
            let key = external.public_key.key.as_slice().try_into().map_err(|_| Refused)?;
            let key = PublicKey::from_bytes(key).map_err(|_| Refused)?;
            Ok((key, signature(&external.signature)?))
        });
        Ok(Arc::new(ShapedBlock {
            words: 0,
            facts: Vec::new(),
            symbols: SymbolTable::new(),
            keys: Vec::new(),
            signature: signature(&signed.signature)?,
            external: external.transpose()?,
            checks: Vec::new(),
            written: 0,
        }))
    };
    let blocks = signed_blocks(&biscuit).map(block).collect::<Result<_, _>>()?;
    Ok(Shaped { biscuit, blocks })
}

/// What the walk comes to over a token of which Biscuit's library says whether it is authentic.
fn walk(token: &[u8], root: &PublicKey, accepted: bool) -> Walk {
    let shaped = match shaped(token) {
        Ok(shaped) => shaped,
        Err(reason) => return reason,
    };
    let mut versions = signed_blocks(&shaped.biscuit).map(|block| block.version);
    let first = versions.next().unwrap();
    match verify(&shaped, root) {
        Ok(()) => Holds,
        Err(_) if !accepted => Refused,
        Err(BadSignature { block: 0 }) if first != Some(VERSION) => {
            match versions.next().is_some() && verify_after_grant(&shaped).is_ok() {
                true => HoldsAfterGrant,
                false => Version0,
            }
        }
        Err(BadSignature { block }) => panic!("an authentic token is refused at block {block}"),
    }
}

#[test]
fn the_walk_and_the_profile_answer_to_each_sample_as_the_table_says() {
    let samples = Samples::find();
    let mut answers = Vec::new();
    for (name, token, case) in samples.tokens() {
        let accepted = samples.accepted_by_biscuit(&token);
        let stated = case["validations"].as_object().unwrap().values();
        let stated = stated.map(|validation| &validation["result"]["Err"]["Format"]);
        assert!(stated.clone().all(|format| format.is_null() == accepted), "{name}");
        let refusal = Capability::from_bytes(&token).unwrap_err();
        let walk = walk(&token, &samples.root(), accepted);
        answers.push((name, walk, refusal.cause().as_str(), refusal.block().unwrap()));
    }
    assert_eq!(answers, SAMPLES);
    for (kind, count) in COUNTS {
        assert_eq!(answers.iter().filter(|(_, walk, ..)| *walk == kind).count(), count, "{kind:?}");
    }
}

/// Whatever byte of a token that the walk can read is changed, it says what Biscuit's library says.
#[test]
fn the_walk_agrees_on_every_sample_with_a_byte_changed() {
    let samples = Samples::find();
    let (mut refused, mut accepted) = (0, 0);
    for (name, token, _) in samples.tokens() {
        let Some((_, Holds, ..)) = SAMPLES.iter().find(|(sample, ..)| *sample == name) else {
            continue;
        };
        for at in 0..token.len() {
            for bit in [1, 0x80] {
                let mut changed = token.clone();
                changed[at] ^= bit;
                let theirs = samples.accepted_by_biscuit(&changed);
                let ours = shaped(&changed).is_ok_and(|token| {
                    // Of the version that a block states the walk need not know: the gate lets one through.
                    let mut blocks = signed_blocks(&token.biscuit);
                    blocks.all(|block| block.version == Some(VERSION))
                        && verify(&token, &samples.root()).is_ok()
                });
                assert_eq!(ours, theirs, "{name}: byte {at} ^ {bit}");
                *if theirs { &mut accepted } else { &mut refused } += 1;
            }
        }
    }
    println!("{refused} refused by both, {accepted} accepted by both");
    assert!(refused > 5000, "{refused}");
}

/// Of the two signatures of a block that revocation looks up, the samples state the one made with the throw-away key.
#[test]
fn the_revocation_ids_are_those_that_the_samples_state() {
    let samples = Samples::find();
    let mut compared = 0;
    for (name, token, case) in samples.tokens() {
        let Ok(shaped) = shaped(&token) else { continue };
        let ids = shaped.blocks.iter().map(|block| RevocationId::from_bytes(block.signature));
        let ids: Vec<String> = ids.map(|id| id.to_string()).collect();
        for validation in case["validations"].as_object().unwrap().values() {
            if validation["result"]["Err"]["Format"].is_null() {
                assert_eq!(validation["revocation_ids"], serde_json::json!(ids), "{name}");
                compared += ids.len();
            }
        }
    }
    assert_eq!(compared, REVOCATION_IDS);
}

#[test]
fn the_page_has_the_table_of_the_samples() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/vectors.md"));
    let page = page.unwrap();
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| `test0")).collect();
    let words: BTreeMap<&str, Walk> = BTreeMap::from([
        ("holds", Holds),
        ("holds after the grant", HoldsAfterGrant),
        ("version 0", Version0),
        ("P-256", P256),
        ("refused, as by Biscuit", Refused),
    ]);
    let row = |row: &str| {
        let cells: Vec<String> = row.split('|').map(|cell| cell.trim().replace('`', "")).collect();
        let (cause, block) = cells[3].split_once(' ').unwrap();
        (cells[1].clone(), words[cells[2].as_str()], cause.to_owned(), block.parse().unwrap())
    };
    let listed: Vec<(String, Walk, String, usize)> = rows.into_iter().map(row).collect();
    let expected =
        SAMPLES.map(|(name, walk, cause, block)| (name.to_owned(), walk, cause.to_owned(), block));
    assert_eq!(listed, expected);
}
