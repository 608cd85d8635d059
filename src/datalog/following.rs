//! Following: what does an expression do with names of arguments, and how does it read with these folded?
//!
//! What compares a name with something is asked of both folded. All else stays as it is written. Where a name is put
//! together, reckoned with or looked for in what was, no spelling could be told from another, and that is not followed.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use biscuit_auth::datalog::{Binary, Expression, Op, Rule, Term, Unary};

use crate::datalog::pattern::{glob_of_names, regex_of_names};
use crate::datalog::words::{Mode, Words};
use crate::function::Function;

/// What a denial does with the name of an argument so that not every spelling of it would be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[allow(missing_docs, reason = "each says in its words what it is")]
pub enum Unfollowed {
    #[error(
        "the name of an argument is put together or reckoned with, so that its other spellings would not be found"
    )]
    Made,
    #[error(
        "the name of an argument is compared with what an expression makes, so that its other spellings would not be found"
    )]
    Compared,
    #[error("this pattern would find the name of an argument in some of its spellings only")]
    Pattern,
    #[error("this function would find the name of an argument in some of its spellings only")]
    Function,
    #[error(
        "a name of an argument is looked up in a map of which two keys are that name, with different values"
    )]
    Keys,
    #[error(
        "elements of a list are compared with the name of an argument in one way and with something in another"
    )]
    Mixed,
    #[error("this rests on a rule that would find the name of an argument in some spellings only")]
    Rule,
}

impl Unfollowed {
    /// What to write instead.
    pub fn mend(self) -> &'static str {
        match self {
            Unfollowed::Made | Unfollowed::Rule => {
                "compare the name itself, as in `$name == \"force\"`, `[\"force\", \"purge\"].contains($name)` or `$name.starts_with(\"x-\")`"
            }
            Unfollowed::Compared => {
                "compare it with a text that is written out, a list of such texts, or a fact"
            }
            Unfollowed::Pattern => {
                "write the pattern in ASCII and without telling capitals from small letters (`[a-z]` or `[A-Za-z]`, not `[A-Z]`, `\\p{Lu}` or `(?-i)`), or compare the name with texts, as in `[\"force\"].contains($name)` or `$name.starts_with(\"x-\")`"
            }
            Unfollowed::Function => {
                "use hardtack_glob, or compare the name with texts, as in `$name.starts_with(\"x-\")`"
            }
            Unfollowed::Keys => "keep one spelling of the key",
            Unfollowed::Mixed => {
                "write two conditions, or a fact for each element and compare the name with that"
            }
        }
    }
}

/// Variables that stand for what others are folded to, by these and how.
pub(super) type Folded = BTreeMap<(u32, Mode), u32>;

/// The expressions of a query as they read for folded names.
#[derive(Debug, Clone, Default)]
pub(super) struct Followed {
    pub(super) expressions: Vec<Expression>,
    pub(super) folded: Folded,
    /// An expression asks more than it did.
    pub(super) wide: bool,
}

impl Followed {
    /// Of a query in which these variables are names.
    pub(super) fn of(
        query: &Rule,
        names: &HashSet<u32>,
        words: &mut Words,
    ) -> Result<Followed, Unfollowed> {
        let (found, params) = (Followed::default(), Vec::new());
        let mut follower = Follower { names, words, params, found };
        for expression in &query.expressions {
            let part = follower.follow(&expression.ops)?;
            follower.found.expressions.push(Expression { ops: part.ops });
        }
        Ok(follower.found)
    }

    /// The variable for what another one is folded to.
    pub(super) fn variable(&mut self, variable: u32, mode: Mode) -> u32 {
        // From the end, which no word's number reaches.
        let next = u32::MAX - u32::try_from(self.folded.len()).unwrap_or(u32::MAX / 2);
        *self.folded.entry((variable, mode)).or_insert(next)
    }
}

/// What is on the stack of an expression.
enum Kind {
    /// A name, folded as a whole.
    Name,
    Constant(Term),
    /// A variable that is no name.
    Value(u32),
    /// A value that was made of others, of no names.
    Made,
    Closure(Vec<u32>, Vec<Op>),
}

struct Part {
    ops: Vec<Op>,
    kind: Kind,
}

impl Part {
    fn is_name(&self) -> bool {
        matches!(self.kind, Kind::Name)
    }
}

/// How the elements of a list are used: as they are written, or folded.
type Uses = BTreeSet<Option<Mode>>;

struct Follower<'a> {
    names: &'a HashSet<u32>,
    words: &'a mut Words,
    /// The parameters of the closures around, and how each is used.
    params: Vec<(u32, Uses)>,
    found: Followed,
}

