//! Genome: what a token and a call can be made of that cost work, and how one becomes another by chance.

use std::fmt::Write;

use biscuit_auth::KeyPair;

use crate::dice::Dice;
use crate::request::Request;
use hardtack_testkit::forge::{Forge, Part, Proof, pair, payload, throw_away};
use hardtack_testkit::{AUDIENCE, Cast};

/// A token and a call.
#[derive(Debug, Clone)]
pub struct Genome {
    /// Hops, each signed twice.
    pub hops: usize,
    /// Blocks of checks alone.
    pub caveats: usize,
    /// Scopes of each hop besides the one that is used.
    pub scopes: usize,
    /// Words that nothing is done with.
    pub words: usize,
    pub checks: Vec<Checks>,
    pub request: Request,
}

/// Some checks of one form.
#[derive(Debug, Clone)]
pub struct Checks {
    pub copies: usize,
    pub kind: usize,
    pub queries: usize,
    pub predicates: Vec<usize>,
    pub clauses: Vec<Clause>,
    pub scope: usize,
}

/// One expression of a query.
#[derive(Debug, Clone)]
pub struct Clause {
    pub form: usize,
    pub variable: usize,
    pub literal: Literal,
    /// How often what the form repeats is repeated.
    pub times: usize,
    /// How many lazy operations are around it.
    pub lazy: usize,
    /// Whether it is asked of each element of a literal (1) or of a variable (2).
    pub closure: usize,
}

/// A value that is written out.
#[derive(Debug, Clone)]
pub struct Literal {
    pub kind: usize,
    pub width: usize,
    pub height: usize,
    pub bytes: usize,
}

/// The most bytes of Datalog that are read for one token: much more than 16 KiB of token can hold.
const MOST_DATALOG: usize = 128 * 1024;

/// The most bytes of one value that is written out.
const MOST_LITERAL: usize = 16 * 1024;

const KINDS: [&str; 3] = ["check if", "check all", "reject if"];

/// What a query can ask for, where `#` is the number of the predicate in its query.
const PREDICATES: [&str; 11] = [
    "",
    "arg($n#, $v#)",
    "arg($n, $v#)",
    r#"arg("a0", $v#)"#,
    "delegated($n#, $v#, $w#)",
    "delegated_key($n#, $v#, $w#)",
    "operation($v#)",
    "scope($v#)",
    "hop($v#)",
    "resource($v#)",
    "nothing($v#, $n#)",
];

const SCOPES: [&str; 3] = ["", " trusting previous", " trusting authority"];

/// How many forms a clause can have.
const FORMS: usize = 30;

impl Genome {
    pub fn random(dice: &mut Dice) -> Genome {
        let checks = 1 + dice.below(2);
        Genome {
            hops: 1 + dice.below(3),
            caveats: dice.below(2),
            scopes: 0,
            words: 0,
            checks: (0..checks).map(|_| Checks::random(dice)).collect(),
            request: Request::random(dice),
        }
    }

    pub fn mutate(&mut self, dice: &mut Dice) {
        for _ in 0..1 + dice.below(3) {
            match dice.below(14) {
                0 => self.hops = dice.near(self.hops, 13).max(1),
                1 => self.caveats = dice.near(self.caveats, 13),
                2 => self.scopes = dice.near(self.scopes, 120),
                3 => self.words = dice.near(self.words, 240),
                4 if self.checks.len() < 4 => self.checks.push(Checks::random(dice)),
                5 if self.checks.len() > 1 => {
                    let at = dice.below(self.checks.len());
                    self.checks.remove(at);
                }
                6..=8 => self.request.mutate(dice),
                _ => {
                    let at = dice.below(self.checks.len());
                    self.checks[at].mutate(dice);
                }
            }
        }
        self.caveats = self.caveats.min(14 - self.hops.min(14));
    }

    /// Has all checks stand there more or less often.
    pub fn scale(&mut self, factor: f64) {
        for checks in &mut self.checks {
            checks.copies = ((checks.copies as f64 * factor) as usize).clamp(1, 64);
        }
        while self.checks.iter().map(|checks| checks.copies).sum::<usize>() > 62 {
            let most = self.checks.iter_mut().max_by_key(|checks| checks.copies);
            if let Some(most) = most {
                most.copies -= 1;
            }
        }
    }

