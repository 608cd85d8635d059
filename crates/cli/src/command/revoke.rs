//! `hardtack revoke`

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use hardtack::audit::{Lineage, SeenChains};
use hardtack::chain::IdPrefix;
use hardtack::internal::MAX_ALIKE;
use hardtack::pending::wait;
use hardtack::revocation::RequestId;
use hardtack::store::{Receipt, Stops};
use hardtack::{Capability, Revocation, RevocationId, RevocationLog, RevocationRequest, Revoking};
use hardtack_mcp::{RevocationAnswer, RevocationFailed, revoke_at, revoke_over_plain_http_at};
use hardtack_postgres::MAX_BATCH;

use crate::args::{EXIT_DENIED, EXIT_NOT_EVERYWHERE, GivenId, Revoke, Revoked};
use crate::command::{capability_in, close, database, gateways, lineage, look_into, open, serving};
use crate::reading;
use crate::terminal::{Done, FAINT, complain, even_unread, having, now, say, say_lines, warn};

/// The most ids that are revoked at once: what is written of them must fit into memory.
const MAX_IDS: usize = 1_000_000;

/// How often a gateway is asked that does not answer: a connection that broke is replaced at once, and a gateway that starts anew is there
/// in a second or two.
const MAX_ASKED: u32 = 3;

/// Beyond which time it is not asked again: whoever waits may rather look what is wrong.
const ASK_WITHIN: Duration = Duration::from_secs(60);

/// How long to wait before it is asked again.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// What is to be revoked, as it was typed.
enum Given {
    Revocations(Vec<Revocation>),
    /// The one block of those that the store has seen whose id begins so.
    Beginning(IdPrefix),
}

pub(crate) fn run(arguments: &Revoke) -> Done {
    let given = given(arguments)?;
    match (&arguments.remote.at, &arguments.store) {
        (Some(url), _) => at_a_gateway(url, arguments, given),
        (None, Some(store)) => in_a_store(store, arguments, given),
        (None, None) => in_a_database(arguments, given),
    }
}

fn in_a_store(store: &Path, arguments: &Revoke, given: Given) -> Done {
    let revocations = match given {
        Given::Revocations(revocations) => revocations,
        Given::Beginning(beginning) => {
            let ids = look_into(store)?.ids_beginning(&beginning)?;
            vec![the_one(&ids, &beginning, "this store")?]
        }
    };
    if arguments.dry_run {
        let lineage = look_into(store)?.lineage()?;
        say_lines(lineage::killed(&lineage, &revocations, "this store", now()).trim_end())?;
        return Ok(ExitCode::SUCCESS);
    }
    let revoking = revoking(arguments, &revocations)?;
    let store = open(store)?;
    let receipts = store.revoke_all(revoking, now());
    // It is revoked by now, whatever comes of the count.
    let stops = receipts.as_ref().ok().and_then(|receipts| {
        store.reader().stops(&revocations, receipts, now(), u64::MAX).ok().flatten()
    });
    close(&store);
    tell_all(&revocations, &receipts?, stops, "this store")
}

/// Revokes where all gateways that share the database hear of it.
fn in_a_database(arguments: &Revoke, given: Given) -> Done {
    let postgres = database::open(&arguments.database)?;
    let revocations = match given {
        Given::Revocations(revocations) => revocations,
        Given::Beginning(beginning) => {
            let ids = postgres.beginning(&beginning, MAX_ALIKE)?;
            vec![the_one(&ids, &beginning, DATABASE)?]
        }
    };
    if arguments.dry_run {
        let lineage = database::lineage(&postgres)?;
        say_lines(lineage::killed(&lineage, &revocations, DATABASE, now()).trim_end())?;
        return Ok(ExitCode::SUCCESS);
    }
    let revoking = revoking(arguments, &revocations)?;
    let mut receipts = Vec::new();
    for (number, batch) in revoking.chunks(MAX_BATCH).enumerate() {
        let revoked = wait(postgres.append(batch.to_vec(), RequestId::random(), now()));
        receipts.extend(revoked.map_err(|error| match number {
            0 => error.to_string(),
            number => format!("{error}; the first {} of them are revoked", number * MAX_BATCH),
        })?);
    }
    let seen = postgres.seen(u64::MAX).ok().flatten();
    let listed = seen.zip(wait(postgres.list(now())).ok());
    let stops = listed.map(|(seen, list)| {
        SeenChains::before(seen, list.revocations, &receipts).stops(&revocations, now())
    });
    tell_all(&revocations, &receipts, stops, DATABASE)
}

