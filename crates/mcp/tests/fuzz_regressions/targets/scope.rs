//! Scope: up to three scopes and an operation, a line each.

use hardtack::{Operation, Scope, ScopeError};

use super::{Target, invariants, judge};

pub const TARGET: Target = Target {
    name: "scope",
    run,
    seeds,
    // Four lines of eight segments of 128 bytes.
    max_len: 4 * 8 * 129,
};

fn run(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let lines: Vec<&str> = text.split('\n').take(4).collect();
    let scopes: Vec<Scope> = lines.iter().filter_map(|line| parsed(line)).collect();
    let operations: Vec<Operation> = lines.iter().filter_map(|line| operation(line)).collect();
    for a in &scopes {
        assert!(a.covers_scope(a), "{a} does not cover itself");
        for b in &scopes {
            let covers = a.covers_scope(b);
            assert_eq!(covers, invariants::covers(a.as_str(), b.as_str()), "{a} and {b}");
            assert!(!(covers && b.covers_scope(a)) || a == b, "{a} and {b} cover each other");
            for c in &scopes {
                assert!(!(covers && b.covers_scope(c)) || a.covers_scope(c), "{a}, {b}, {c}");
            }
            for operation in &operations {
                let widens = covers && b.covers(operation) && !a.covers(operation);
                assert!(!widens, "{b} lies in {a} and allows {operation}");
            }
        }
        for operation in &operations {
            let expected = invariants::covers(a.as_str(), operation.as_str());
            assert_eq!(a.covers(operation), expected, "{a} and {operation}");
        }
    }
    lines.iter().all(|line| parsed(line).is_some())
}

fn parsed(line: &str) -> Option<Scope> {
    let scope: Scope = said(line.parse())?;
    assert_eq!(scope.to_string(), line);
    assert_eq!(scope.to_string().parse(), Ok(scope.clone()));
    Some(scope)
}

fn operation(line: &str) -> Option<Operation> {
    let operation: Operation = said(line.parse())?;
    assert_eq!(operation.to_string(), line);
    assert!(!line.contains('*'));
    // An operation is a scope of exactly itself.
    let exactly: Scope = line.parse().expect("an operation that is no scope");
    assert!(exactly.covers(&operation));
    Some(operation)
}

fn said<T>(result: Result<T, ScopeError>) -> Option<T> {
    result.inspect_err(|error| judge::is_said_safely(&error.to_string())).ok()
}

fn seeds() -> Vec<Vec<u8>> {
    let deep = ["a"; 8].join(":");
    let long = "x".repeat(128);
    [
        "tools:call:search",
        "*\ntools:*\ntools:call:*\ntools:call:search",
        "*\nhardtack:*\nhardtack:revoke\nhardtacks:revoke",
        "tools:call\ntools:call:*\ntools:c*\ntools",
        "resources:read\nprompts:get:a.b-c_d\n\n:",
        &format!("{deep}\n{deep}:a\n{deep}:*"),
        &format!("{long}:*\n{long}x\n{long}"),
        "tools:*:search\ntools:**\ntools:\u{e9}",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}
