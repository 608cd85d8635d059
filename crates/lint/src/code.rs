//! Code: the names of what the linter finds, and how bad each is.

use std::fmt;

use serde::{Serialize, Serializer};

/// The severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// An error: the set does not load, or a policy does not do what it says.
    Error,
    /// A warning: a policy is risky or useless.
    Warning,
    /// A note: worth a look, and often as it should be. Found only where it is asked for.
    Note,
}

/// A rule that a policy breaks, by its stable name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Code {
    /// Text that is no statement.
    Unreadable,
    /// Brackets that stand too deep for the loader.
    TooDeep,
    /// A statement that is too long for the loader.
    TooLong,
    /// A file that says nothing.
    EmptyFile,
    /// A folder without policies.
    NoPolicies,
    /// A set without any `allow if`.
    AllowsNothing,
    /// A variable in a fact.
    VariableInFact,
    /// A variable that no predicate binds.
    UnboundVariable,
    /// A `{parameter}`, which a policy cannot have.
    Parameter,
    /// A fact or rule that asserts one of Hardtack's own words.
    ReservedPredicate,
    /// A word of the grant that would not show what the chain left of it.
    ReadsGrant,
    /// `trusting …`, which has no use in a policy.
    TrustsScope,
    /// An external function that there is not.
    ExternalFunction,
    /// A text that a function cannot compare with.
    FunctionOperand,
    /// A pattern that is no regular expression.
    NoRegex,
    /// A pattern that is not written out.
    PatternNotWritten,
    /// A time zone that there is not, or that is not written out.
    TimeZone,
    /// A denial that would find the name of an argument in some of its spellings only.
    NameSpelling,
    /// A word that nothing asserts.
    UnknownPredicate,
    /// A word with another number of terms.
    WrongArity,
    /// Values that are compared with what they can never equal, or not at all.
    WrongType,
    /// A text in the place of a key that is none.
    KeyLiteral,
    /// A condition or body that can never hold.
    NeverMatches,
    /// A condition or body that holds for every call.
    AlwaysHolds,
    /// An `allow if` for every call, or nearly every one.
    CatchAllAllow,
    /// A regular expression that matches a part of the text.
    UnanchoredRegex,
    /// A comparison of texts that lets more through than it seems to.
    LooseMatch,
    /// An `allow if` that rests on what a delegator calls its agent.
    RestsOnName,
    /// A `check if` that is content with one of several facts.
    CheckIfOverMany,
    /// `.try_or()`, which takes an error for an answer.
    HidesErrors,
    /// A statement whose evaluation can grow beyond what a decision may take.
    Costly,
    /// A fact or rule that nothing reads.
    NeverRead,
    /// A fact that is already there.
    DuplicateFact,
    /// A text that stands once, and nearly like another that stands there often.
    Misspelt,
    /// A refusal that rests on an argument which the agent may leave out.
    OptionalArgument,
    /// A condition that lets through every text but some.
    ExcludesValue,
    /// A fact that is there for every call, and that is compared with nothing.
    MissingJoin,
    /// A number that has an upper bound and no lower one.
    NoLowerBound,
    /// `.any()` where all elements are meant, or `.all()` where any is.
    AnyForAll,
    /// A check that only calls of one tool pass, in a set that allows others.
    CheckForOneTool,
    /// A table of moments that is over, or nearly so, and by which calls are refused.
    TableEnds,
    /// An alternative of an `or` that lacks the conditions which were meant for all.
    LooseOr,
    /// A tool that the server does not list.
    UnknownTool,
    /// An argument that the server's schema of the tool does not name.
    UnknownArgument,
    /// An argument that is compared as another type than the server's schema says.
    ArgumentType,
    /// An argument that is compared with what the server's schema does not list among its values.
    ArgumentValue,
    /// Arguments of an allowed tool that nothing looks at.
    OpenArgument,
}

impl Code {
    /// Returns the stable name of the rule, such as `catch-all-allow`.
    pub fn name(self) -> &'static str {
        match self {
            Code::Unreadable => "unreadable",
            Code::TooDeep => "too-deep",
            Code::TooLong => "too-long",
            Code::EmptyFile => "empty-file",
            Code::NoPolicies => "no-policies",
            Code::AllowsNothing => "allows-nothing",
            Code::VariableInFact => "variable-in-fact",
            Code::UnboundVariable => "unbound-variable",
            Code::Parameter => "parameter",
            Code::ReservedPredicate => "reserved-predicate",
            Code::ReadsGrant => "reads-grant",
            Code::TrustsScope => "trusts-scope",
            Code::ExternalFunction => "external-function",
            Code::FunctionOperand => "function-operand",
            Code::NoRegex => "no-regex",
            Code::PatternNotWritten => "pattern-not-written",
            Code::TimeZone => "time-zone",
            Code::NameSpelling => "name-spelling",
            Code::UnknownPredicate => "unknown-predicate",
            Code::WrongArity => "wrong-arity",
            Code::WrongType => "wrong-type",
            Code::KeyLiteral => "key-literal",
            Code::NeverMatches => "never-matches",
            Code::AlwaysHolds => "always-holds",
            Code::CatchAllAllow => "catch-all-allow",
            Code::UnanchoredRegex => "unanchored-regex",
            Code::LooseMatch => "loose-match",
            Code::RestsOnName => "rests-on-name",
            Code::CheckIfOverMany => "check-if-over-many",
            Code::HidesErrors => "hides-errors",
            Code::Costly => "costly",
            Code::NeverRead => "never-read",
            Code::DuplicateFact => "duplicate-fact",
            Code::Misspelt => "misspelt",
            Code::OptionalArgument => "optional-argument",
            Code::ExcludesValue => "excludes-value",
            Code::MissingJoin => "missing-join",
            Code::NoLowerBound => "no-lower-bound",
            Code::AnyForAll => "any-for-all",
            Code::CheckForOneTool => "check-for-one-tool",
            Code::TableEnds => "table-ends",
            Code::LooseOr => "loose-or",
            Code::UnknownTool => "unknown-tool",
            Code::UnknownArgument => "unknown-argument",
            Code::ArgumentType => "argument-type",
            Code::ArgumentValue => "argument-value",
            Code::OpenArgument => "open-argument",
        }
    }

    /// Returns the severity of findings of this rule.
    pub fn severity(self) -> Severity {
        match self {
            Code::AlwaysHolds
            | Code::CatchAllAllow
            | Code::UnanchoredRegex
            | Code::LooseMatch
            | Code::RestsOnName
            | Code::CheckIfOverMany
            | Code::HidesErrors
            | Code::Costly
            | Code::NeverRead
            | Code::DuplicateFact
            | Code::Misspelt
            | Code::OptionalArgument
            | Code::ExcludesValue
            | Code::MissingJoin
            | Code::NoLowerBound
            | Code::AnyForAll
            | Code::CheckForOneTool
            | Code::TableEnds
            | Code::LooseOr
            | Code::UnknownArgument => Severity::Warning,
            Code::OpenArgument => Severity::Note,
            _ => Severity::Error,
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