    /// What its blocks demand: one text for each block but the grant. `None` if that is more than any token can hold.
    pub fn demands(&self) -> Option<Vec<String>> {
        let blocks = self.hops + self.caveats;
        let mut texts = vec![String::new(); blocks];
        let (mut written, mut at) = (0, 0);
        for checks in &self.checks {
            let text = checks.text();
            written += text.len() * checks.copies;
            if written > MOST_DATALOG {
                return None;
            }
            for _ in 0..checks.copies {
                texts[at % blocks].push_str(&text);
                at += 1;
            }
        }
        if self.words > 0 {
            let words: Vec<String> = (0..self.words).map(|at| format!("\"w{at:03}\"")).collect();
            for (at, words) in words.chunks(60).enumerate() {
                let _ = write!(
                    texts[at % blocks],
                    "check if true or {{{}}}.length() > 0;",
                    words.join(",")
                );
            }
        }
        Some(texts)
    }

    pub fn forge(&self) -> Option<Forge> {
        let cast = Cast::new();
        let holder = |key: &hardtack::PrivateKey| hex::encode(key.public().to_bytes());
        let demands = self.demands()?;
        let mut blocks = Vec::new();
        let mut add = |text: &str, signer: Option<KeyPair>| {
            let next = throw_away(blocks.len());
            blocks.push(Part { bytes: payload(text), signer, next, version: Some(1) });
        };
        let grant = format!(
            r#"hardtack(1); subject("user:alice"); scope("tools:call:*"); issued(2026-11-23T10:00:00Z);
               expires(2026-11-23T11:00:00Z); max_depth(13); holder(hex:{});
               reject if depth($d), $d > 13;"#,
            holder(&cast.orchestrator)
        );
        add(&grant, None);
        for hop in 1..=self.hops {
            let signer = if hop == 1 { &cast.orchestrator } else { &cast.researcher };
            let mut text = format!(
                r#"hop({hop}); delegate("agent.a"); reason("r"); scope("tools:call:search");
                   expires(2026-11-23T10:10:00Z); holder(hex:{});"#,
                holder(&cast.researcher)
            );
            for scope in 0..self.scopes {
                let _ = write!(text, "scope(\"tools:call:a:{scope:03}\");");
            }
            add(&(text + &demands[hop - 1]), Some(pair(signer)));
        }
        for caveat in 0..self.caveats {
            add(&demands[self.hops + caveat], None);
        }
        let last = self.hops + self.caveats + 1;
        let presentation = format!(
            r#"hop({last}); presentation("session"); audience("{AUDIENCE}"); expires(2026-11-23T10:05:00Z);"#
        );
        add(&presentation, Some(pair(&cast.researcher)));
        Some(Forge { root: pair(&cast.root), root_key_id: None, blocks, proof: Proof::Sealed })
    }
}

impl Checks {
    fn random(dice: &mut Dice) -> Checks {
        let predicates = (0..1 + dice.below(2)).map(|_| dice.below(PREDICATES.len())).collect();
        Checks {
            copies: 1 + dice.below(8),
            kind: dice.below(3),
            queries: 1,
            predicates,
            clauses: (0..1 + dice.below(2)).map(|_| Clause::random(dice)).collect(),
            scope: dice.below(SCOPES.len()),
        }
    }

    fn mutate(&mut self, dice: &mut Dice) {
        match dice.below(10) {
            0 => self.copies = dice.near(self.copies, 62).max(1),
            1 => self.kind = dice.below(3),
            2 => self.queries = dice.near(self.queries, 4).max(1),
            3 => {
                let at = dice.below(2);
                let predicate = dice.below(PREDICATES.len());
                match self.predicates.get_mut(at) {
                    Some(place) => *place = predicate,
                    None => self.predicates.push(predicate),
                }
            }
            4 => self.scope = dice.below(SCOPES.len()),
            5 if self.clauses.len() < 8 => {
                let clause = match self.clauses.last() {
                    Some(last) if dice.below(2) == 0 => last.clone(),
                    _ => Clause::random(dice),
                };
                self.clauses.push(clause);
            }
            6 if !self.clauses.is_empty() => {
                let at = dice.below(self.clauses.len());
                self.clauses.remove(at);
            }
            _ if !self.clauses.is_empty() => {
                let at = dice.below(self.clauses.len());
                self.clauses[at].mutate(dice);
            }
            _ => self.clauses.push(Clause::random(dice)),
        }
    }

