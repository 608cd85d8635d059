//! `hardtack gateways`, and how it is said where what is revoked is in force.

use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use hardtack::{Capability, Presenting, PrivateKey};
use hardtack_feed::{Disbelieved, GatewayShown, InForce, Registry};
use hardtack_mcp::{GatewayChange, GatewaysFailed, change_gateways_at, gateways_at};

use crate::args::EXIT_DENIED;
use crate::args::gateways::{Enrolments, Gateways, GatewaysTask};
use crate::command::gateway::feeding::gateways_of;
use crate::command::{capability_in, serving};
use crate::reading;
use crate::terminal::{
    Done, FAINT, GOOD, TEXT, complain, even_unread, having, now, say, say_json, say_lines,
};

pub(crate) fn run(arguments: &Gateways) -> Done {
    let done = match &arguments.task {
        GatewaysTask::Add(task) => {
            let change = GatewayChange::Add { name: task.name.clone(), key: task.key };
            make(&task.place, &change)
        }
        GatewaysTask::Retire(task) => {
            make(&task.place, &GatewayChange::Retire { name: task.name.clone() })
        }
        GatewaysTask::List(task) => list(&task.place, task.json),
    };
    match done {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => match error.downcast_ref() {
            Some(GatewaysFailed::Refused { status: 401 | 403, .. }) => {
                complain(&*error);
                Ok(ExitCode::from(EXIT_DENIED))
            }
            _ => Err(error),
        },
    }
}

fn registry(place: &Enrolments) -> Option<Registry> {
    let of_store = || place.store.as_deref().map(gateways_of);
    place.registry.clone().or_else(of_store).map(Registry::at)
}

fn make(place: &Enrolments, change: &GatewayChange) -> Result<(), Box<dyn Error>> {
    match registry(place) {
        Some(registry) => {
            // A name that is mistyped would make a file that no gateway reads.
            if let Some(store) = place.store.as_deref().filter(|store| !store.exists()) {
                return Err(
                    format!("{}: there is no store; is the path right?", store.display()).into()
                );
            }
            match change {
                GatewayChange::Add { name, key } => registry.add(name, *key, now())?,
                GatewayChange::Retire { name } => registry.retire(name, now())?,
            };
        }
        None => Asked::of(place)?.change(change)?,
    }
    let said = match change {
        GatewayChange::Add { name, key } => {
            say(format_args!("{GOOD}enrolled{GOOD:#} {TEXT}{name}, {key}"))
        }
        GatewayChange::Retire { name } => say(format_args!(
            "{GOOD}retired{GOOD:#} {TEXT}{name}\n  {FAINT}it may not read the feed any more, and refuses every call 30 seconds after it last heard it{FAINT:#}"
        )),
    };
    having(even_unread(said), "it is done, and need not be done again")
}

fn list(place: &Enrolments, as_json: bool) -> Result<(), Box<dyn Error>> {
    let Some(registry) = registry(place) else {
        let shown = Asked::of(place)?.in_force(None, Duration::ZERO)?;
        if as_json {
            return say_json(serde_json::to_string_pretty(&shown)?);
        }
        return tell(&shown);
    };
    let mut enrolled = registry.list()?;
    enrolled.retain(|entry| entry.retired.is_none());
    if as_json {
        return say_json(serde_json::to_string_pretty(&enrolled)?);
    }
    for entry in &enrolled {
        say(format_args!("{TEXT}{}, {}, enrolled {}", entry.name, entry.key, entry.enrolled))?;
    }
    match enrolled.is_empty() {
        true => say("no gateway is enrolled"),
        false => Ok(()),
    }
}

/// A gateway that publishes the feed, and with what right it is asked.
pub(super) struct Asked<'a> {
    pub(super) url: &'a str,
    pub(super) plain_http_to: Option<&'a str>,
    pub(super) audience: &'a str,
    pub(super) key: PrivateKey,
    pub(super) capability: Capability,
}

