//! Clock: is it plausible, beside what others say and when a token is valid?

use std::path::Path;
use std::time::Duration;

use hardtack::{Capability, Timestamp};

use super::{Findings, token};
use crate::args::gateway::Settings;
use crate::command::gateway::file::Described;
use crate::reading::{self, MAX_TOKEN_BYTES};
use crate::terminal::{now, read_token};

const CHECK: &str = "clock";
const TOKEN: &str = token::CHECK;

/// 2026-11-01: before that, there was no such program, and the clock is that of a machine without a battery.
const NOTHING_BEFORE: u64 = 1_793_491_200;

/// 2100: nobody runs this then.
const NOTHING_AFTER: u64 = 4_102_444_800;

/// By how much clocks may differ: as much as a grant may be issued in the future.
pub(super) const LEEWAY: Duration = Duration::from_secs(60);

/// What to do about a clock.
pub(super) const SET_IT: &str = "set it, and keep it right by NTP (timedatectl set-ntp true): tokens are refused too early or too late otherwise";

pub(super) fn look(findings: &mut Findings) {
    let now = now();
    let [earliest, latest] = [NOTHING_BEFORE, NOTHING_AFTER].map(Timestamp::from_unix_seconds);
    match (earliest..latest).contains(&now) {
        true => findings.good(CHECK, format!("it is {now}")),
        false => findings.found(CHECK, format!("it says {now}, which cannot be"), SET_IT),
    }
}

/// Compares with a moment that came from elsewhere and has passed, as whoever said it sees it.
pub(super) fn compare_with(findings: &mut Findings, said: Timestamp, whose: &str) {
    let now = now();
    if said > now + LEEWAY {
        let behind = said.since(now).as_secs();
        let says = format!("it says {now}, which is {behind} s behind {whose}");
        findings.found(CHECK, says, SET_IT);
    }
}

/// Why may a token be refused?
pub(super) fn compare(
    findings: &mut Findings,
    path: &Path,
    (settings, servers): (&Settings, &[Described]),
) {
    let read = match path == Path::new("-") {
        true => read_token(),
        false => reading::once(path, MAX_TOKEN_BYTES),
    };
    let text = match read {
        Ok(text) => text,
        Err(error) => return findings.unseen(TOKEN, error.to_string(), "is the path right?"),
    };
    let bearer = text.trim();
    let capability = match Capability::parse(bearer) {
        Ok(capability) => capability,
        Err(error) => {
            let says = format!("{}: {error}", path.display());
            return findings.found(TOKEN, says, "copy it again, or ask for a new one");
        }
    };
    let (chain, now) = (capability.chain(), now());
    let (issued, expires) = (chain.grant.issued, chain.expires());
    let is_of_now = issued <= now + LEEWAY && expires > now;
    if issued > now + LEEWAY {
        let says = format!("its grant was issued at {issued}, and here it is {now}");
        findings.found(
            TOKEN,
            says,
            "one of the two clocks is wrong: set it, and keep both right by NTP",
        );
    } else if expires <= now {
        let says = format!("it expired at {expires}, and here it is {now}");
        findings.found(
            TOKEN,
            says,
            "make a new one, where that time is right; if not, set this clock",
        );
    } else {
        findings.good(TOKEN, format!("it was issued at {issued}, and expires at {expires}"));
    }
    let own = settings.own.audience.iter();
    let known: Vec<&str> = own
        .chain(servers.iter().filter_map(|server| server.settings.audience.as_ref()))
        .map(String::as_str)
        .collect();
    match &chain.presentation {
        None => findings.found(
            TOKEN,
            "it is a capability and no bearer: no server takes it as it is",
            "make a bearer of it: hardtack present",
        ),
        Some(last) if !known.is_empty() && !known.contains(&last.audience.as_str()) => {
            let says = format!("it is for {}, and not for {}", last.audience, known.join(", "));
            findings.found(TOKEN, says, "present it to this server: hardtack present --audience");
        }
        // What it says of the times is enough.
        Some(last) if is_of_now => token::verify(findings, bearer, &last.audience, settings),
        Some(_) => {}
    }
}
