//! Expected: why a block with a changed field is refused, by rule.

use super::tokens::Kind;
use super::{Change, Site};
use crate::wire::Label;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Accepted,
    Refused(&'static str, Option<usize>),
}

use Verdict::{Accepted, Refused};

/// The causes of the first step that are seen where they are, before anything of a later block.
const OF_SHAPE: [&str; 12] = [
    "algorithm",
    "encoding",
    "symbols",
    "content",
    "fact",
    "name",
    "block_kind",
    "over_limit",
    "no_subject",
    "no_scope",
    "no_expiry",
    "no_reason",
];

/// The same with the signatures as they were: what is of the first step is still seen first, and then a block that says
/// over what it was signed, an expiry, and the signature.
pub(super) fn left_as_they_were(site: &Site, anew: Verdict) -> Verdict {
    let later = match site.kind {
        Kind::Grant => Some(1),
        Kind::Hop | Kind::Caveat => Some(3),
        Kind::Session | Kind::Call | Kind::UnboundHop => None,
    };
    match (anew, later) {
        (Refused("other_parent", _), _) => anew,
        (Refused(cause, _), _) if OF_SHAPE.contains(&cause) => anew,
        (_, Some(later)) => Refused("other_parent", Some(later)),
        (Refused("expired", _), None) => anew,
        (_, None) => here(site, "signature"),
    }
}

fn here(site: &Site, cause: &'static str) -> Verdict {
    Refused(cause, Some(site.block))
}

/// What becomes of a block with this change that its signer signed.
pub(super) fn expected(site: &Site, change: Change) -> Verdict {
    // What must be there, or of which one must be there, has no encoding without it.
    if change == Change::Removed && matches!(site.label, Label::Required | Label::OneOf) {
        return here(site, "encoding");
    }
    if change == Change::Greatest {
        match (site.message, site.name()) {
            (_, "version" | "kind") => return here(site, "encoding"),
            (_, "algorithm") => return here(site, "algorithm"),
            (_, "date") => return here(site, "content"),
            (message, name) if crate::craft::is_word(message, name) => {
                return here(site, "symbols");
            }
            ("Scope", "publicKey") => return here(site, "symbols"),
            _ => {}
        }
    }
    match site.steps[0] {
        "symbols" => symbol(site, change),
        "version" => version(site, change),
        "facts" => fact(site, change),
        "checks" => check(site, change),
        "publicKeys" => key(site, change),
        field => panic!("no rule for {field}"),
    }
}

fn version(site: &Site, change: Change) -> Verdict {
    // Third-party blocks are of 3.2, version 5; the latest is 3.3, version 6.
    match change {
        Change::More if site.number < Some(6) => Accepted,
        _ => here(site, "encoding"),
    }
}

fn key(site: &Site, change: Change) -> Verdict {
    match change {
        // The check that trusts it means no key then.
        Change::Removed => here(site, "symbols"),
        Change::Doubled => here(site, "over_limit"),
        // A key that signed nothing of this token.
        Change::Another => here(site, "check_failed"),
        _ => here(site, "algorithm"),
    }
}

/// What is missing where a fact of the profile is called otherwise.
fn missing(site: &Site, name: &str) -> Verdict {
    match (site.kind, name) {
        (_, "parent" | "role" | "audience") if !is_presentation(site.kind) => Accepted,
        (_, "parent") => Accepted,
        (Kind::Grant, "holder") => Refused("foreign_signer", Some(1)),
        (Kind::Hop | Kind::UnboundHop, "holder") => {
            Refused("foreign_signer", Some(site.kind.last()))
        }
        (Kind::Hop | Kind::UnboundHop, "hop") => here(site, "block_kind"),
        (_, "scope") => here(site, "no_scope"),
        (_, "expires") => here(site, "no_expiry"),
        (_, "subject") => here(site, "no_subject"),
        (_, "reason") => here(site, "no_reason"),
        // Without its kind, a call presentation is a hop that says what no hop says.
        (Kind::Call, "presentation") => here(site, "content"),
        _ => here(site, "fact"),
    }
}

fn is_presentation(kind: Kind) -> bool {
    matches!(kind, Kind::Session | Kind::Call)
}