impl Follower<'_> {
    fn follow(&mut self, ops: &[Op]) -> Result<Part, Unfollowed> {
        let mut stack: Vec<Part> = Vec::new();
        for op in ops {
            let part = match op {
                Op::Value(term) => self.value(term, op),
                Op::Closure(parameters, inner) => {
                    let kind = Kind::Closure(parameters.clone(), inner.clone());
                    Part { ops: Vec::new(), kind }
                }
                Op::Unary(operator) => match stack.pop() {
                    Some(part) => self.unary(operator, op, part)?,
                    None => return Err(Unfollowed::Made),
                },
                Op::Binary(operator) => {
                    let (Some(right), Some(left)) = (stack.pop(), stack.pop()) else {
                        return Err(Unfollowed::Made);
                    };
                    self.binary(operator, left, right)?
                }
            };
            stack.push(part);
        }
        let (Some(part), true) = (stack.pop(), stack.is_empty()) else {
            return Err(Unfollowed::Made);
        };
        self.as_written(&part);
        Ok(part)
    }

    fn value(&self, term: &Term, op: &Op) -> Part {
        let kind = match term {
            Term::Variable(name) if self.param(*name).is_none() && self.names.contains(name) => {
                Kind::Name
            }
            Term::Variable(name) => Kind::Value(*name),
            term => Kind::Constant(term.clone()),
        };
        Part { ops: vec![op.clone()], kind }
    }

    fn unary(&mut self, operator: &Unary, op: &Op, mut part: Part) -> Result<Part, Unfollowed> {
        match (operator, &part.kind) {
            (_, Kind::Closure(..)) => return Err(Unfollowed::Made),
            (Unary::Parens, _) => {}
            (Unary::Ffi(_), Kind::Name) => return Err(Unfollowed::Function),
            // How long it is, is asked of the name as it is written and as it is folded.
            _ => {
                self.as_written(&part);
                part.kind = Kind::Made;
            }
        }
        part.ops.push(op.clone());
        Ok(part)
    }

    fn binary(&mut self, operator: &Binary, left: Part, right: Part) -> Result<Part, Unfollowed> {
        match (left, right) {
            (left, Part { kind: Kind::Closure(parameters, inner), .. }) => {
                let left = if parameters.is_empty() { self.plain(left)? } else { left };
                let (left, inner) = self.closure(operator, left, &parameters, &inner)?;
                Ok(joined(left, vec![Op::Closure(parameters, inner)], operator))
            }
            (Part { kind: Kind::Closure(parameters, inner), .. }, right) => {
                // `.try_or()` has its closure on the left.
                let right = self.plain(right)?;
                let (right, inner) = self.closure(operator, right, &parameters, &inner)?;
                let left = Part { ops: vec![Op::Closure(parameters, inner)], kind: Kind::Made };
                Ok(joined(left, right.ops, operator))
            }
            (left, right) if left.is_name() || right.is_name() => self.named(operator, left, right),
            (left, right) => {
                self.as_written(&left);
                self.as_written(&right);
                Ok(joined(left, right.ops, operator))
            }
        }
    }

    /// What is no name, as it is written.
    fn plain(&mut self, part: Part) -> Result<Part, Unfollowed> {
        self.as_written(&part);
        if part.is_name() { Err(Unfollowed::Made) } else { Ok(part) }
    }

    /// A closure, and the list over whose elements it goes, if it does.
    fn closure(
        &mut self,
        operator: &Binary,
        mut list: Part,
        parameters: &[u32],
        inner: &[Op],
    ) -> Result<(Part, Vec<Op>), Unfollowed> {
        let before = self.params.len();
        self.params.extend(parameters.iter().map(|name| (*name, Uses::new())));
        let body = self.follow(inner)?;
        let uses: Uses = self.params.drain(before..).flat_map(|(_, uses)| uses).collect();
        let over_elements = matches!(operator, Binary::All | Binary::Any) && parameters.len() == 1;
        match (body.kind, over_elements) {
            (Kind::Name | Kind::Closure(..), _) => return Err(Unfollowed::Made),
            (_, false) => match uses.iter().any(Option::is_some) {
                true => return Err(Unfollowed::Made),
                false => self.as_written(&list),
            },
            (_, true) => self.elements(&mut list, &uses)?,
        }
        Ok((list, body.ops))
    }

    /// A list by how its elements are used.
    fn elements(&mut self, list: &mut Part, uses: &Uses) -> Result<(), Unfollowed> {
        let folded: Vec<Mode> = uses.iter().copied().flatten().collect();
        match &list.kind {
            Kind::Name | Kind::Closure(..) => Err(Unfollowed::Made),
            _ if folded.is_empty() => {
                self.as_written(list);
                Ok(())
            }
            _ if folded.contains(&Mode::Keys) => Err(Unfollowed::Mixed),
            Kind::Made => Err(Unfollowed::Compared),
            Kind::Constant(term) => {
                let term = term.clone();
                let forms: BTreeSet<Term> = uses
                    .iter()
                    .map(|mode| {
                        mode.map_or_else(|| term.clone(), |mode| self.words.term(&term, mode))
                    })
                    .collect();
                match (forms.len(), forms.into_iter().next()) {
                    (1, Some(form)) => replace(list, form),
                    _ => return Err(Unfollowed::Mixed),
                }
                Ok(())
            }
            Kind::Value(_) if uses.len() > 1 => Err(Unfollowed::Mixed),
            Kind::Value(_) => folded.into_iter().try_for_each(|mode| self.fold(list, mode)),
        }
    }

    /// An operation on a name.
    fn named(
        &mut self,
        operator: &Binary,
        mut left: Part,
        mut right: Part,
    ) -> Result<Part, Unfollowed> {
        match operator {
            Binary::Equal
            | Binary::NotEqual
            | Binary::HeterogeneousEqual
            | Binary::HeterogeneousNotEqual => {
                self.fold(&mut left, Mode::Whole)?;
                self.fold(&mut right, Mode::Whole)?;
            }
            Binary::Contains | Binary::Prefix | Binary::Suffix if left.is_name() => {
                return self.piece(operator, left, right);
            }
            Binary::Contains | Binary::Prefix | Binary::Suffix => {
                self.fold(&mut left, Mode::Whole)?;
            }
            Binary::Get if right.is_name() => match &left.kind {
                Kind::Constant(Term::Map(_)) | Kind::Value(_) => {
                    self.fold(&mut left, Mode::Keys)?;
                    if self.words.took_collision() {
                        return Err(Unfollowed::Keys);
                    }
                }
                _ => return Err(Unfollowed::Made),
            },
            Binary::Regex => {
                self.pattern(&left, &mut right, regex_of_names)?;
            }
            Binary::Ffi(name) if self.words.text(*name) == Some(Function::Glob.name()) => {
                self.pattern(&left, &mut right, glob_of_names)?;
            }
            Binary::Ffi(_) => return Err(Unfollowed::Function),
            _ => return Err(Unfollowed::Made),
        }
        Ok(joined(left, right.ops, operator))
    }

    /// Whether a name has a piece in it. Spaces at the ends of the piece are within the name: whoever looks for ` now` finds
    /// `force now` and not `nowhere`. The piece itself is a name, too, and is found with the spaces around and without.
    fn piece(
        &mut self,
        operator: &Binary,
        name: Part,
        mut piece: Part,
    ) -> Result<Part, Unfollowed> {
        let mode = match operator {
            Binary::Prefix => Mode::Start,
            Binary::Suffix => Mode::End,
            _ => Mode::Piece,
        };
        let mut whole = Part {
            ops: piece.ops.clone(),
            kind: match &piece.kind {
                Kind::Name => Kind::Name,
                Kind::Constant(term) => Kind::Constant(term.clone()),
                Kind::Value(variable) => Kind::Value(*variable),
                Kind::Made | Kind::Closure(..) => return Err(Unfollowed::Compared),
            },
        };
        self.fold(&mut whole, Mode::Whole)?;
        self.fold(&mut piece, mode)?;
        if piece.ops == whole.ops {
            return Ok(joined(name, piece.ops, operator));
        }
        self.found.wide = true;
        let same = Part { ops: name.ops.clone(), kind: Kind::Name };
        let same = joined(same, whole.ops, &Binary::HeterogeneousEqual);
        Ok(joined(joined(name, piece.ops, operator), same.ops, &Binary::Or))
    }

    fn pattern(
        &mut self,
        name: &Part,
        pattern: &mut Part,
        folded: fn(&str) -> Result<String, Unfollowed>,
    ) -> Result<(), Unfollowed> {
        let (true, Kind::Constant(Term::Str(word))) = (name.is_name(), &pattern.kind) else {
            return Err(Unfollowed::Pattern);
        };
        let written = self.words.text(*word).ok_or(Unfollowed::Pattern)?;
        let folded = folded(written)?;
        replace(pattern, Term::Str(self.words.number(folded)));
        Ok(())
    }

    /// What a name is compared with, folded.
    fn fold(&mut self, part: &mut Part, mode: Mode) -> Result<(), Unfollowed> {
        match &part.kind {
            Kind::Name => {}
            Kind::Constant(term) => {
                let folded = self.words.term(term, mode);
                replace(part, folded);
            }
            Kind::Value(variable) => {
                let variable = *variable;
                let folded = match self.param(variable) {
                    Some(at) => {
                        self.params[at].1.insert(Some(mode));
                        variable
                    }
                    None => self.found.variable(variable, mode),
                };
                replace(part, Term::Variable(folded));
            }
            Kind::Made | Kind::Closure(..) => return Err(Unfollowed::Compared),
        }
        Ok(())
    }

    /// Notes that a parameter is used as it is written.
    fn as_written(&mut self, part: &Part) {
        if let Kind::Value(variable) = part.kind
            && let Some(at) = self.param(variable)
        {
            self.params[at].1.insert(None);
        }
    }

    fn param(&self, variable: u32) -> Option<usize> {
        self.params.iter().rposition(|(name, _)| *name == variable)
    }
}

/// A value, in whatever brackets it stands, for another.
fn replace(part: &mut Part, term: Term) {
    if let Some(first) = part.ops.first_mut() {
        *first = Op::Value(term);
    }
}

fn joined(mut left: Part, right: Vec<Op>, operator: &Binary) -> Part {
    left.ops.extend(right);
    left.ops.push(Op::Binary(operator.clone()));
    Part { ops: left.ops, kind: Kind::Made }
}