impl Asked<'_> {
    fn of(place: &Enrolments) -> Result<Asked<'_>, Box<dyn Error>> {
        let (Some(url), Some(audience), Some(key), Some(capability)) =
            (&place.at, &place.audience, &place.holder_key, &place.capability)
        else {
            return Err("--at needs --audience, --holder-key and --capability".into());
        };
        let (key, capability) = (reading::key(key)?, capability_in(capability)?);
        let plain_http_to = place.allow_plain_http.as_deref();
        Ok(Asked { url, plain_http_to, audience, key, capability })
    }

    fn change(&self, change: &GatewayChange) -> Result<(), Box<dyn Error>> {
        let (json, call) = change.asked()?;
        let presenting = Presenting::to(self.audience).call(call);
        let bearer = self.capability.present(presenting, &self.key, now())?;
        let done = change_gateways_at(self.url, self.plain_http_to, bearer.bearer(), json);
        serving::runtime()?.block_on(done)?;
        Ok(())
    }

    /// Where it is in force, as soon as it stops everywhere, or after `at_most`. Without `in_force`, the answer to an earlier question, all that is
    /// revoked by now is meant.
    pub(super) fn in_force(
        &self,
        earlier: Option<&InForce>,
        at_most: Duration,
    ) -> Result<InForce, Box<dyn Error>> {
        let bearer = self.capability.present(Presenting::to(self.audience), &self.key, now())?;
        let place = earlier.and_then(|earlier| earlier.place);
        let place = place.map(|place| (place.epoch, place.size));
        let bearer = bearer.bearer();
        let asked = gateways_at(self.url, self.plain_http_to, bearer, place, at_most);
        let answer = serving::runtime()?.block_on(asked)?;
        let foreign = |_| GatewaysFailed::Foreign(self.url.to_owned());
        Ok(serde_json::from_slice(&answer).map_err(foreign)?)
    }

    /// Asks until what is revoked by now stops everywhere, or for so long.
    #[allow(clippy::disallowed_methods, reason = "how long it took")]
    pub(super) fn wait(&self, at_most: Duration) -> Result<InForce, Box<dyn Error>> {
        let began = Instant::now();
        let mut shown = self.in_force(None, at_most)?;
        loop {
            let left = at_most.saturating_sub(began.elapsed());
            // A whole second is the least that can be waited for.
            if shown.is_everywhere() || shown.gateways.is_empty() || left < Duration::from_secs(1) {
                return Ok(shown);
            }
            shown = self.in_force(Some(&shown), left)?;
        }
    }
}

/// Says where it is in force, by name and with times.
pub(super) fn tell(shown: &InForce) -> Result<(), Box<dyn Error>> {
    if shown.gateways.is_empty() {
        return say("no gateway is enrolled: who follows the feed is not known");
    }
    let missing: Vec<&GatewayShown> =
        shown.gateways.iter().filter(|gateway| gateway.in_force_since.is_none()).collect();
    let all = shown.of;
    let mut said = match missing.is_empty() {
        true => format!("{GOOD}in force{GOOD:#} at {} of {all} gateways\n", shown.in_force),
        false => format!("in force at {} of {all} gateways\n", shown.in_force),
    };
    for gateway in missing {
        said += &format!("  {}\n", without(gateway));
    }
    for gateway in &shown.gateways {
        if let Some(since) = gateway.in_force_since {
            let silent = match (gateway.silent, gateway.heard) {
                (true, Some(heard)) => format!("; silent since {heard}"),
                _ => String::new(),
            };
            let restarted = gateway.restarted.map(|at| format!("; restarted {at}"));
            let restarted = restarted.unwrap_or_default();
            said += &format!(
                "  {FAINT}{}: in force since {since}{silent}{restarted}{FAINT:#}\n",
                gateway.name
            );
        }
    }
    say_lines(said.trim_end())
}

/// Why it is not known to be in force at a gateway.
fn without(gateway: &GatewayShown) -> String {
    let name = &gateway.name;
    let why = match (gateway.disbelieved, gateway.silent, gateway.heard) {
        (Some(Disbelieved::WentBack), ..) => {
            format!("{name} went back, and is not believed: it knows less than it said before")
        }
        (Some(_), ..) => format!("{name} is not believed: two processes sign with its key"),
        (None, true, Some(heard)) => format!("silent: {name} since {heard}"),
        (None, _, None) => format!("silent: {name}, not heard since the feed was started"),
        (None, false, Some(_)) => format!("behind: {name}"),
    };
    match gateway.refuses_since {
        Some(since) => format!("{why}; it refuses every call since {since}"),
        None => why,
    }
}
