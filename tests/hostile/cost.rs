//! Cost: checks that multiply work by what the request brings: joins, and closures and comparisons over collections.

use crate::case::{Case, Sent};
use crate::seed::with_hop;
use crate::{cost_caps, cost_errors, cost_texts};

pub fn cases() -> Vec<Case> {
    [
        joins(),
        closures(),
        literals(),
        comparisons(),
        cost_texts::cases(),
        cost_errors::cases(),
        cost_caps::cases(),
    ]
    .concat()
}

/// A hop with this Datalog, for a call with these arguments: too much work.
pub fn costly(name: &str, datalog: &str, arguments: &str) -> Case {
    let bearer = with_hop(datalog).bearer();
    let call = Sent::search().arguments(arguments);
    Case::refused(format!("cost/{name}"), bearer, "too_costly", None).calls(call)
}

/// The same of what is not.
pub fn cheap(name: &str, datalog: &str, arguments: &str) -> Case {
    let call = Sent::search().arguments(arguments);
    Case::accepted(format!("cost/{name}"), with_hop(datalog).bearer()).calls(call)
}

/// An object of this many members.
pub fn members(count: usize, value: &dyn Fn(usize) -> String) -> String {
    let members = (0..count).map(|at| format!(r#""a{at}":{}"#, value(at)));
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

/// This many elements, with commas.
pub fn list(count: usize, element: &dyn Fn(usize) -> String) -> String {
    (0..count).map(element).collect::<Vec<_>>().join(",")
}

/// An argument `x` that is this.
pub fn argument(value: &str) -> String {
    format!(r#"{{"x":{value}}}"#)
}

/// Every kind of check over every pair of predicates, with each kind of trust, for calls with many arguments.
fn joins() -> Vec<Case> {
    let pairs = [
        "arg($a, $b), arg($c, $d)",
        "arg($a, $b), arg($a, $d)",
        "arg($a, $b), operation($c)",
        "arg($a, $b), delegated($c, $d, $e)",
        "arg($a, $b), scope($c)",
        "arg($a, $b), nothing($c)",
    ];
    let kinds = [("check if", "$a == $a"), ("check all", "$a == $a"), ("reject if", "$a != $a")];
    let scopes = ["", " trusting previous", " trusting authority"];
    let number = |at: usize| at.to_string();
    let mut cases = Vec::new();
    for pair in pairs {
        for (kind, condition) in kinds {
            for scope in scopes {
                let datalog = format!("{kind} {pair}, {condition}{scope};");
                cases.push(costly(&format!("join {datalog}"), &datalog, &members(400, &number)));
            }
        }
        let datalog = format!("reject if {pair}, $a != $a;");
        cases.push(cheap(&format!("join of few {pair}"), &datalog, &members(10, &number)));
    }
    // In four alternatives or many checks what one may cost costs too much.
    let one = "arg($a, $b), arg($c, $d), $a == $a, 1 > 2";
    for queries in 2..=4 {
        let datalog = format!("check if {} or {};", vec![one; queries - 1].join(" or "), "true");
        cases.push(costly(
            &format!("{queries} alternatives"),
            &datalog.repeat(4),
            &members(24, &number),
        ));
    }
    for checks in [12, 24, 48] {
        let datalog = "reject if arg($a, $b), arg($c, $d), $a != $a;".repeat(checks);
        cases.push(costly(&format!("{checks} checks"), &datalog, &members(24, &number)));
    }
    // Values that are large make bindings that are.
    let large = [
        ("numbers", format!("[{}]", list(100, &number))),
        ("maps", format!("[{}]", list(25, &|_| r#"{"k":1}"#.to_owned()))),
        ("deep", format!("{}1{}", "[".repeat(31), "]".repeat(31))),
        ("deep maps", format!("{}1{}", r#"{"k":"#.repeat(31), "}".repeat(31))),
    ];
    for (what, value) in large {
        let few = members(9, &|_| value.clone());
        let datalog = "reject if arg($a, $b), arg($c, $d), $a != $a;".repeat(4);
        cases.push(costly(&format!("join over {what}"), &datalog, &few));
        cases.push(cheap(
            &format!("no join over {what}"),
            "reject if arg($a, $b), $a != $a;",
            &few,
        ));
    }
    cases
}

/// Closures over the request's own collections.
fn closures() -> Vec<Case> {
    let numbers = argument(&format!("[{}]", list(900, &|at| at.to_string())));
    let few = argument(&format!("[{}]", list(20, &|at| at.to_string())));
    let bodies = [
        "$p >= 0",
        "$p >= 0 && $p < 1000",
        "$p >= 0 || $p < 0",
        "$p != -1",
        "$p == $p",
        "$p * 2 >= 0",
        "$p - 1 >= -1",
        "$p / 1 >= 0",
        "$p.type() == \"integer\"",
        "{1, 2, 3}.contains($p) || true",
        "[1, 2, 3].contains($p) || true",
        "(($p >= 0) && ($p >= 0)) && true",
        "($p & 1) >= 0",
        "($p | 1) >= 0",
        "($p ^ 1) >= 0",
    ];
    let mut cases = Vec::new();
    for body in bodies {
        for (kind, all, least) in [("check all", "all", true), ("check if", "any", false)] {
            let body = if least { body.to_owned() } else { format!("!({body})") };
            let end = if least { "" } else { " || true" };
            let one = format!(r#"{kind} arg("x", $x), $x.{all}($p -> {body}){end};"#);
            cases.push(costly(&format!("closure {one}"), &one.repeat(8), &numbers));
            if least {
                cases.push(cheap(&format!("closure over few {body}"), &one, &few));
            }
        }
    }
    // Of each of many arguments.
    let rows = members(60, &|_| format!("[{}]", list(15, &|at| at.to_string())));
    let each = "check all arg($n, $x), $x.all($p -> $p >= 0 && $p < 100);";
    cases.push(costly("closure over each argument", &each.repeat(8), &rows));
    let maps = argument(&format!("{{{}}}", list(400, &|at| format!(r#""k{at}":{at}"#))));
    let entries = r#"check all arg("x", $x), $x.all($p -> $p.get(1) >= 0);"#;
    cases.push(costly("closure over a map's entries", &entries.repeat(12), &maps));
    cases.push(cheap("closure over a map's few entries", entries, &argument(r#"{"k":1,"l":2}"#)));
    cases
}

/// Collections that are written out in the token, copied with each closure around them and for each element.
fn literals() -> Vec<Case> {
    let number = |at: usize| at.to_string();
    let row = format!("[{}]", list(60, &number));
    let literals = [
        ("numbers", row.clone()),
        ("set", format!("{{{}}}", list(60, &number))),
        ("bytes", format!("[{}]", list(60, &|at| format!("hex:{at:02x}")))),
        ("rows", format!("[{}]", list(8, &|_| row.clone()))),
        ("map", format!("{{{}}}", list(60, &|at| format!("\"k{at}\":{at}")))),
        ("maps", format!("[{}]", list(60, &|_| "{\"k\":1}".to_owned()))),
        ("sets", format!("[{}]", list(60, &|_| "{1}".to_owned()))),
        ("deep", format!("[{}]", list(60, &|_| "[[[[1]]]]".to_owned()))),
    ];
    let many = argument(&format!("[{}]", list(200, &number)));
    let mut cases = Vec::new();
    for (what, literal) in &literals {
        let mut lazy = format!("{literal}.length() >= 0");
        for depth in 1..=4 {
            lazy = format!("true && ({lazy})");
            // For each of some arguments.
            let datalog = format!("check all arg($n, $v), {lazy};");
            let arguments = members(450, &number);
            cases.push(costly(&format!("{what}, lazy, {depth} deep"), &datalog, &arguments));
            cases.push(cheap(
                &format!("{what}, lazy, {depth} deep, once"),
                &datalog,
                &members(2, &number),
            ));
        }
        let never = format!("check all arg($n, $v), !(false && {literal}.length() < 0);");
        cases.push(costly(&format!("{what}, never reached"), &never, &members(450, &number)));
        let each = format!(r#"check all arg("x", $x), $x.all($p -> {literal}.length() >= 0);"#);
        let times = if *what == "rows" { 1 } else { 3 };
        cases.push(costly(&format!("{what}, for each element"), &each.repeat(times), &many));
        let itself = format!("check if {literal}.all($p -> {literal}.length() >= 0);");
        if ["numbers", "set", "bytes", "map"].contains(what) {
            cases.push(costly(&format!("{what}, for each of itself"), &itself.repeat(9), "{}"));
        }
        if ["numbers", "set", "bytes"].contains(what) {
            cases.push(cheap(&format!("{what}, for each of itself, once"), &itself, "{}"));
        }
    }
    cases
}

/// What looks at, copies or compares whole collections.
fn comparisons() -> Vec<Case> {
    let numbers = argument(&format!("[{}]", list(900, &|at| at.to_string())));
    let maps = argument(&format!("[{}]", list(450, &|_| r#"{"k":1}"#.to_owned())));
    let map = argument(&format!("{{{}}}", list(900, &|at| format!(r#""k{at}":{at}"#))));
    let few = argument("[1,2,3]");
    let conditions = [
        "$x == $x",
        "$x === $x",
        "!($x != $x)",
        "!($x !== $x)",
        "$x.length() >= 0",
        "$x.type() != \"integer\"",
        "$x.contains($x) || true",
        "$x.get(0) == $x.get(0)",
        "$x.starts_with($x) || true",
        "$x.ends_with($x) || true",
        "$x == ($x == ($x == ($x == $x))) || true",
        "[$y, 1].length() >= 0",
    ];
    let mut cases = Vec::new();
    for condition in &conditions[..11] {
        let datalog = format!(r#"check all arg("x", $x), {condition};"#).repeat(12);
        cases.push(costly(&format!("comparison {condition} of numbers"), &datalog, &numbers));
        cases.push(costly(&format!("comparison {condition} of maps"), &datalog, &maps));
        if !condition.contains("with") && !condition.contains("$x.get(0)") {
            cases.push(costly(&format!("comparison {condition} of a map"), &datalog, &map));
        }
        cases.push(cheap(&format!("comparison {condition} of little"), &datalog, &few));
    }
    let set = |at: usize| format!("{{{}}}", list(60, &|n| (n + at).to_string()));
    let operations = ["union", "intersection", "contains"];
    for operation in operations {
        let of = |count: usize| {
            let end = if operation == "contains" { "|| true" } else { "== {1} || true" };
            format!("check all arg($n, $v), {}.{operation}({}) {end};", set(0), set(count))
        };
        cases.push(costly(
            &format!("{operation} of sets"),
            &of(1),
            &members(300, &|at| at.to_string()),
        ));
        cases.push(cheap(
            &format!("{operation} of sets, once"),
            &of(1),
            &members(1, &|at| at.to_string()),
        ));
    }
    cases
}
