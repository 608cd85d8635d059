//! Problem: for what a policy file is refused, in the words of the loader and the linter.

use crate::datalog::Unfollowed;
use crate::function::Function;
use crate::profile::issuing::ASSERTED;

/// A problem for which a statement, or a whole file, is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each says in its words what it is")]
pub enum Problem {
    #[error("brackets stand more than {most} deep")]
    TooDeep { most: usize },
    #[error("a statement has more than {most} bytes; split it into several")]
    TooLong { most: usize },
    #[error("the file says nothing; write an `allow if` or `deny if`, or delete it")]
    Empty,
    #[error("this is no fact, rule, check, `allow if` or `deny if`, or its `;` is missing{}", hint.map(|hint| format!(": {hint}")).unwrap_or_default())]
    Unreadable { hint: Option<&'static str> },
    #[error(
        "Biscuit's own parser reads this statement differently, so that nobody can say what it means; write it plainer, in ASCII but for what stands in quotation marks"
    )]
    ReadDifferently,
    #[error("this text has no quotation mark at its end")]
    OpenText,
    #[error("a comment may stand between statements only, not within one")]
    InnerComment,
    #[error("this comment has no `*/` at its end")]
    OpenComment,
    #[error(
        "a carriage return alone ends no line, so that what follows it here would be part of the comment"
    )]
    LoneReturn,
    #[error("`{name}` is reserved: only Hardtack itself asserts it; choose another name")]
    Reserved { name: String },
    #[error("a fact has no variables; a rule (`head($x) <- body($x)`) does")]
    VariableInFact,
    #[error(
        "`{name}` would show the grant's words and not the chain's; see the words in policies/README.md, such as granted($op) or delegated($k, $by, $to)"
    )]
    ReadsGrant { name: String },
    #[error(
        "`trusting` has no use in a policy: the facts of hops are not there to be read; use delegated($k, $by, $to) or agent($name)"
    )]
    Trusting,
    #[error("${name} is compared, but no predicate gives it a value")]
    Unbound { name: String },
    #[error("${name} stands in the head and no predicate of the body gives it a value")]
    UnboundInHead { name: String },
    #[error("there is no external function `{name}`; there are {}, each with one text", Function::ALL.map(Function::name).join(", "))]
    External { name: String },
    #[error(
        "what {name} compares with must be written out, so that it can be tried when it is loaded"
    )]
    OperandNotWritten { name: String },
    #[error("{name}({operand:?}): {why}")]
    BadOperand { name: String, operand: String, why: String },
    #[error(
        "a pattern for .matches() must be written out, so that it can be tried when it is loaded"
    )]
    PatternNotWritten,
    #[error("`{}` is no regular expression", pattern.escape_debug())]
    NoRegex { pattern: String },
    #[error("{why}; {}", why.mend())]
    Name { why: Unfollowed },
    #[error("a {{parameter}} has no value here; write the value")]
    Parameter,
    #[error(
        "`{name}` is a word for calls; a set of an issuer reads {}, and what its own facts and rules say", ASSERTED.iter().map(|word| word.name).collect::<Vec<_>>().join(", ")
    )]
    WordOfCalls { name: String },
    #[error(
        "{name} begins with a time zone that is written out, as in {name}(\"Europe/Berlin\", $value)"
    )]
    ZoneNotWritten { name: String },
    #[error("{why}")]
    NoZone { why: String },
    #[error("the set names more than {most} time zones")]
    TooManyZones { most: usize },
    #[error("{name} is written {form}")]
    OtherForm { name: String, form: String },
    #[error("{why}")]
    NothingToOffer { why: String },
}
