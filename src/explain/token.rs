//! Token: what of a token held, what did not, and who would have to make which block anew.

use crate::authorize::{AuthorizeError, first_unbound, uncovering};
use crate::call::Call;
use crate::capability::Capability;
use crate::chain::{Chain, PresentationKind};
use crate::explain::{Change, Explanation, Outcome, Remedy, Stage, Step};
use crate::names::escaped;
use crate::profile::MAX_DEPTH;
use crate::profile::ShapeError;
use crate::revocation::RevokedBy;
use crate::ruling::Ruling;
use crate::scope::{Operation, Scope};
use crate::timestamp::Timestamp;
use crate::verify::{Rejection, VerifiedCapability, Verifier, VerifyError};

/// The stages of a token, and what each says where it holds.
const STAGES: [(Stage, &str); 4] = [
    (Stage::Shape, "the token has the profile's shape and is cheap to evaluate"),
    (Stage::Signatures, "a trusted root signed the grant, and every signature holds"),
    (Stage::Revocation, "nothing of the chain is known to be revoked here"),
    (Stage::Walk, "every hop is signed by the holder before it and only narrows"),
];

/// What is said of revocation where nobody is asked.
const NOT_LOOKED_AT: &str = "not looked at: without a store, nobody is asked what is revoked";

/// Explains a token that does not hold.
pub(super) fn rejected(
    verifier: &Verifier,
    bearer: &str,
    rejection: &Rejection,
    now: Timestamp,
) -> Explanation {
    let Rejection { error, authentic } = rejection;
    // Of a token whose signatures do not hold, names are what somebody wrote there. They still say whom to ask.
    let parsed = match authentic {
        Some(token) => Some(token.capability.clone()),
        None => Capability::parse(bearer).ok(),
    };
    let chain = parsed.as_ref().map(Capability::chain);
    let failed = stage_of(error);
    let ruling = Ruling::from(error);
    let mut steps = Vec::new();
    for (stage, text) in STAGES {
        match stage.cmp(&failed) {
            std::cmp::Ordering::Less => steps.push(passed(verifier, stage, text)),
            std::cmp::Ordering::Equal => {
                steps.push(Step::failed(stage, &ruling.message).at_block(ruling.hop));
            }
            std::cmp::Ordering::Greater => {
                steps.push(Step::new(stage, Outcome::NotReached, "not reached"));
            }
        }
    }
    for stage in [Stage::Call, Stage::Checks, Stage::Policies] {
        steps.push(Step::new(stage, Outcome::NotReached, "not reached"));
    }
    let remedies = remedies(verifier, chain, error, now);
    Explanation { ruling, steps, remedies }
}

/// A stage that refused nothing: it held, or it was not looked at.
fn passed(verifier: &Verifier, stage: Stage, text: &str) -> Step {
    match stage == Stage::Revocation && !verifier.looks_at_revocations() {
        true => Step::new(stage, Outcome::NotReached, NOT_LOOKED_AT),
        false => Step::held(stage, text),
    }
}

fn stage_of(error: &VerifyError) -> Stage {
    match error {
        VerifyError::Shape(_) | VerifyError::Expired { .. } => Stage::Shape,
        VerifyError::UnknownRoot | VerifyError::Signature { .. } => Stage::Signatures,
        VerifyError::Revoked { .. }
        | VerifyError::RevocationsUnavailable(_)
        | VerifyError::RevocationsStale { .. }
        | VerifyError::RevocationsForgotten { .. } => Stage::Revocation,
        _ => Stage::Walk,
    }
}