/// What is said under a name that is nobody's: of the subject that is the root's to say.
fn renamed(site: &Site, name: &str) -> Verdict {
    match (site.kind, name) {
        (Kind::Grant, _) => missing(site, name),
        (Kind::Hop | Kind::UnboundHop, "hop") => here(site, "block_kind"),
        _ => here(site, "content"),
    }
}

fn fact(site: &Site, change: Change) -> Verdict {
    let about = site.about.as_deref().unwrap();
    match (site.name(), change) {
        ("facts", Change::Removed) => missing(site, about),
        ("facts", Change::Doubled) if about == "role" => Accepted,
        ("terms", Change::Removed | Change::Doubled) if about == "role" => Accepted,
        ("facts" | "terms", _) => here(site, "fact"),
        ("name", _) => renamed(site, about),
        ("string", _) => value(site, about, "read"),
        ("integer", _) => integer(site, about, change),
        ("date", Change::Zero) if about == "expires" => here(site, "expired"),
        ("date", _) => Accepted,
        ("bytes", Change::Empty) => here(site, "fact"),
        ("bytes", _) => bytes(site, about),
        other => panic!("no rule for {other:?} of {about}"),
    }
}

fn integer(site: &Site, about: &str, change: Change) -> Verdict {
    match (about, change) {
        // Nine hops where there is one, and none.
        ("max_depth", Change::More) => Accepted,
        ("max_depth", Change::Zero) => Refused("too_deep", Some(1)),
        _ => here(site, "fact"),
    }
}

fn bytes(site: &Site, about: &str) -> Verdict {
    match (site.kind, about) {
        (Kind::Grant, "holder") => Refused("wrong_signer", Some(1)),
        (_, "holder") => Refused("wrong_signer", Some(site.kind.last())),
        (_, "parent") => here(site, "other_parent"),
        (_, "digest") => Refused("other_call", None),
        // Only ever looked at for being there.
        (_, "nonce") => Accepted,
        _ => panic!("no rule for {about}"),
    }
}

/// A text of a fact that is now another text: `read`, nothing, or with a letter more.
fn value(site: &Site, about: &str, text: &str) -> Verdict {
    let letter_more = text.ends_with('x');
    match (site.kind, about) {
        (_, "role") => Accepted,
        (_, "presentation") => here(site, "fact"),
        (_, _) if text.is_empty() => here(site, "name"),
        (_, "subject") if letter_more => Accepted,
        (_, "subject") => here(site, "name"),
        // Any name, and any reason.
        (_, "delegate" | "reason") => Accepted,
        // `tools:call:*x` is no scope; `read` covers nothing of what the hop has.
        (Kind::Grant, "scope") if letter_more => here(site, "name"),
        (_, "scope") if letter_more => here(site, "not_granted"),
        (_, "scope") => Refused("scope_wider", Some(1)),
        (Kind::Grant, "audience") => Refused("audience_wider", Some(1)),
        (_, "audience") => here(site, "audience_wider"),
        _ => panic!("no rule for {about}"),
    }
}

fn symbol(site: &Site, change: Change) -> Verdict {
    let word = site.word.as_deref().unwrap();
    let text = match change {
        // The words behind it move up, and the last is missing.
        Change::Removed | Change::Doubled => return here(site, "symbols"),
        Change::Another => "x",
        _ => "",
    };
    let about = match word {
        "user:alice" => "subject",
        "agent.researcher" => "delegate",
        "find" => "reason",
        "editor" => "role",
        "session" | "call" => "presentation",
        "notion.mcp" => "audience",
        // In the grant these are the scope and what the check that repeats it begins with.
        "tools:call:*" => "scope",
        "tools:call:" if text.is_empty() => return Accepted,
        "tools:call:" => return here(site, "check_failed"),
        "tools:call:search" if site.kind == Kind::Caveat => return here(site, "check_failed"),
        "tools:call:search" => "scope",
        // A check for all of what nobody says fails; one that rejects it does not.
        "verifier" => return here(site, "check_failed"),
        "depth" => return Accepted,
        "hop" if site.kind == Kind::Grant => return here(site, "check_failed"),
        // The name of a fact.
        _ if text.is_empty() && site.kind == Kind::Grant => return here(site, "content"),
        _ => return renamed(site, word),
    };
    match (site.kind, about) {
        // The hop's words are its own; the name of the server stands in the fact and in the check.
        (Kind::Grant, "audience") if !text.is_empty() => Refused("audience_wider", Some(1)),
        _ => value(site, about, text),
    }
}

