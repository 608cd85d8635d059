//! The scope matcher against a model that enumerates what a scope covers.

use hardtack::{Operation, Scope};
use proptest::prelude::*;

/// Every operation of up to four segments over this alphabet.
const SEGMENTS: [&str; 4] = ["hardtack", "tools", "call", "a"];

fn operations() -> Vec<Operation> {
    let mut all: Vec<String> = Vec::new();
    let mut longer: Vec<String> = SEGMENTS.iter().map(|segment| (*segment).to_owned()).collect();
    for _ in 0..4 {
        all.extend(longer.iter().cloned());
        longer = longer
            .iter()
            .flat_map(|start| SEGMENTS.iter().map(move |segment| format!("{start}:{segment}")))
            .collect();
    }
    all.iter().map(|text| text.parse().unwrap()).collect()
}

/// What the profile says in words, segment by segment.
fn model_covers(scope: &str, operation: &str) -> bool {
    let scope: Vec<&str> = scope.split(':').collect();
    let operation: Vec<&str> = operation.split(':').collect();
    if scope == ["*"] {
        return operation[0] != "hardtack";
    }
    match scope.split_last() {
        Some((&"*", before)) => {
            operation.len() > before.len() && operation[..before.len()] == *before
        }
        _ => scope == operation,
    }
}

fn scope() -> impl Strategy<Value = String> {
    let segments = proptest::collection::vec(proptest::sample::select(&SEGMENTS[..]), 0..4);
    (segments, any::<bool>()).prop_map(|(segments, wildcard)| {
        let mut segments: Vec<&str> = segments;
        if wildcard || segments.is_empty() {
            segments.push("*");
        }
        segments.join(":")
    })
}

proptest! {
    #[test]
    fn a_scope_covers_what_the_model_says(text in scope()) {
        let scope: Scope = text.parse().unwrap();
        for operation in operations() {
            prop_assert_eq!(scope.covers(&operation), model_covers(&text, operation.as_str()), "{} {}", text, operation);
        }
    }

    /// A subset by the matcher is a subset by enumeration; and a subset by enumeration that the matcher
    /// does not see is one that only longer operations would tell apart.
    #[test]
    fn a_scope_within_another_allows_nothing_more(parent in scope(), child in scope()) {
        let (wider, narrower): (Scope, Scope) = (parent.parse().unwrap(), child.parse().unwrap());
        let enumerated = operations().iter().all(|operation| !narrower.covers(operation) || wider.covers(operation));
        if wider.covers_scope(&narrower) {
            prop_assert!(enumerated, "{} within {}", child, parent);
        } else {
            prop_assert!(!enumerated, "{} not within {}", child, parent);
        }
    }

    #[test]
    fn within_is_transitive(a in scope(), b in scope(), c in scope()) {
        let (a, b, c): (Scope, Scope, Scope) = (a.parse().unwrap(), b.parse().unwrap(), c.parse().unwrap());
        prop_assert!(!(a.covers_scope(&b) && b.covers_scope(&c)) || a.covers_scope(&c));
    }

    #[test]
    fn any_text_is_a_scope_or_an_error(text in "\\PC{0,40}") {
        if let Ok(scope) = text.parse::<Scope>() {
            prop_assert_eq!(scope.as_str(), text);
        }
    }
}
