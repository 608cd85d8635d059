//! Encoding: the same token written in another way, and keys and signatures that pass for others.
//!
//! What is accepted has one text, but for padding, and one encoding; whoever could write it in two ways could
//! slip by whatever compares tokens, blocks or signatures.

mod keys;
mod protobuf;
mod signatures;
mod text;

use std::sync::OnceLock;

use crate::case::Case;
use crate::craft::seed;
use crate::seed::hop;
use hardtack_testkit::Cast;
use hardtack_testkit::forge::{Forge, payload};

pub(crate) fn cases() -> Vec<Case> {
    [text::cases(), protobuf::cases(), keys::cases(), signatures::cases()].concat()
}

fn refused(what: &str, bearer: String, cause: &'static str, block: Option<usize>) -> Case {
    Case::refused(format!("encoding/{what}"), bearer, cause, block)
}

fn accepted(what: &str, bearer: String) -> Case {
    Case::accepted(format!("encoding/{what}"), bearer)
}

/// A hop whose checks hold and have every message of the schema in them.
fn rich() -> Forge {
    static HOP: OnceLock<Vec<u8>> = OnceLock::new();
    let written = || {
        let researcher = Cast::new().researcher.public();
        payload(&hop(&format!(
            r#"check all time($time), $time < 2026-11-23T10:10:00Z, !false;
               check if operation($operation), ["tools:call:search"].any($x -> $x == $operation);
               check if {{"a": 1, 2: [true, null]}}.get("a") === 1, {{1, 2}}.contains(1);
               check if "/srv/data".extern::hardtack_path("/srv"), hex:00 === hex:00;
               check if true trusting authority;
               check if hop($hop), $hop > 1 trusting {researcher};"#
        )))
    };
    seed().change(|forge| forge.blocks[1].bytes = HOP.get_or_init(written).clone())
}