fn check(site: &Site, change: Change) -> Verdict {
    let about = site.about.as_deref().unwrap();
    let rejects = about == "depth";
    let failed = || here(site, "check_failed");
    let awry = || here(site, "not_evaluable");
    match (site.name(), change) {
        // Facts say the same, and a signer may leave its checks out.
        ("checks", _) => Accepted,
        ("queries", Change::Removed) => here(site, "content"),
        ("queries", _) => Accepted,
        ("kind", _) if site.message == "Check" => kind_of_check(site, about, change),
        ("kind", _) => operation(site, about, change),
        // The head of a check says nothing.
        ("name", _) if site.is_in("head") => Accepted,
        // Nothing is called `read`.
        ("name", _) => {
            if rejects {
                Accepted
            } else {
                failed()
            }
        }
        ("body", Change::Removed) => awry(),
        ("body", _) => Accepted,
        ("terms", _) => {
            if rejects {
                Accepted
            } else {
                failed()
            }
        }
        ("variable", _) => awry(),
        ("expressions", Change::Removed) => {
            if rejects {
                failed()
            } else {
                Accepted
            }
        }
        ("expressions", _) => Accepted,
        ("ops", _) => awry(),
        // Only what the holder signed says so; the block itself does not.
        ("scope", Change::Removed) => failed(),
        ("scope", _) => here(site, "over_limit"),
        ("publicKey", _) => here(site, "symbols"),
        ("set", Change::Removed) => failed(),
        ("set", _) => here(site, "encoding"),
        ("string" | "bytes", _) => failed(),
        ("integer", _) => compared(site, change),
        ("date", Change::More) => Accepted,
        ("date", _) => failed(),
        other => panic!("no rule for {other:?} of {about}"),
    }
}

/// `reject if $depth > 8` with one hop, and `$hop > k` with later blocks of the holder.
fn compared(site: &Site, change: Change) -> Verdict {
    let failed = here(site, "check_failed");
    match (site.kind, change) {
        (_, Change::Zero) if site.about.as_deref() == Some("depth") => failed,
        (_, _) if site.about.as_deref() == Some("depth") => Accepted,
        // The orchestrator signed block 1 only, and that is not greater than 1.
        (Kind::Grant, _) => failed,
        (_, Change::Zero) => Accepted,
        // The researcher signed block 3 here, and block 2 there.
        (Kind::Hop, Change::More) => Accepted,
        _ => failed,
    }
}

fn kind_of_check(site: &Site, about: &str, change: Change) -> Verdict {
    let failed = here(site, "check_failed");
    match (about, change) {
        // `reject if` is the last kind; as `check if` it asks for what is not.
        ("depth", Change::More) => here(site, "encoding"),
        ("depth", _) => failed,
        // `check if` becomes `check all`, which the hop's own number fails: a block sees itself.
        ("hop", Change::More) if site.kind == Kind::Grant => Accepted,
        ("hop", Change::More) => failed,
        ("operation", Change::More) if site.kind == Kind::Caveat => Accepted,
        // `check all` becomes `reject if`, which the version of these blocks has not, or what holds is rejected.
        (_, Change::More) if matches!(site.kind, Kind::Hop | Kind::Session | Kind::UnboundHop) => {
            here(site, "encoding")
        }
        (_, Change::More) => failed,
        _ => Accepted,
    }
}

/// The operation of an expression, exchanged for the next one or the first.
fn operation(site: &Site, about: &str, change: Change) -> Verdict {
    let failed = here(site, "check_failed");
    let awry = here(site, "not_evaluable");
    match (site.kind, about, change) {
        // `<` becomes `>`.
        (_, "time", _) => failed,
        // `>` becomes `<=`, which the hop's own number is; or `<`, which nothing is.
        (Kind::Hop | Kind::UnboundHop, "hop", Change::More) => Accepted,
        (_, "hop" | "depth", _) => failed,
        // `starts_with` becomes `ends_with`, and `==` becomes `!=`.
        (Kind::Grant, "operation", Change::More) => failed,
        (Kind::Caveat, "operation", Change::More) => failed,
        (_, "call", Change::More) => failed,
        // A set that starts with something, and an order of texts, sets and bytes: there is none.
        _ => awry,
    }
}
