//! Servers: has each a name, policies that may decide, and somebody behind it who answers?

use std::path::Path;
use std::time::{Duration, SystemTime};

use hardtack::Timestamp;
use hardtack_lint::{Finding, Options};

use super::{Findings, clock};
use crate::args::gateway::Settings;
use crate::args::regular_root;
use crate::args::server::ServerSettings;
use crate::command::gateway::file::Described;
use crate::command::gateway::{check_audience, upstream_of};
use crate::command::policy::lint;
use crate::command::reloading::load_checked;
use crate::secrets::Secret;
use crate::system;
use crate::terminal::{now, without_query};

/// How long an upstream server may take to say anything: who waits longer takes it for down.
const PATIENCE: Duration = Duration::from_secs(5);

/// How many findings of the linter are repeated; the others it says itself.
const MOST_LINTED: usize = 5;

/// Each server, with its name if there are several.
fn each<'a>(
    (settings, servers): (&'a Settings, &'a [Described]),
) -> Vec<(Option<&'a str>, &'a ServerSettings)> {
    match servers {
        [] => vec![(None, &settings.own)],
        several => {
            several.iter().map(|server| (Some(server.place.name()), &server.settings)).collect()
        }
    }
}

/// A text, with the name of the server.
fn of(name: Option<&str>, text: impl AsRef<str>) -> String {
    match name {
        Some(name) => format!("server {name}: {}", text.as_ref()),
        None => text.as_ref().to_owned(),
    }
}

pub(super) fn look(findings: &mut Findings, all: (&Settings, &[Described])) {
    roots(findings, &all.0.root);
    for (name, server) in each(all) {
        audience(findings, name, server.audience.as_deref());
        policies(findings, "policies", name, server.policies.as_deref());
        if server.shadow.is_some() {
            policies(findings, "shadow", name, server.shadow.as_deref());
        }
    }
}

fn roots(findings: &mut Findings, roots: &[String]) {
    if roots.is_empty() {
        let mend = "say which: root = [\"@root.pub\"], or what hardtack pubkey root.key prints";
        findings.found("root", "no root key is trusted", mend);
        return;
    }
    let before = findings.0.len();
    for root in roots {
        if let Some(secret) = Secret::in_text(root) {
            findings.found("root", "it is no public key", secret.problem());
        } else if let Err(problem) = regular_root(root) {
            let mend = "name the file behind @, or write what hardtack pubkey root.key prints";
            findings.found("root", problem, mend);
        }
    }
    if findings.0.len() == before {
        findings.good("root", format!("{} trusted", roots.len()));
    }
}

fn audience(findings: &mut Findings, name: Option<&str>, audience: Option<&str>) {
    const CHECK: &str = "audience";
    match audience {
        None => {
            let mend =
                "say the name that tokens are presented to, such as audience = \"notion.mcp\"";
            findings.found(CHECK, of(name, "the server has no name"), mend);
        }
        Some(said) => match check_audience(CHECK, said) {
            Ok(()) => findings.good(CHECK, of(name, format!("tokens are presented to {said}"))),
            Err(error) => {
                let mend = "write a name such as notion.mcp";
                findings.found(CHECK, of(name, error.to_string()), mend);
            }
        },
    }
}

fn policies(
    findings: &mut Findings,
    check: &'static str,
    name: Option<&str>,
    folder: Option<&Path>,
) {
    let Some(folder) = folder else {
        let mend = "if less should be: say policies = \"policies\"; hardtack init makes an example";
        findings.note(check, of(name, "there are none, so what is granted is allowed"), mend);
        return;
    };
    let shown = folder.display();
    if let Err(problem) = load_checked(folder) {
        let mend = format!("see: hardtack policy test {shown}; hardtack policy lint {shown}");
        return findings.found(check, of(name, format!("{shown}: {problem}")), mend);
    }
    let report = match lint::report(folder, Options::default()) {
        Ok(report) => report,
        Err(error) => {
            let mend = format!("see: hardtack policy lint {shown}");
            return findings.unseen(check, of(name, format!("{shown}: {error}")), mend);
        }
    };
    let all = &report.findings;
    for Finding { file, line, message, mend, .. } in all.iter().take(MOST_LINTED) {
        findings.found(check, of(name, format!("{file}:{line}: {message}")), mend);
    }
    match all.len() {
        0 => findings.good(check, of(name, format!("the set {shown} loads, and its cases pass"))),
        some if some > MOST_LINTED => {
            let says = of(name, format!("{} findings more", some - MOST_LINTED));
            findings.found(check, says, format!("see all: hardtack policy lint {shown}"));
        }
        _ => {}
    }
}