    fn text(&self) -> String {
        let mut predicates = Vec::new();
        for (at, predicate) in self.predicates.iter().enumerate() {
            if !PREDICATES[*predicate].is_empty() {
                predicates.push(PREDICATES[*predicate].replace('#', &at.to_string()));
            }
        }
        let bound: Vec<&str> = ["$v0", "$v1", "$n0", "$n", "$w0"]
            .into_iter()
            .filter(|name| predicates.iter().any(|text| text.contains(name)))
            .collect();
        let clauses = self.clauses.iter().map(|clause| clause.text(&bound));
        let parts: Vec<String> = predicates.iter().cloned().chain(clauses).collect();
        if parts.is_empty() {
            return String::new();
        }
        let query = format!("{}{}", parts.join(", "), SCOPES[self.scope]);
        // What does not hold has the next alternative asked.
        let failing = format!("{}, 1 > 2{}", parts.join(", "), SCOPES[self.scope]);
        let queries = (1..self.queries).map(|_| failing.clone()).chain([query]);
        format!("{} {};", KINDS[self.kind], queries.collect::<Vec<_>>().join(" or "))
    }
}

impl Clause {
    fn random(dice: &mut Dice) -> Clause {
        Clause {
            form: dice.below(FORMS),
            variable: dice.below(5),
            literal: Literal::random(dice),
            times: 1 + dice.below(4),
            lazy: dice.below(3),
            closure: dice.below(5),
        }
    }

    fn mutate(&mut self, dice: &mut Dice) {
        match dice.below(9) {
            0 => self.form = dice.below(FORMS),
            1 => self.variable = dice.below(5),
            2 => self.times = dice.near(self.times, 15).max(1),
            3 => self.lazy = dice.below(5),
            4 => self.closure = dice.below(5),
            5 => self.literal.kind = dice.below(LITERALS),
            6 => self.literal.width = dice.near(self.literal.width, 64),
            7 => self.literal.height = dice.below(9),
            _ => self.literal.bytes = dice.near(self.literal.bytes, 1024),
        }
    }

    fn text(&self, bound: &[&str]) -> String {
        let literal = self.literal.text();
        let subject = match (self.closure, bound.get(self.variable % bound.len().max(1))) {
            (1 | 2, _) => "$p",
            (_, Some(name)) => name,
            (_, None) => literal.as_str(),
        };
        let mut text = self.condition(subject, &literal);
        text = match self.closure {
            1 => format!("{literal}.all($p -> {text})"),
            2 => match bound.get(self.variable % bound.len().max(1)) {
                Some(name) => format!("{name}.all($p -> {text})"),
                None => format!("{literal}.any($p -> {text})"),
            },
            _ => text,
        };
        for level in 0..self.lazy {
            text = match level % 2 {
                0 => format!("(true && ({text}))"),
                _ => format!("(false || ({text}))"),
            };
        }
        text
    }

