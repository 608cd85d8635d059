use biscuit_auth::format::convert::proto_block_to_token_block;

use super::*;

/// Numbers that look random and are the same each time (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn seldom(&mut self) -> bool {
        self.below(40) == 0
    }

    fn some<T>(&mut self, most: u64, mut one: impl FnMut(&mut Numbers) -> T) -> Vec<T> {
        (0..self.below(most + 1)).map(|_| one(self)).collect()
    }

    fn term(&mut self, depth: u64) -> schema::Term {
        use schema::term::Content;
        let kind = self.below(if depth == 0 { 7 } else { 10 });
        let content = match kind {
            0 => Content::Variable(self.below(9) as u32),
            1 => Content::Integer(self.below(9) as i64),
            2 => Content::String(self.below(9)),
            3 => Content::Date(self.below(9)),
            4 => Content::Bytes(vec![7; self.below(3) as usize]),
            5 => Content::Bool(self.below(2) == 0),
            6 => Content::Null(schema::Empty {}),
            7 => {
                let first = self.term(depth - 1);
                let set = self.some(3, |numbers| match numbers.below(8) {
                    0 => numbers.term(depth - 1),
                    _ => first.clone(),
                });
                Content::Set(schema::TermSet { set })
            }
            8 => Content::Array(schema::Array { array: self.some(3, |it| it.term(depth - 1)) }),
            _ => Content::Map(schema::Map { entries: self.some(3, |it| it.entry(depth - 1)) }),
        };
        schema::Term { content: (!self.seldom()).then_some(content) }
    }

    fn entry(&mut self, depth: u64) -> schema::MapEntry {
        use schema::map_key::Content;
        let content = match self.below(2) {
            0 => Content::Integer(self.below(3) as i64),
            _ => Content::String(self.below(3)),
        };
        let key = schema::MapKey { content: (!self.seldom()).then_some(content) };
        schema::MapEntry { key, value: self.term(depth) }
    }

    fn predicate(&mut self) -> schema::Predicate {
        schema::Predicate { name: self.below(9), terms: self.some(3, |it| it.term(2)) }
    }

    fn op(&mut self, depth: u64) -> schema::Op {
        use schema::op::Content;
        let ffi = |it: &mut Numbers, is: bool| (is != it.seldom()).then_some(7);
        let content = match self.below(if depth == 0 { 3 } else { 4 }) {
            0 => Content::Value(self.term(2)),
            1 => {
                let kind = self.below(6) as i32;
                let is_ffi = kind == schema::op_unary::Kind::Ffi as i32;
                Content::Unary(schema::OpUnary { kind, ffi_name: ffi(self, is_ffi) })
            }
            2 => {
                let kind = self.below(31) as i32;
                let is_ffi = kind == schema::op_binary::Kind::Ffi as i32;
                Content::Binary(schema::OpBinary { kind, ffi_name: ffi(self, is_ffi) })
            }
            _ => Content::Closure(schema::OpClosure {
                params: self.some(2, |it| it.below(9) as u32),
                ops: self.some(3, |it| it.op(depth - 1)),
            }),
        };
        schema::Op { content: (!self.seldom()).then_some(content) }
    }

    fn scope(&mut self) -> schema::Scope {
        use schema::scope::Content;
        let content = match self.below(2) {
            0 => Content::ScopeType(self.below(3) as i32),
            _ => Content::PublicKey(self.below(3) as i64),
        };
        schema::Scope { content: (!self.seldom()).then_some(content) }
    }

    fn rule(&mut self) -> schema::Rule {
        schema::Rule {
            head: self.predicate(),
            body: self.some(2, Numbers::predicate),
            expressions: self.some(2, |it| schema::Expression { ops: it.some(3, |it| it.op(2)) }),
            scope: if self.below(4) == 0 { self.some(2, Numbers::scope) } else { Vec::new() },
        }
    }

    fn check(&mut self) -> schema::Check {
        let kind = (self.below(3) > 0).then(|| self.below(4) as i32);
        schema::Check { queries: self.some(2, Numbers::rule), kind }
    }

    fn block(&mut self) -> schema::Block {
        schema::Block {
            version: (!self.seldom()).then(|| self.below(6) as u32 + 2),
            facts: self.some(2, |it| schema::Fact { predicate: it.predicate() }),
            checks: self.some(2, Numbers::check),
            ..schema::Block::default()
        }
    }
}

/// What is read of a block, and whether it is, does not differ from what Biscuit reads.
#[test]
fn a_block_reads_as_biscuit_reads_it_or_neither_does() {
    let mut numbers = Numbers(7);
    let mut read = [0; 2];
    for _ in 0..60_000 {
        let block = numbers.block();
        let theirs = proto_block_to_token_block(&block, None).ok();
        let theirs = theirs.map(|block| (block.facts, block.checks));
        let ours = all(&block.facts, fact);
        let ours = ours.and_then(|facts| Ok((checks(&block, &facts)?, facts)));
        let ours = ours.ok().map(|(checks, facts)| (facts, checks));
        assert_eq!(ours, theirs, "{block:?}");
        read[usize::from(ours.is_some_and(|(_, checks)| !checks.is_empty()))] += 1;
    }
    assert!(read.iter().all(|count| *count > 2_000), "{read:?} of each kind");
}

#[test]
fn each_list_has_room_for_what_is_in_it() {
    let mut numbers = Numbers(8);
    let tight = |length: usize, room: usize| assert_eq!(length, room);
    let mut seen = 0;
    for _ in 0..20_000 {
        let block = numbers.block();
        let Ok(facts) = all(&block.facts, fact) else { continue };
        let Ok(checks) = checks(&block, &facts) else { continue };
        tight(facts.len(), facts.capacity());
        tight(checks.len(), checks.capacity());
        for rule in checks.iter().flat_map(|check| &check.queries) {
            tight(rule.body.len(), rule.body.capacity());
            rule.body.iter().for_each(|one| tight(one.terms.len(), one.terms.capacity()));
            rule.expressions.iter().for_each(|one| tight(one.ops.len(), one.ops.capacity()));
            seen += 1;
        }
    }
    assert!(seen > 1000, "{seen}");
}