/// Asks each upstream server.
pub(super) async fn ask(findings: &mut Findings, all: (&Settings, &[Described])) {
    const CHECK: &str = "upstream";
    for (name, server) in each(all) {
        if server.upstream.is_none() && server.upstream_command.is_none() {
            let mend = "say the URL of the MCP server: upstream = \"http://127.0.0.1:9000/mcp\"";
            findings.found(CHECK, of(name, "no server is named to stand in front of"), mend);
            continue;
        }
        let upstream = match upstream_of(server, name.unwrap_or_default()) {
            Ok(upstream) => upstream,
            Err(error) => {
                findings.found(CHECK, of(name, error.to_string()), "mend that setting");
                continue;
            }
        };
        let shown = without_query(upstream.url()).to_owned();
        match upstream.probe(PATIENCE).await {
            Ok(None) => program(findings, name, server),
            Ok(Some(probe)) => {
                answered(findings, name, &shown, probe.status);
                if let Some(date) = probe.date {
                    compare(findings, date, &shown);
                }
            }
            Err(problem) => {
                let says = of(name, format!("{shown} does not answer: {problem}"));
                let mend = "start the MCP server, or mend the URL; look at names, ports, firewalls and certificates (upstream-ca)";
                findings.found(CHECK, says, mend);
            }
        }
    }
}

fn answered(findings: &mut Findings, name: Option<&str>, url: &str, status: u16) {
    const CHECK: &str = "upstream";
    let says = of(name, format!("{url} answers with HTTP {status}"));
    match status {
        404 => findings.found(
            CHECK,
            says,
            "there is no endpoint at this path; write the whole URL, such as http://127.0.0.1:9000/mcp",
        ),
        300..=399 => findings.found(
            CHECK,
            says,
            "it sends elsewhere, which the gateway does not follow; write the URL of the endpoint itself",
        ),
        500.. => findings.found(CHECK, says, "look at that server's own log"),
        _ => findings.good(CHECK, says),
    }
}

fn compare(findings: &mut Findings, date: SystemTime, url: &str) {
    let (date, now) = (Timestamp::from(date), now());
    if now > date + clock::LEEWAY {
        let ahead = now.since(date).as_secs();
        let says = format!("it says {now}, which is {ahead} s ahead of {url}");
        findings.found("clock", says, clock::SET_IT);
    }
    clock::compare_with(findings, date, url);
}

/// Whether the program can be found as the gateway would find it.
fn program(findings: &mut Findings, name: Option<&str>, server: &ServerSettings) {
    const CHECK: &str = "upstream-command";
    let words = server.upstream_command.as_deref().and_then(shlex::split).unwrap_or_default();
    let Some(word) = words.first() else { return };
    let folder = server.upstream_folder.as_deref().unwrap_or(Path::new("."));
    let is_program = system::may_run;
    let is_there = match word.contains('/') {
        true => is_program(&folder.join(word)),
        false => std::env::var_os("PATH")
            .is_some_and(|all| std::env::split_paths(&all).any(|at| is_program(&at.join(word)))),
    };
    match is_there {
        true => findings.good(CHECK, of(name, format!("{word} is there; it was not started"))),
        false => {
            let says = of(name, format!("there is no program {word} that this user can run"));
            let mend =
                "install it, or write its whole path; a service's PATH is shorter than yours";
            findings.found(CHECK, says, mend);
        }
    }
}