/// How a database is called where it says what it has seen.
const DATABASE: &str = "this database";

fn revoking(
    arguments: &Revoke,
    revocations: &[Revocation],
) -> Result<Vec<Revoking>, Box<dyn Error>> {
    let by = arguments.by.clone().unwrap_or_else(user);
    let revoking = revocations
        .iter()
        .map(|revocation| Revoking::new(revocation.clone(), by.clone(), arguments.reason.clone()));
    Ok(revoking.collect::<Result<_, _>>()?)
}

/// They are revoked, whoever reads that.
fn tell_all(
    revocations: &[Revocation],
    receipts: &[Receipt],
    stops: Option<Stops>,
    store: &str,
) -> Done {
    let told = match (revocations, receipts) {
        ([revocation], [receipt]) => tell(revocation, *receipt),
        _ => {
            let new = receipts.iter().filter(|receipt| matches!(receipt, Receipt::Revoked { .. }));
            let (new, all) = (new.count(), receipts.len());
            say(format_args!("revoked: {new} ids; {} were revoked already", all - new))
        }
    };
    let told = told.and_then(|()| tell_what_stops(revocations, stops, store, Tense::Now));
    having_revoked(told)?;
    Ok(ExitCode::SUCCESS)
}

fn at_a_gateway(url: &str, arguments: &Revoke, given: Given) -> Done {
    let answer = match ask(url, arguments, &given) {
        Ok(answer) => answer,
        Err(error) => {
            return match error.downcast_ref() {
                Some(RevocationFailed::Refused { status: 401 | 403, .. }) => {
                    complain(&*error);
                    Ok(ExitCode::from(EXIT_DENIED))
                }
                _ => Err(error),
            };
        }
    };
    let asked = match given {
        Given::Revocations(revocations) => revocations.into_iter().next(),
        Given::Beginning(_) => None,
    };
    let revocation =
        answer.revocation.or(asked).ok_or("the gateway does not say what it revoked")?;
    let store = "the gateway's store";
    match answer.receipt {
        Some(receipt) => {
            let told = tell(&revocation, receipt);
            having_revoked(
                told.and_then(|()| tell_what_stops(&[revocation], answer.stops, store, Tense::Now)),
            )?;
            if let Some(wait) = arguments.wait {
                return tell_where(url, arguments, wait);
            }
        }
        None => {
            say(&revocation)?;
            tell_what_stops(&[revocation], answer.stops, store, Tense::Would)?;
            say(format_args!("{FAINT}nothing was revoked{FAINT:#}"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Waits until it is in force everywhere, and says where it is. Whatever comes of that, it is revoked.
fn tell_where(url: &str, arguments: &Revoke, wait: Duration) -> Done {
    let shown = gateways_asked(url, arguments).and_then(|asked| asked.wait(wait));
    let shown = match shown {
        Ok(shown) => shown,
        Err(error) => {
            warn(&format!("it is revoked; where it is in force is not known: {error}"));
            return Ok(ExitCode::from(EXIT_NOT_EVERYWHERE));
        }
    };
    having_revoked(gateways::tell(&shown))?;
    Ok(match shown.is_everywhere() {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(EXIT_NOT_EVERYWHERE),
    })
}

fn gateways_asked<'a>(
    url: &'a str,
    arguments: &'a Revoke,
) -> Result<gateways::Asked<'a>, Box<dyn Error>> {
    let presented = &arguments.remote.presented;
    let (Some(audience), Some(key), Some(capability)) =
        (&presented.audience, &presented.key, &arguments.remote.capability)
    else {
        return Err("--at needs --audience, --key and --capability".into());
    };
    let (key, capability) = (reading::key(key)?, capability_in(capability)?);
    let plain_http_to = presented.allow_plain_http.as_deref();
    Ok(gateways::Asked { url, plain_http_to, audience, key, capability })
}

fn tell(revocation: &Revocation, receipt: Receipt) -> Result<(), Box<dyn Error>> {
    match receipt {
        Receipt::AlreadyRevoked { sequence } => {
            say(format_args!("revoked already: {revocation}, by record {sequence}"))?;
        }
        _ => say(format_args!("revoked: {revocation}"))?,
    }
    match revocation {
        Revocation::Agent { agent } => say(format_args!(
            "  {FAINT}nothing takes that back, and under no grant may anybody be called {agent} again; its delegator can choose another name. To stop the agent under any name, revoke its key: --holder{FAINT:#}"
        )),
        _ => Ok(()),
    }
}

/// Whether it is done.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tense {
    Now,
    Would,
}

fn tell_what_stops(
    revocations: &[Revocation],
    stops: Option<Stops>,
    store: &str,
    tense: Tense,
) -> Result<(), Box<dyn Error>> {
    let verb = if tense == Tense::Now { "stops" } else { "would stop" };
    match stops {
        None => say(format_args!(
            "  {FAINT}how much that {verb} is not counted: {store} has seen too much, or cannot be read now (hardtack revoke --dry-run --store FILE counts it){FAINT:#}"
        )),
        Some(Stops { blocks: 0, .. }) => {
            say(format_args!("  {}", lineage::unseen(revocations, store, tense == Tense::Now)))
        }
        Some(Stops { blocks, live }) => say(format_args!(
            "  {verb} {} of chains that {store} has seen, {live} live",
            lineage::blocks(blocks)
        )),
    }
}

/// In whose name, where nobody says: a revocation must not fail for what the environment calls its user.
fn user() -> String {
    let Some(user) = std::env::var_os("USER") else { return "operator".to_owned() };
    let user = user.to_string_lossy().into_owned();
    let nothing = Revocation::Agent { agent: "agent".to_owned() };
    match Revoking::new(nothing, user.clone(), "a name") {
        Ok(_) => user,
        Err(_) if user.trim().is_empty() => "unknown (USER is empty)".to_owned(),
        Err(_) => "unknown (USER is no name of 1 to 256 printable bytes)".to_owned(),
    }
}

/// The block whose id begins so, of those that were found.
fn the_one(
    ids: &[RevocationId],
    beginning: &IdPrefix,
    store: &str,
) -> Result<Revocation, Box<dyn Error>> {
    match ids {
        [] => Err(format!(
            "no grant or hop that {store} has seen has an id that begins with {beginning}; give the whole id (hardtack inspect --json), which revokes what was not seen, too"
        )
        .into()),
        [id] => Ok(Revocation::Id { id: *id }),
        ids => {
            let many = if ids.len() == MAX_ALIKE { " or more" } else { "" };
            let listed: Vec<String> = ids.iter().map(|id| format!("id {id}")).collect();
            Err(format!(
                "{}{many} ids that {store} has seen begin with {beginning}; give more digits of one: {}",
                ids.len(),
                listed.join(", ")
            )
            .into())
        }
    }
}

/// Whoever reads no more finds it revoked all the same.
fn having_revoked(said: Result<(), Box<dyn Error>>) -> Result<(), Box<dyn Error>> {
    having(even_unread(said), "it is revoked, and need not be revoked again")
}

/// Asks a gateway, by a presentation that is bound to the request.
fn ask(url: &str, arguments: &Revoke, given: &Given) -> Result<RevocationAnswer, Box<dyn Error>> {
    let remote = &arguments.remote;
    let (Some(audience), Some(key), Some(capability)) =
        (&remote.presented.audience, &remote.presented.key, &remote.capability)
    else {
        return Err("--at needs --audience, --key and --capability".into());
    };
    let key = reading::key(key)?;
    let capability = capability_in(capability)?;
    let proof = remote.proof.as_deref().map(capability_in).transpose()?;
    let request = request(given, &arguments.reason, proof.as_ref())?;
    let request = match arguments.dry_run {
        true => request.dry_run()?,
        false => request.with_id(RequestId::random())?,
    };
    let runtime = serving::runtime()?;
    let (mut asked, began) = (0, now());
    loop {
        // Whoever has no scope for it presents it all the same: what counts then is who signs. It is good once.
        let bearer = capability.present_to_revoke(audience, &request, &key, now())?;
        let answer = match &remote.presented.allow_plain_http {
            Some(host) => {
                runtime.block_on(revoke_over_plain_http_at(url, host, bearer.bearer(), &request))
            }
            None => runtime.block_on(revoke_at(url, bearer.bearer(), &request)),
        };
        asked += 1;
        match answer {
            // Under the same id it is the same request, so that it is safe to ask again.
            Err(RevocationFailed::NoAnswer(_))
                if asked < MAX_ASKED && now().since(began) < ASK_WITHIN =>
            {
                warn("the gateway does not answer, and is asked the same again");
                std::thread::sleep(ASK_AGAIN_AFTER);
            }
            answer => {
                if asked > 1 && matches!(answer, Err(RevocationFailed::Refused { .. })) {
                    warn("the request before got no answer, and may have been done");
                }
                return Ok(answer?);
            }
        }
    }
}

/// What is asked of a gateway. The beginning of an id is looked for in the proof first, and left to the gateway only where
/// there is none.
fn request(
    given: &Given,
    reason: &str,
    proof: Option<&Capability>,
) -> Result<RevocationRequest, Box<dyn Error>> {
    let beginning = match given {
        Given::Revocations(revocations) => {
            let [revocation] = revocations.as_slice() else {
                return Err("a gateway revokes one at a time".into());
            };
            return Ok(RevocationRequest::new(revocation.clone(), reason, proof)?);
        }
        Given::Beginning(beginning) => beginning,
    };
    let Some(proof) = proof else {
        return Ok(RevocationRequest::beginning(beginning.clone(), reason)?);
    };
    let chain = proof.chain();
    let hops = chain.hops.iter().map(|hop| hop.revocation_id);
    let ids = hops.chain([chain.grant.revocation_id]);
    match ids.filter(|id| beginning.begins(id)).collect::<Vec<_>>().as_slice() {
        [id] => Ok(RevocationRequest::new(Revocation::Id { id: *id }, reason, Some(proof))?),
        [] => {
            Err(format!("no grant or hop of the proof has an id that begins with {beginning}")
                .into())
        }
        _ => {
            Err(format!("several ids of the proof begin with {beginning}; give more digits").into())
        }
    }
}

fn given(arguments: &Revoke) -> Result<Given, Box<dyn Error>> {
    let Revoked { id, ids, subject, agent, holder } = &arguments.what;
    let one = if let Some(id) = id {
        match id {
            GivenId::Whole(id) => Revocation::Id { id: *id },
            GivenId::Beginning(beginning) => return Ok(Given::Beginning(beginning.clone())),
        }
    } else if let Some(subject) = subject {
        Revocation::Subject { subject: subject.clone(), root: arguments.root }
    } else if let Some(agent) = agent {
        let agent = agent.clone();
        match arguments.for_good {
            true => Revocation::Agent { agent },
            false => Revocation::AgentUntilNow { agent },
        }
    } else if let Some(key) = holder {
        Revocation::Holder { key: *key }
    } else if let Some(file) = ids {
        return read_ids(file).map(Given::Revocations);
    } else {
        return Err("say what to revoke: --id, --ids, --subject, --agent or --holder".into());
    };
    Ok(Given::Revocations(vec![one]))
}

fn read_ids(file: &Path) -> Result<Vec<Revocation>, Box<dyn Error>> {
    let mut ids = Vec::new();
    for (number, line) in reading::lines(file)?.enumerate() {
        let at = |error: &dyn Error| format!("line {}: {error}", number + 1);
        let line = line.map_err(|error| at(&error))?;
        if line.trim().is_empty() {
            continue;
        }
        let id: RevocationId = line.parse().map_err(|error| at(&error))?;
        ids.push(Revocation::Id { id });
        if ids.len() > MAX_IDS {
            return Err(format!("there are more than {MAX_IDS} ids; split the file").into());
        }
    }
    match ids.is_empty() {
        true => Err("there is no id in it, so nothing is revoked; give one id a line, of 128 hexadecimal digits".into()),
        false => Ok(ids),
    }
}
