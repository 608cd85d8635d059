//! Parse's tests: its trees say what Biscuit's parser read.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use biscuit_parser::builder as ast;
use biscuit_parser::parser::parse_source;

use crate::parse::parse;
use crate::split::{split, without_inner_comments};
use crate::tree::{Atom, Expr, Kind, Node, Query, Statement, Term, Value};

fn term(term: &Term) -> ast::Term {
    let all = |terms: &[Term]| terms.iter().map(self::term).collect::<Vec<_>>();
    match &term.value {
        Value::Variable(name) => ast::Term::Variable(name.clone()),
        Value::Integer(number) => ast::Term::Integer(*number),
        Value::Text(text) => ast::Term::Str(text.clone()),
        Value::Date(moment) => ast::Term::Date(*moment),
        Value::Bytes(bytes) => ast::Term::Bytes(bytes.clone()),
        Value::Bool(value) => ast::Term::Bool(*value),
        Value::Null => ast::Term::Null,
        Value::Parameter => ast::Term::Parameter("name".to_owned()),
        Value::Set(terms) => ast::Term::Set(all(terms).into_iter().collect::<BTreeSet<_>>()),
        Value::Array(terms) => ast::Term::Array(all(terms)),
        Value::Map(entries) => {
            let entries = entries.iter().map(|(key, value)| {
                let key = match &key.value {
                    Value::Integer(number) => ast::MapKey::Integer(*number),
                    Value::Text(text) => ast::MapKey::Str(text.clone()),
                    other => panic!("{other:?}"),
                };
                (key, self::term(value))
            });
            ast::Term::Map(entries.collect::<BTreeMap<_, _>>())
        }
    }
}

fn ops(expr: &Expr, found: &mut Vec<ast::Op>) {
    let closure = |names: Vec<String>, inner: &Expr| {
        let mut inside = Vec::new();
        ops(inner, &mut inside);
        ast::Op::Closure(names, inside)
    };
    match &expr.node {
        Node::Term(one) => found.push(ast::Op::Value(term(one))),
        Node::Unary(operator, inner) => {
            ops(inner, found);
            found.push(ast::Op::Unary(operator.clone()));
        }
        Node::Closure(name, body) => found.push(closure(vec![name.clone()], body)),
        Node::Binary(operator, left, right) => {
            match operator {
                ast::Binary::TryOr => found.push(closure(Vec::new(), left)),
                _ => ops(left, found),
            }
            match operator {
                ast::Binary::LazyAnd | ast::Binary::LazyOr => {
                    found.push(closure(Vec::new(), right));
                }
                _ => ops(right, found),
            }
            found.push(ast::Op::Binary(operator.clone()));
        }
    }
}

fn predicate(atom: &Atom) -> ast::Predicate {
    ast::Predicate::new(atom.name.clone(), atom.terms.iter().map(term).collect::<Vec<_>>())
}

fn same(query: &Query, rule: &ast::Rule) -> bool {
    let atoms: Vec<_> = query.atoms.iter().map(predicate).collect();
    let conditions: Vec<_> = query
        .conditions
        .iter()
        .map(|condition| {
            let mut found = Vec::new();
            ops(condition, &mut found);
            ast::Expression { ops: found }
        })
        .collect();
    atoms == rule.body && conditions == rule.expressions
}

fn agrees(text: &str, statement: &Statement) -> bool {
    let parsed = parse_source(text).unwrap();
    let all = |queries: &[ast::Rule]| {
        queries.len() == statement.queries.len()
            && statement.queries.iter().zip(queries).all(|(one, other)| same(one, other))
    };
    let head = statement.head.as_ref().map(predicate);
    match statement.kind {
        Kind::Fact => head.as_ref() == Some(&parsed.facts[0].1.predicate),
        Kind::Rule => {
            let rule = &parsed.rules[0].1;
            head.as_ref() == Some(&rule.head) && all(std::slice::from_ref(rule))
        }
        Kind::Allow | Kind::Deny => {
            let allows = matches!(parsed.policies[0].1.kind, ast::PolicyKind::Allow);
            allows == (statement.kind == Kind::Allow) && all(&parsed.policies[0].1.queries)
        }
        Kind::CheckIf | Kind::CheckAll | Kind::RejectIf => all(&parsed.checks[0].1.queries),
    }
}

/// Every statement of a text that Biscuit reads is read here, and says the same.
fn compare(text: &str) -> usize {
    let pieces = split(text);
    let blanked = without_inner_comments(text, &pieces.statements);
    let mut count = 0;
    for piece in &pieces.statements {
        let part = &blanked[piece.span.start..piece.span.end];
        if parse_source(part).is_err() {
            continue;
        }
        let statement = parse(&blanked[..piece.span.end], 0, piece.span.start);
        let statement = statement.unwrap_or_else(|at| panic!("{part}: stuck at {at}"));
        assert!(agrees(part, &statement), "{part}: {statement:?}");
        count += 1;
    }
    count
}

#[test]
fn the_trees_of_all_examples_say_what_was_read() {
    let mut count = 0;
    let mut folders =
        vec![Path::new("tests/seeds").to_owned(), Path::new("../../policies").to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "datalog") {
                count += compare(&fs::read_to_string(path).unwrap());
            }
        }
    }
    assert!(count > 500, "{count}");
}

#[test]
fn the_trees_of_odd_statements_say_what_was_read() {
    let statements = [
        r#"a(1, -2, "x\\\"\n", 2027-01-01T00:00:00Z, hex:00ff, true, null, [1, ["a"]], {1, 2}, {,});"#,
        r#"deny if a({"k": 1, 2: [3]}, {}, {1, 2});"#,
        r#"ALLOW IF a( $x ) , $x+1*2-3/4 < 5 OR b($y), !$y.contains("a") == false;"#,
        r#"check all a($x), ($x && true) || !($x || false) && $x;"#,
        r#"reject if a($x), $x.any($y -> $y.all( $z -> $z === 1 || $z !== 2 ));"#,
        r#"deny if a($x), $x & 1 | 2 ^ 3 == 4;"#,
        r#"p($x) <- a($x), $x.get("k").length() >= 3, $x.type() == "map";"#,
        r#"deny if a($x), ($x.get(0) > 1).try_or(false), $x.extern::f("y"), $x.extern::g();"#,
        r#"deny if a($x), {1, 2}.union({3}).intersection({,}).contains($x);"#,
        r#"deny if a($x),$x>-1,$x--1==0,-1<$x;"#,
        r#"deny if a:b($x:y), true, "lit" == "lit", [] == [];"#,
        r#"deny if a({name}), [{name}].contains(1);"#,
        "deny if a($x)\n\tor b($y)\r\n or  true;",
        r#"allow if orders($x), $x.starts_with("or");"#,
    ];
    for text in statements {
        assert_eq!(compare(text), 1, "{text}");
    }
}
