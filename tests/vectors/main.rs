//! The test vectors: tokens, how they are put to a verifier and what it must answer, as one file that other
//! implementations can read (`docs/vectors.md`).
//!
//! The file is what the generator here writes, byte for byte, and this library answers as the file says.
//! `HARDTACK_WRITE_VECTORS=1 cargo test --test vectors` writes it anew.

#![allow(unreachable_pub, reason = "a test is no library")]

mod case;
mod token;
mod verifier;

mod honest;
mod integers;
mod checks;
mod encoding;
mod content;
mod walk;
mod revocations;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use biscuit_auth::format::schema;
use case::{Answer, Vectors};
use hardtack::{Capability, PublicKey};
use prost::Message;

const FILE: &str = "tests/vectors/vectors.json";

/// What the file holds, at least.
const LEAST_CASES: usize = 350;
const LEAST_VALIDATIONS: usize = 550;

/// The causes that no token and no request can bring about, and what does.
const NOT_BY_A_TOKEN: [(&str, &str); 15] = [
    ("revocation_elsewhere", "a gateway makes no revocations"),
    ("answer_too_long", "an answer that a gateway passes on goes on for longer than it lets it"),
    ("revocation_id_ambiguous", "a server has seen several ids that begin so"),
    ("revocations_unavailable", "the verifier's source of revocations does not answer"),
    ("ledger_unavailable", "the verifier cannot record its decision"),
    ("store_unavailable", "a server cannot read or open its store"),
    ("unfinished", "a decision broke off"),
    ("facts_unavailable", "what the server itself knows cannot be had"),
    ("facts_unusable", "what the server itself states may not be stated"),
    ("overloaded", "more is asked of a gateway at once than it looks at"),
    ("strange_task", "a gateway knows no such task of this token's"),
    ("list_busy", "too many lists are asked of a gateway at once"),
    ("list_too_long", "a server's list has more entries than a gateway looks at"),
    ("list_too_costly", "a server's list takes more work than a gateway does for one"),
    (
        "exhausted",
        "the verifier's own policies took too much work; a token that could is `too_costly`",
    ),
];

/// The cases with a block that has what Datalog's text cannot say, or what no writer would write.
const NOT_BY_ITS_CODE: [&str; 14] = [
    "content: a block-wide trusting",
    "content: a check that asks nothing",
    "content: a context",
    "content: a moment after the year 9999",
    "content: a variable in a fact",
    "content: a variable in an array",
    "encoding: a set with a repeat",
    "symbols: a key that is not defined",
    "symbols: a name that is not defined",
    "symbols: a variable that is not defined",
    "symbols: a word defined twice",
    "symbols: a word of the grant in a hop",
    "symbols: a word that only a later block defines",
    "too many: words",
];

fn generated() -> Vectors {
    let families = [
        honest::cases(),
        integers::cases(),
        checks::cases(),
        encoding::cases(),
        content::cases(),
        walk::cases(),
        revocations::cases(),
    ];
    let root = token::key(token::ROOT);
    let text = |seed: u8| token::key(seed).to_text().to_string();
    Vectors {
        root_private_key: root.to_text().to_string(),
        root_public_key: root.public().to_string(),
        keys: token::KEYS.map(|(name, seed)| (name.to_owned(), text(seed))).into(),
        testcases: families.concat(),
    }
}

fn committed() -> Vectors {
    serde_json::from_str(&fs::read_to_string(FILE).unwrap()).unwrap()
}

#[test]
fn the_file_is_what_the_generator_writes() {
    let written = serde_json::to_string_pretty(&generated()).unwrap() + "\n";
    if std::env::var_os("HARDTACK_WRITE_VECTORS").is_some() {
        fs::write(FILE, &written).unwrap();
    }
    let file = fs::read_to_string(FILE).unwrap();
    let differs = file.lines().zip(written.lines()).position(|(file, written)| file != written);
    assert!(
        file == written,
        "{FILE} differs from line {} on; HARDTACK_WRITE_VECTORS=1 writes it anew",
        differs.unwrap_or_default() + 1
    );
}

