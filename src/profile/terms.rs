//! Terms: may a block's facts and checks contain this, and does every number in them mean a word?

use std::cell::Cell;

use biscuit_auth::datalog::{Fact, SymbolTable};
use biscuit_auth::format::schema;

use crate::function::Function;
use crate::profile::error::{ShapeError, within};
use crate::profile::shape::reading;
use crate::profile::*;

/// The latest moment that RFC 3339 can write, in seconds since 1970.
const MAX_DATE: u64 = crate::timestamp::Timestamp::MAX.unix_seconds();

/// Binary operations that are refused in tokens: one regular expression can cost 92 ms and 34 MiB,
/// and `try_or` hides the errors on which refusing depends.
const REFUSED_BINARY: [(schema::op_binary::Kind, &str); 2] = [
    (schema::op_binary::Kind::Regex, "a regular expression"),
    (schema::op_binary::Kind::TryOr, "try_or"),
];

/// A verifier may have registered whatever it likes for its own policies; a token calls the profile's own
/// functions only.
const FOREIGN_FUNCTION: &str = "an external function that is not the profile's";

/// Reads one block's facts and checks by its table.
pub(super) struct Terms<'a> {
    pub(super) block: usize,
    pub(super) symbols: &'a SymbolTable,
    /// How many public keys the block's numbers can mean.
    pub(super) keys: usize,
    /// How many bytes of words were written out so far, in all blocks.
    pub(super) written: &'a Cell<usize>,
}

/// Where a term stands: a variable is a value in a query and nonsense in a fact.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Fact,
    Query,
}