fn remedies(
    verifier: &Verifier,
    chain: Option<&Chain>,
    error: &VerifyError,
    now: Timestamp,
) -> Vec<Remedy> {
    let obstacle = error.to_string();
    let one = |change| vec![Remedy::new(obstacle.clone(), vec![change])];
    let new_token = |text: &str| one(Change::Token { text: text.to_owned() });
    let Some(chain) = chain else {
        return new_token(match error {
            VerifyError::Shape(ShapeError::NotAToken { .. } | ShapeError::NotABiscuit) => {
                "give the whole token, one line as hardtack present wrote it"
            }
            _ => "ask whoever gave it to you for a token of Hardtack's profile (docs/profile.md)",
        });
    };
    let renew = |block: usize, how: &str| {
        let (by, whose) = maker(chain, block);
        Change::Renew { block, text: format!("have {by} make {whose} anew{how}"), by }
    };
    match error {
        VerifyError::Expired { .. } => {
            // Who makes one anew makes what stands on it anew.
            let expired = chain.expiries().find(|(_, expires)| *expires <= now);
            expired
                .map(|(block, expires)| Remedy {
                    block: Some(block),
                    ..Remedy::new(
                        format!("block {block} expired at {expires}"),
                        vec![renew(block, ", and what stands on it")],
                    )
                })
                .into_iter()
                .collect()
        }
        VerifyError::UnknownRoot | VerifyError::Signature { block: 0 } => vec![Remedy::new(
            obstacle,
            vec![
                Change::Token {
                    text: "use a token whose grant a root that this server trusts has signed"
                        .to_owned(),
                },
                Change::Server {
                    text: "if its issuer is to be trusted, give the server that public key: --root PUB"
                        .to_owned(),
                },
            ],
        )],
        VerifyError::Revoked { block, by, .. } => {
            vec![Remedy::new(obstacle, after_revocation(*block, *by, renew))]
        }
        VerifyError::RevocationsForgotten { until, .. } => {
            one(renew(0, &format!(", {}: it is older than what is remembered", after(*until))))
        }
        VerifyError::RevocationsUnavailable(_) | VerifyError::RevocationsStale { .. } => {
            one(Change::Server {
                text: "bring the server's revocations back or up to date, then ask again".to_owned(),
            })
        }
        VerifyError::NotPresented => one(present(chain, verifier)),
        VerifyError::WrongAudience { .. } => wrong_audience(verifier, chain, &obstacle),
        VerifyError::Unbound { block } => vec![Remedy::new(
            obstacle,
            vec![
                renew(parent(chain, *block), ", bound to a holder's key (--holder or --new-holder), and what stands on it"),
                Change::Server {
                    text: "accept unbound hops, if whoever had the token may have used it: \
                           --accept-unbound-hops"
                        .to_owned(),
                },
            ],
        )],
        // Its maker bound it to nobody, and who signed it makes no difference.
        VerifyError::ForeignSigner { block } => one(renew(
            parent(chain, *block),
            ", bound to a holder's key (--holder or --new-holder), and what stands on it",
        )),
        VerifyError::WrongSigner { block } => one(renew(
            *block,
            ", signed with the key to which the block before it is bound (--key)",
        )),
        VerifyError::RootAsHolder { block } => one(renew(
            *block,
            " for a key that is no root's (--holder or --new-holder), and what stands on it",
        )),
        VerifyError::ScopeWider { block, scope } => {
            one(renew(*block, &format!(" without the scope {scope}, which its parent has not, and what stands on it")))
        }
        VerifyError::AudienceWider { block, audience } => one(renew(
            *block,
            &format!(" without the audience {}, which its parent has not, and what stands on it", escaped(audience)),
        )),
        VerifyError::ExpiryWider { block, parent, .. } => one(renew(
            *block,
            &format!(" to expire at {parent} or before (--ttl), and what stands on it"),
        )),
        VerifyError::TooDeep { .. } => match chain.depth() {
            hops if hops as i64 <= MAX_DEPTH => one(renew(
                0,
                &format!(" for {hops} hops (--max-depth {hops}), and what stands on it"),
            )),
            hops => new_token(&format!(
                "delegate through fewer agents: there are {hops} hops, and no grant allows more than {MAX_DEPTH}"
            )),
        },
        VerifyError::TooLongLived { block, .. } => one(renew(*block, " with a shorter life (--ttl)")),
        VerifyError::NameMismatch { block, name } => vec![Remedy::new(
            obstacle,
            vec![
                renew(*block, ", under the name and for the key that the directory has"),
                Change::Server {
                    text: format!("list this key for {} in the directory", escaped(name)),
                },
            ],
        )],
        VerifyError::NotYetIssued { .. } => one(Change::Server {
            text: "compare the clocks of issuer and server".to_owned(),
        }),
        error => match error.block() {
            Some(block) => one(renew(block, "")),
            None => new_token("ask whoever delegated it for a new one"),
        },
    }
}

