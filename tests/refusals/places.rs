//! What a refusal for the call says beside its cause: the block it was seen at, or the place in the policies.

use crate::*;

/// The block that the refusal names, and its words.
pub(crate) fn said(bearer: &str, policy: &str, call: &Call) -> (Option<usize>, String) {
    let verified = Cast::new().verifier().verify(bearer, NOW).unwrap();
    let policy = Policy::parse("test.datalog", policy).unwrap();
    let error = authorize(&verified, &policy, call).expect_err("allowed");
    (error.block(), error.to_string())
}

#[test]
fn a_refusal_by_a_block_names_the_block() {
    let hop = |check: &str| with_hop(check).bearer();
    let overflowing = hop("check if 9223372036854775807 + 1 > 0;");
    for (bearer, words) in [
        (hop(r#"check if verifier("mail.mcp");"#), "check 1 of block 1 does not hold"),
        (overflowing, "check 1 of block 1 cannot be evaluated"),
    ] {
        let (block, error) = said(&bearer, "allow if true;", &search());
        assert_eq!(block, Some(1), "{error}");
        assert!(error.starts_with(words), "{error}");
    }
}

#[test]
fn a_refusal_by_the_policies_names_their_line_and_no_block() {
    let bearer = seed().bearer();
    for (policy, words) in [
        ("allow if true;\ncheck if false;", "the policy check at test.datalog:2 "),
        ("allow if true;\n\ndeny if true;", "the policy at test.datalog:3 denies"),
        ("allow if 9223372036854775807 + 1 > 0;", "test.datalog:1 cannot be evaluated"),
    ] {
        let (block, error) = said(&bearer, policy, &search());
        assert_eq!(block, None, "{error}");
        assert!(error.starts_with(words), "{error}");
    }
}