    fn condition(&self, v: &str, literal: &str) -> String {
        let needle = |text: &str| format!("\"{}\"", text);
        let bytes = self.literal.bytes.clamp(1, 1000);
        let operand = self.literal.bytes.clamp(1, 480);
        // Left before right, so that all are on the stack at once.
        let pile = |value: &str, operator: &str| {
            let mut text = value.to_owned();
            for _ in 0..self.times {
                text = format!("{value} {operator} ({text})");
            }
            text
        };
        match self.form {
            0 => format!("{v} != {literal}"),
            1 => format!("{v} == {v}"),
            2 => format!("{literal}.contains({literal})"),
            3 => format!("{literal}.union({literal}).length() >= 0"),
            4 => format!("{literal}.intersection({literal}).length() >= 0"),
            5 => format!("!{v}.contains({})", needle(&("a".repeat(bytes) + "b"))),
            6 => format!(
                "!{v}.contains({})",
                needle(&("a".repeat(bytes / 2) + "b" + &"a".repeat(bytes / 2)))
            ),
            7 => format!("{v}.starts_with({v})"),
            8 => format!("{v}.ends_with({v})"),
            9 => format!("{} != \"\"", vec![v; self.times.clamp(2, 5)].join(" + ")),
            10 => format!("{v}.type() != \"x\""),
            11 => format!("{v}.length() >= 0"),
            12 => format!("{v}.get(1) != 1"),
            13 => format!("{v}.get(\"k0\") != 1"),
            14 => format!("{v}.extern::hardtack_path(\"/{}\")", "a".repeat(operand)),
            15 => {
                format!("{v}.extern::hardtack_path(\"{}\") || true", "/a".repeat(operand / 2 + 1))
            }
            16 => format!("{v}.extern::hardtack_url(\"https://a.b\")"),
            17 => {
                format!(
                    "{v}.extern::hardtack_url(\"https://*/{}\") || true",
                    "a/".repeat(operand / 2)
                )
            }
            18 => {
                format!("{v}.extern::hardtack_glob(\"{}\") || true", "*a".repeat(operand / 2 + 1))
            }
            19 => {
                format!("{v}.extern::hardtack_glob(\"{}\") || true", "a?**".repeat(operand / 4 + 1))
            }
            20 => format!("{v}.extern::hardtack_network(\"2000::/3\") || true"),
            21 => format!("({}) != 1", pile(v, "==")),
            22 => format!("({}) != 1", pile(literal, "==")),
            23 => format!("{} < 9", vec!["1"; self.times + 1].join(" - ")),
            24 => format!("{} != 9", vec![v; self.times + 1].join(" * ")),
            25 => format!("{literal}.contains({v}) || true"),
            26 => format!("!{v}.contains({})", needle(&("a".repeat(bytes.min(6)) + "ba"))),
            27 => format!("{v} == ({literal} == ({v} == ({literal} == {v}))) || true"),
            28 => {
                let mut text = format!("{literal}.length() >= 0");
                for _ in 0..self.times {
                    text = format!("{text} && {literal}.length() >= 0");
                }
                text
            }
            _ => format!("{v}.contains({v}) || true"),
        }
    }
}

/// How many kinds of literals there are.
pub const LITERALS: usize = 12;

impl Literal {
    fn random(dice: &mut Dice) -> Literal {
        Literal {
            kind: dice.below(LITERALS),
            width: dice.below(64),
            height: dice.below(4),
            bytes: dice.below(64),
        }
    }

    fn text(&self) -> String {
        let mut width = self.width.clamp(1, 64);
        loop {
            let text = self.of_width(width);
            if text.len() <= MOST_LITERAL || width == 1 {
                return text;
            }
            width /= 2;
        }
    }

    fn of_width(&self, width: usize) -> String {
        let many = |element: &dyn Fn(usize) -> String, most: usize| {
            (0..width.min(most)).map(element).collect::<Vec<_>>().join(",")
        };
        let bytes = self.bytes.clamp(1, 512);
        let nest = |open: &str, inner: &str, close: &str| {
            let height = self.height.clamp(1, 7);
            format!("{}{inner}{}", open.repeat(height), close.repeat(height))
        };
        match self.kind {
            0 => format!("{{{}}}", many(&|at| at.to_string(), 64)),
            1 => format!("[{}]", many(&|at| at.to_string(), 64)),
            2 => format!("{{{}}}", many(&|at| format!("\"k{at}\""), 64)),
            3 => format!("{{{}}}", many(&|at| format!("hex:{at:02x}"), 64)),
            4 => format!("[{}]", many(&|_| format!("hex:{}", "00".repeat(bytes)), 64)),
            5 => format!("[{}]", many(&|_| nest("[", "1", "]"), 64)),
            6 => format!("[{}]", many(&|_| nest("{\"k0\":", "1", "}"), 64)),
            7 => format!("{{{}}}", many(&|at| format!("\"k{at}\":{at}"), 64)),
            8 => format!("\"{}\"", "a".repeat(bytes)),
            9 => {
                let row = format!("[{}]", many(&|at| at.to_string(), 64));
                format!("[{}]", vec![row; self.height.clamp(1, 8)].join(","))
            }
            10 => {
                let row = format!("[{}]", many(&|_| format!("hex:{}", "00".repeat(bytes)), 64));
                format!("[{}]", vec![row; self.height.clamp(1, 8)].join(","))
            }
            _ => {
                let row = format!("[{}]", many(&|_| "{\"k0\":1}".to_owned(), 64));
                format!("[{}]", vec![row; self.height.clamp(1, 8)].join(","))
            }
        }
    }
}