/// What would be let in again: not what is revoked, but another in its place.
fn after_revocation(
    block: usize,
    by: RevokedBy,
    renew: impl Fn(usize, &str) -> Change,
) -> Vec<Change> {
    const BELOW: &str = "and what stands on it";
    match by {
        RevokedBy::Id => vec![renew(block, &format!(", {BELOW}: what is revoked stays revoked"))],
        RevokedBy::Holder => vec![renew(
            block,
            &format!(
                " for another key (--holder or --new-holder), {BELOW}: the key is revoked for good"
            ),
        )],
        RevokedBy::Agent => vec![renew(
            block,
            &format!(" under another name (--to), {BELOW}: the name is revoked for good"),
        )],
        RevokedBy::AgentUntilNow { until } => vec![
            renew(0, &format!(", {}, {BELOW}", after(until))),
            renew(block, &format!(" under another name (--to), {BELOW}")),
        ],
        RevokedBy::Subject { until } | RevokedBy::Forgotten { until } => {
            vec![renew(0, &format!(", {}, {BELOW}", after(until)))]
        }
    }
}

fn after(until: Timestamp) -> String {
    format!("after {until}, up to which what is issued is refused")
}

/// The grant or hop on which a block stands: between them, caveats may stand.
pub(super) fn parent(chain: &Chain, block: usize) -> usize {
    let before = chain.hops.iter().map(|hop| hop.index).filter(|index| *index < block);
    before.max().unwrap_or_default()
}

fn wrong_audience(verifier: &Verifier, chain: &Chain, obstacle: &str) -> Vec<Remedy> {
    let own = verifier.audience();
    let mut remedies = Vec::new();
    let grant = (0, &chain.grant.audiences);
    let hops = chain.hops.iter().map(|hop| (hop.index, &hop.audiences));
    for (block, audiences) in std::iter::once(grant).chain(hops) {
        if !audiences.is_empty() && !audiences.iter().any(|audience| audience == own) {
            let (by, whose) = maker(chain, block);
            let text =
                format!("have {by} make {whose} anew with the audience {own}: --audience {own}");
            remedies.push(Remedy::new(
                format!("block {block} is for {}", audiences.join(", ")),
                vec![Change::Renew { block, by, text }],
            ));
        }
    }
    remedies.push(Remedy::new(obstacle, vec![present(chain, verifier)]));
    remedies
}

fn present(chain: &Chain, verifier: &Verifier) -> Change {
    let (holder, own) = (escaped(&chain.bearer_name()), verifier.audience());
    Change::Present {
        audience: Some(own.to_owned()),
        kind: None,
        text: format!(
            "have {holder} present the capability to this server: \
             hardtack present --key … --audience {own}"
        ),
    }
}

/// Who makes a block, and whose it is.
pub(super) fn maker(chain: &Chain, block: usize) -> (String, String) {
    if block == 0 {
        return (
            "the issuer".to_owned(),
            format!("the grant of {}", escaped(&chain.grant.subject)),
        );
    }
    if let Some(hop) = chain.hops.iter().find(|hop| hop.index == block) {
        return (escaped(&hop.delegator), format!("the delegation to {}", escaped(&hop.delegate)));
    }
    match chain.presentation.as_ref().filter(|last| last.index == block) {
        Some(_) => (escaped(&chain.bearer_name()), "the presentation".to_owned()),
        None => ("whoever appended it".to_owned(), format!("block {block}")),
    }
}

/// What held of a token that holds.
pub(super) fn held(verifier: &Verifier, verified: &VerifiedCapability) -> Vec<Step> {
    let chain = verified.chain();
    let mut steps: Vec<Step> = STAGES[..3]
        .iter()
        .map(|(stage, text)| match stage {
            Stage::Signatures => Step::held(
                *stage,
                format!(
                    "the root {} signed the grant, and every signature holds",
                    escaped(&verified.issuer())
                ),
            ),
            _ => passed(verifier, *stage, text),
        })
        .collect();
    let may = |scopes: &[Scope]| scopes.iter().map(Scope::as_str).collect::<Vec<_>>().join(", ");
    let grant = &chain.grant;
    let text = format!("{} grants {} until {}", grant.subject, may(&grant.scopes), grant.expires);
    steps.push(Step::held(Stage::Walk, text).at_block(0));
    for hop in &chain.hops {
        let text = format!(
            "{} delegates {} to {} until {}: {}",
            hop.delegator,
            may(&hop.scopes),
            hop.delegate,
            hop.expires,
            escaped(&hop.reason)
        );
        steps.push(Step::held(Stage::Walk, text).at_block(hop.index));
    }
    let last = verified.presentation();
    let text = format!(
        "{} presents it to {} ({}) until {}",
        chain.bearer_name(),
        verifier.audience(),
        last.kind.as_str(),
        last.expires
    );
    steps.push(Step::held(Stage::Walk, text).at_block(last.index));
    steps
}