impl Terms<'_> {
    pub(super) fn fact(&self, fact: &schema::Fact) -> Result<Fact, ShapeError> {
        self.predicate(&fact.predicate, Place::Fact)?;
        reading::fact(fact).map_err(|_| ShapeError::Encoding { block: self.block })
    }

    pub(super) fn check(&self, check: &schema::Check) -> Result<(), ShapeError> {
        within(self.block, check.queries.len(), MAX_QUERIES_PER_CHECK, "alternatives in a check")?;
        if check.queries.is_empty() {
            return Err(self.content("a check that asks nothing"));
        }
        check.queries.iter().try_for_each(|query| self.query(query))
    }

    fn query(&self, query: &schema::Rule) -> Result<(), ShapeError> {
        within(self.block, query.body.len(), MAX_PREDICATES_PER_QUERY, "predicates in a query")?;
        self.predicate(&query.head, Place::Query)?;
        query.body.iter().try_for_each(|predicate| self.predicate(predicate, Place::Query))?;
        let mut counts = Counts::default();
        for expression in &query.expressions {
            self.operations(&expression.ops, &mut counts, Nesting::default())?;
        }
        within(self.block, counts.operations, MAX_OPERATIONS_PER_QUERY, "operations in a query")?;
        within(self.block, counts.additions, MAX_ADDITIONS_PER_QUERY, "additions in a query")?;
        within(self.block, query.scope.len(), 1, "trusted origins in a query")?;
        query.scope.iter().try_for_each(|scope| self.scope(scope))
    }

    fn scope(&self, scope: &schema::Scope) -> Result<(), ShapeError> {
        use schema::scope::Content;
        match scope.content {
            Some(Content::PublicKey(index)) => self.key(index),
            // Biscuit's own reading, which the block goes through last, refuses all but `authority` and `previous`.
            Some(Content::ScopeType(_)) | None => Ok(()),
        }
    }

    fn key(&self, index: i64) -> Result<(), ShapeError> {
        match usize::try_from(index) {
            Ok(index) if index < self.keys => Ok(()),
            _ => Err(ShapeError::Symbols { block: self.block }),
        }
    }

    fn operations(
        &self,
        ops: &[schema::Op],
        counts: &mut Counts,
        nesting: Nesting,
    ) -> Result<(), ShapeError> {
        use schema::op::Content;
        for op in ops {
            counts.operations += 1;
            match &op.content {
                Some(Content::Value(term)) => self.term(term, Place::Query, 0)?,
                Some(Content::Unary(unary)) => self.unary(unary)?,
                Some(Content::Binary(binary)) => self.binary(binary, counts, nesting)?,
                Some(Content::Closure(closure)) => {
                    let nesting = self.nest(closure, nesting)?;
                    self.operations(&closure.ops, counts, nesting)?;
                }
                None => return Err(ShapeError::Encoding { block: self.block }),
            }
        }
        Ok(())
    }

    fn unary(&self, unary: &schema::OpUnary) -> Result<(), ShapeError> {
        match schema::op_unary::Kind::from_i32(unary.kind) {
            Some(schema::op_unary::Kind::Ffi) => Err(self.content(FOREIGN_FUNCTION)),
            // Biscuit's own reading, which the block goes through last, knows the others, and none with a function's name.
            _ => Ok(()),
        }
    }

    fn binary(
        &self,
        binary: &schema::OpBinary,
        counts: &mut Counts,
        nesting: Nesting,
    ) -> Result<(), ShapeError> {
        let wrong = ShapeError::Encoding { block: self.block };
        let kind = schema::op_binary::Kind::from_i32(binary.kind).ok_or(wrong.clone())?;
        if let Some((_, what)) = REFUSED_BINARY.iter().find(|(refused, _)| *refused == kind) {
            return Err(self.content(what));
        }
        if kind == schema::op_binary::Kind::Add {
            counts.additions += 1;
            if nesting.parameterised {
                // Each turn of the closure would leave a longer string behind.
                return Err(self.content("an addition inside .all or .any"));
            }
        }
        match (kind, binary.ffi_name) {
            (schema::op_binary::Kind::Ffi, Some(name)) => self.function(name),
            (schema::op_binary::Kind::Ffi, None) | (_, Some(_)) => Err(wrong),
            (_, None) => Ok(()),
        }
    }

    fn function(&self, name: u64) -> Result<(), ShapeError> {
        self.word(name)?;
        match self.symbols.get_symbol(name).and_then(Function::named) {
            Some(_) => Ok(()),
            None => Err(self.content(FOREIGN_FUNCTION)),
        }
    }

    fn nest(&self, closure: &schema::OpClosure, nesting: Nesting) -> Result<Nesting, ShapeError> {
        let parameterised = !closure.params.is_empty();
        if parameterised && nesting.parameterised {
            return Err(self.content("a closure within a closure"));
        }
        within(self.block, closure.params.len(), 1, "parameters of a closure")?;
        closure.params.iter().try_for_each(|name| self.word(u64::from(*name)))?;
        let lazy = nesting.lazy + usize::from(!parameterised);
        within(self.block, lazy, MAX_LAZY_DEPTH, "levels of && and ||")?;
        Ok(Nesting { parameterised: parameterised || nesting.parameterised, lazy })
    }

    fn predicate(&self, predicate: &schema::Predicate, place: Place) -> Result<(), ShapeError> {
        self.word(predicate.name)?;
        within(self.block, predicate.terms.len(), MAX_COLLECTION, "terms in a predicate")?;
        predicate.terms.iter().try_for_each(|term| self.term(term, place, 0))
    }

    fn term(&self, term: &schema::Term, place: Place, depth: usize) -> Result<(), ShapeError> {
        use schema::term::Content;
        within(self.block, depth, MAX_TERM_DEPTH, "levels of nested terms")?;
        match &term.content {
            // Biscuit fills in a variable only where it stands alone.
            Some(Content::Variable(name)) if place == Place::Query && depth == 0 => {
                self.word(u64::from(*name))
            }
            Some(Content::Variable(_)) => Err(self.content("a variable where a value belongs")),
            Some(Content::String(word)) => self.word(*word),
            Some(Content::Date(seconds)) if *seconds > MAX_DATE => {
                Err(self.content("a date after the year 9999"))
            }
            Some(Content::Bytes(bytes)) => {
                within(self.block, bytes.len(), MAX_STRING_BYTES, "bytes in a byte array")
            }
            Some(Content::Set(set)) => self.terms(&set.set, place, depth, Repeats::Refused),
            Some(Content::Array(array)) => self.terms(&array.array, place, depth, Repeats::Allowed),
            Some(Content::Map(map)) => self.map(map, place, depth),
            Some(Content::Integer(_) | Content::Date(_) | Content::Bool(_) | Content::Null(_)) => {
                Ok(())
            }
            None => Err(ShapeError::Encoding { block: self.block }),
        }
    }

    fn terms(
        &self,
        terms: &[schema::Term],
        place: Place,
        depth: usize,
        repeats: Repeats,
    ) -> Result<(), ShapeError> {
        within(self.block, terms.len(), MAX_COLLECTION, "terms in a collection")?;
        for (index, term) in terms.iter().enumerate() {
            if repeats == Repeats::Refused && terms[..index].contains(term) {
                return Err(ShapeError::Encoding { block: self.block });
            }
            self.term(term, place, depth + 1)?;
        }
        Ok(())
    }

    fn map(&self, map: &schema::Map, place: Place, depth: usize) -> Result<(), ShapeError> {
        use schema::map_key::Content;
        within(self.block, map.entries.len(), MAX_COLLECTION, "entries in a map")?;
        for (index, entry) in map.entries.iter().enumerate() {
            let repeated = map.entries[..index].iter().any(|earlier| earlier.key == entry.key);
            match &entry.key.content {
                _ if repeated => return Err(ShapeError::Encoding { block: self.block }),
                Some(Content::String(word)) => self.word(*word)?,
                Some(Content::Integer(_)) => {}
                None => return Err(ShapeError::Encoding { block: self.block }),
            }
            self.term(&entry.value, place, depth + 1)?;
        }
        Ok(())
    }

    fn word(&self, index: u64) -> Result<(), ShapeError> {
        let word = self.symbols.get_symbol(index);
        let word = word.ok_or(ShapeError::Symbols { block: self.block })?;
        self.written.set(self.written.get().saturating_add(word.len()));
        within(self.block, self.written.get(), MAX_WRITTEN_BYTES, "bytes of words where they stand")
    }

    fn content(&self, what: &'static str) -> ShapeError {
        ShapeError::Content { block: self.block, what }
    }
}

#[derive(Default)]
struct Counts {
    operations: usize,
    additions: usize,
}

/// The closures around an operation.
#[derive(Clone, Copy, Default)]
struct Nesting {
    parameterised: bool,
    lazy: usize,
}

#[derive(Clone, Copy, PartialEq)]
enum Repeats {
    Allowed,
    Refused,
}