#[test]
fn the_library_answers_as_the_file_says() {
    let vectors = committed();
    let root: PublicKey = vectors.root_public_key.parse().unwrap();
    let mut wrong = Vec::new();
    for case in &vectors.testcases {
        for (title, validation) in &case.validations {
            let answer = verifier::decide(&case.bearer, validation, root);
            if answer != validation.result {
                wrong.push(format!(
                    "{} / {title}: expected {:?}, got {answer:?}",
                    case.title, validation.result
                ));
            }
            let digest = validation.call().ok().map(|call| hex::encode(call.digest()));
            assert_eq!(digest, validation.call_digest, "{} / {title}", case.title);
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

/// What is remembered of some tokens must not change what is said of others: of each way to verify there is one guard, which eight threads
/// ask all cases again and again, each from another end.
#[test]
fn the_answers_are_the_same_where_eight_threads_share_what_is_remembered() {
    let vectors = committed();
    let root: PublicKey = vectors.root_public_key.parse().unwrap();
    let cases = vectors.testcases.iter();
    let all =
        cases.flat_map(|case| case.validations.iter().map(move |(title, it)| (case, title, it)));
    // These need a store of their own, in which something happens.
    let asked = all.filter(|(.., it)| !it.options.accepted_before && !it.options.revokes);
    let mut guards = BTreeMap::new();
    let mut questions = Vec::new();
    for (case, title, validation) in asked {
        let Ok(call) = validation.call() else { continue };
        let way = (&validation.audience, &validation.policy, &validation.options);
        let way = serde_json::to_string(&way).unwrap();
        guards.entry(way.clone()).or_insert_with(|| verifier::guard(validation, root));
        questions.push((way, call, &case.bearer, validation, format!("{} / {title}", case.title)));
    }
    assert!(questions.len() >= LEAST_CASES && guards.len() < questions.len() / 4);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (guards, questions) = (&guards, &questions);
            scope.spawn(move || {
                let (before, after) = questions.split_at(questions.len() * thread / THREADS);
                for (way, call, bearer, validation, title) in after.iter().chain(before) {
                    let answer = verifier::answer(&guards[way], bearer, call, validation.now);
                    assert_eq!(answer, validation.result, "{title}");
                }
            });
        }
    });
}

const THREADS: usize = 8;

#[test]
fn the_ids_are_those_that_the_library_reads() {
    let mut read = 0;
    for case in committed().testcases {
        let Ok(token) = Capability::parse(&case.bearer) else { continue };
        let mut ids: Vec<(usize, String)> =
            token.chain().signatures().map(|(block, id)| (block, id.to_string())).collect();
        ids.sort();
        ids.dedup();
        let blocks = case.token.iter().enumerate();
        let stated = blocks
            .flat_map(|(at, block)| [(at, block.id.clone()), (at, block.revocation_id.clone())]);
        assert_eq!(ids, Vec::from_iter(BTreeSet::from_iter(stated)), "{}", case.title);
        read += 1;
    }
    assert!(read > 100, "{read}");
}

#[test]
fn whoever_writes_a_block_from_its_code_writes_its_bytes() {
    let (mut same, mut other) = (0, BTreeSet::new());
    for case in committed().testcases {
        let Some(token) = token::decode(&case.bearer) else { continue };
        for (at, (signed, block)) in token::signed(&token).zip(&case.token).enumerate() {
            // The symbols of a first-party block are those of the blocks before it, too.
            let has_its_symbols = at == 0 || signed.external_signature.is_some();
            let Some(code) = block.code.as_ref().filter(|_| has_its_symbols) else { continue };
            let read = schema::Block::decode(signed.block.as_slice()).unwrap();
            match token::written(code) == Some(schema::Block { version: None, ..read }) {
                true => same += 1,
                false => assert!(other.insert(case.title.clone()), "{} / {at}", case.title),
            }
        }
    }
    assert!(same > 1000, "{same}");
    assert_eq!(other, BTreeSet::from(NOT_BY_ITS_CODE.map(str::to_owned)));
}

#[test]
fn the_vectors_cover_every_cause_and_each_is_there_once() {
    let vectors = committed();
    let titles: BTreeSet<_> = vectors.testcases.iter().map(|case| &case.title).collect();
    assert_eq!(titles.len(), vectors.testcases.len(), "two cases of one title");
    let mut counts = BTreeMap::<String, usize>::new();
    let validations = || vectors.testcases.iter().flat_map(|case| case.validations.values());
    for validation in validations() {
        let cause = match &validation.result {
            Answer::Ok { .. } => "",
            Answer::Err { cause, .. } => cause,
        };
        *counts.entry(cause.to_owned()).or_default() += 1;
    }
    println!("{} tokens, {} validations", titles.len(), validations().count());
    println!("{counts:?}");
    assert!(titles.len() >= LEAST_CASES && validations().count() >= LEAST_VALIDATIONS);
    let allowed = counts.remove("").unwrap_or_default();
    assert!(allowed * 5 > validations().count(), "only {allowed} are allowed");
    let covered: BTreeSet<&str> = counts.keys().map(String::as_str).collect();
    let not_by_a_token = NOT_BY_A_TOKEN.map(|(cause, _)| cause);
    let causes = causes();
    let expected =
        causes.iter().map(String::as_str).filter(|cause| !not_by_a_token.contains(cause));
    assert_eq!(covered, expected.collect());
    let page = fs::read_to_string("docs/vectors.md").unwrap();
    for (cause, why) in NOT_BY_A_TOKEN {
        assert!(causes.contains(cause), "{cause} is no cause");
        assert!(page.contains(&format!("`{cause}`: {why}")), "docs/vectors.md lacks {cause}");
    }
}

/// The causes that `docs/verification.md` lists; `tests/causes.rs` holds that list to the code.
fn causes() -> BTreeSet<String> {
    let page = fs::read_to_string("docs/verification.md").unwrap();
    let (_, table) = page.split_once("| cause | answer | when |").unwrap();
    let (table, _) = table.split_once("\n\n").unwrap();
    let cells = table.lines().filter_map(|line| line.strip_prefix("| ")?.split('|').next());
    cells.flat_map(|cell| cell.split('`').skip(1).step_by(2).map(str::to_owned)).collect()
}
