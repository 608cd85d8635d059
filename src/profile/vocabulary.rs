//! Vocabulary: which predicate names have a meaning of their own, and who may say them.
//!
//! `policies/README.md` explains each; a test compares the two.

/// Asserted by a token's blocks only, each with one meaning.
pub(crate) const TOKEN_PREDICATES: [&str; 15] = [
    "hardtack",
    "subject",
    "scope",
    "audience",
    "issued",
    "expires",
    "max_depth",
    "holder",
    "delegate",
    "reason",
    "parent",
    "hop",
    "presentation",
    "digest",
    "nonce",
];

/// Asserted by the verifier only, from the request and the walk.
pub const AMBIENT_PREDICATES: [&str; 16] = [
    "time",
    "operation",
    "resource",
    "tool",
    "arg",
    "verifier",
    "depth",
    "call",
    "agent",
    "agent_key",
    "delegated",
    "delegated_key",
    "granted",
    "unbound",
    "presented",
    "issuer",
];

/// What policies may read of the token's own predicates. The others would show the grant's words and
/// not the chain's: `allow if scope("*")` reads what the human had.
pub const READABLE_TOKEN_PREDICATES: [&str; 2] = ["subject", "issued"];

/// Whether a fact of this name is for Hardtack alone to assert.
pub fn is_reserved(name: &str) -> bool {
    TOKEN_PREDICATES.contains(&name) || AMBIENT_PREDICATES.contains(&name)
}

/// Whether this can be the name of a fact about the subject: Biscuit's form, bounded.
pub fn is_predicate_name(name: &str) -> bool {
    name.len() <= crate::names::MAX_NAME_BYTES
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fact_has_a_short_name_that_begins_with_a_letter() {
        let longest = "a".repeat(crate::names::MAX_NAME_BYTES);
        for name in ["role", "R2", "team:read_only", &longest] {
            assert!(is_predicate_name(name), "{name}");
        }
        for name in ["", "1role", "_role", ":role", "role-x", "rôle", &format!("{longest}a")] {
            assert!(!is_predicate_name(name), "{name}");
        }
    }
}
