//! Said: what a chain, a call and a server say, in words, numbers and lists. Decides nothing.

/// Somebody who has a key.
pub type Key = u8;

/// Seconds from the moment around which everything happens.
pub type Seconds = i64;

pub type Name = &'static str;

#[derive(Debug, Clone)]
pub struct Chain {
    /// Who signed the grant, and the hint that says which key that was.
    pub root: (Option<u32>, Key),
    /// The first block whose signature does not fit.
    pub broken: Option<usize>,
    /// Whether that is the signature of the block's holder, if one signed it.
    pub broken_of_holder: bool,
    pub subject: Name,
    pub issued: Seconds,
    pub max_depth: usize,
    pub grant: Link,
    /// The blocks after the grant: the first has the number 1.
    pub blocks: Vec<Block>,
}

/// What a grant and a hop have in common.
#[derive(Debug, Clone)]
pub struct Link {
    pub scopes: Vec<Name>,
    pub audiences: Vec<Name>,
    pub expires: Seconds,
    pub holder: Option<Key>,
    pub checks: Vec<Check>,
}

#[derive(Debug, Clone)]
pub struct Block {
    pub signer: Option<Key>,
    /// Whether it says over which token it was signed, and whether that is this one.
    pub parent: Option<bool>,
    /// The number that it gives itself.
    pub number: usize,
    pub kind: Kind,
}

#[derive(Debug, Clone)]
pub enum Kind {
    Hop { agent: Name, has_reason: bool, link: Link },
    Caveat(Vec<Check>),
    Presentation { audience: Name, expires: Seconds, call: Option<Call> },
}

#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    pub operation: Name,
    pub scheme: Option<Name>,
    pub arguments: Vec<(Name, Value)>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    Text(Name),
    Number(i64),
}

/// What a block demands of a call.
#[derive(Debug, Clone, Copy)]
pub enum Check {
    /// The argument is there, and one of these texts.
    OneOf(Name, [Name; 2]),
    /// The argument is there, and a number up to this.
    AtMost(Name, i64),
    /// The argument is not there, or a number up to this.
    NotAbove(Name, i64),
    /// The first is a number up to this, or the second is this text.
    AtMostOr(Name, i64, Name, Name),
    /// It is made before.
    Before(Seconds),
    /// There are so many hops at most.
    Depth(usize),
}

/// A server, and what it was told.
#[derive(Debug, Clone)]
pub struct Server {
    pub audience: Name,
    /// The roots that it trusts, under an id or for every token.
    pub roots: Vec<(Option<u32>, Key)>,
    pub accepts_unbound: bool,
    pub directory: Vec<(Name, Key)>,
    pub revoked_holders: Vec<Key>,
    pub revoked_agents: Vec<Name>,
    /// A subject, and the moment of its revocation.
    pub revoked_subjects: Vec<(Name, Seconds)>,
    /// What its policies check, deny beyond a number of hops, deny above an amount, and do not allow.
    pub checked: Name,
    pub denied_beyond: (Name, usize),
    pub denied_above: (Name, i64),
    pub unmentioned: Name,
}