pub(super) fn covered(verified: &VerifiedCapability, call: &Call) -> Step {
    let chain = verified.chain();
    let scope = chain.scopes().iter().find(|scope| scope.covers(call.operation()));
    let scope = scope.map_or("the chain", Scope::as_str);
    let block = chain.hops.last().map_or(0, |hop| hop.index);
    Step::held(Stage::Call, format!("{} is covered by {scope}", call.operation())).at_block(block)
}

/// What of the chain does not cover the call.
pub(super) fn uncovered(
    verified: &VerifiedCapability,
    call: &Call,
    error: &AuthorizeError,
    steps: &mut Vec<Step>,
    remedies: &mut Vec<Remedy>,
) {
    let chain = verified.chain();
    let operation = call.operation();
    let block = error.block();
    steps.push(Step::failed(Stage::Call, error.to_string()).at_block(block));
    match error {
        AuthorizeError::NotGranted { .. } if is_bare_name(operation) => {
            let meant = format!("tools:call:{operation}");
            remedies.push(Remedy::new(
                format!("{operation} names no kind of operation"),
                vec![Change::Operation {
                    text: format!("ask about the call of the tool {operation}: {meant}"),
                    operation: meant,
                }],
            ));
        }
        AuthorizeError::NotGranted { .. } => {
            for block in uncovering(chain, call.operation()) {
                let (by, whose) = maker(chain, block);
                let text = format!(
                    "have {by} make {whose} anew with one more scope: --scope {operation}"
                );
                let scope = operation.to_string();
                remedies.push(Remedy {
                    summary: format!("{whose} (block {block}) does not cover {operation}"),
                    block: Some(block),
                    ..Remedy::new(
                        format!("block {block} does not cover {operation}"),
                        vec![Change::Scope { block, by, scope, text }],
                    )
                });
            }
        }
        AuthorizeError::OtherCall => remedies.push(Remedy::new(
            error.to_string(),
            vec![Change::Present {
                audience: Some(verified.presentation().audience.clone()),
                kind: Some("call"),
                text: format!(
                    "have {} present it for exactly this call: hardtack present --call '{{\"operation\": …}}'",
                    chain.bearer_name()
                ),
            }],
        )),
        AuthorizeError::Unbound { .. } => {
            let block = parent(chain, first_unbound(chain).unwrap_or_default());
            let (by, whose) = maker(chain, block);
            let text = format!("have {by} make {whose} anew, bound to a holder's key");
            remedies.push(Remedy::new(error.to_string(), vec![Change::Renew { block, by, text }]));
        }
        error => remedies.push(Remedy::new(
            error.to_string(),
            vec![Change::Server {
                text: "have the server judge resources of this scheme (--resource-scheme, or Verifier::resource_schemes)"
                    .to_owned(),
            }],
        )),
    }
}

/// A call that is changed is another call, which a presentation that is bound to this one is not good for.
pub(super) fn present_anew(verified: &VerifiedCapability, remedies: &mut Vec<Remedy>) {
    let changes = || remedies.iter().filter_map(|remedy| remedy.changes.first());
    let changed = changes().any(|change| {
        matches!(
            change,
            Change::Argument { .. } | Change::NoArgument { .. } | Change::Resource { .. }
        )
    });
    let presented = changes().any(|change| matches!(change, Change::Present { .. }));
    if changed && !presented && verified.presentation().kind == PresentationKind::Call {
        remedies.push(Remedy::new(
            "the presentation is bound to the call as it is",
            vec![Change::Present {
                audience: Some(verified.presentation().audience.clone()),
                kind: Some("call"),
                text: "present the capability for the changed call: hardtack present --call …"
                    .to_owned(),
            }],
        ));
    }
}

/// Whether it is a tool's name alone: what servers ask about has its kind in front.
fn is_bare_name(operation: &Operation) -> bool {
    !operation.as_str().contains(':') && !operation.is_about_resources() && !operation.is_reserved()
}
