//! Issuing: does a set of an issuer give for its cases what they say?

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};
use toml::{Spanned, Table};

use crate::audit::Verdict;
use crate::authorize::stock::Stock;
use crate::cause::{Cause, Class};
use crate::datalog::{VERIFIER, World};
use crate::issuance::{Issuance, Issued, KeyHeld, Refused, Request, Way, decide, subject, world};
use crate::names;
use crate::policy::folder::{CASE_EXTENSION, CASES, files, read as read_file};
use crate::policy::{self, Location, PolicyError};
use crate::profile::issuing;
use crate::ruling::Ruling;
use crate::timestamp::Timestamp;
use crate::trial::cases::{MAX_CASES, json, moment, monday};
use crate::trial::coverage::ids;
use crate::trial::effects::Used;
use crate::trial::report::{ISSUE, StatementKind};
use crate::trial::{Decided, Fault, Report, Statement, TrialError};

/// One request to the issuer, and what must become of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    #[serde(default = "acme")]
    idp: String,
    claims: Table,
    #[serde(default = "exchange")]
    way: String,
    client: Option<String>,
    client_host: Option<String>,
    actor: Option<String>,
    #[serde(default)]
    hosted: bool,
    #[serde(default, deserialize_with = "some_moment")]
    signed_in: Option<Timestamp>,
    #[serde(default)]
    scopes: Vec<String>,
    #[serde(default)]
    audiences: Vec<String>,
    seconds: Option<u64>,
    depth: Option<u8>,
    #[serde(default = "monday", deserialize_with = "moment")]
    at: Timestamp,

    expect: String,
    expect_at: Option<String>,
    issued: Option<Expected>,
}

/// What must be issued. What it does not say can be anything.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    scopes: Vec<String>,
    seconds: Option<u64>,
    depth: Option<u8>,
    facts: Option<Vec<String>>,
    asks_consent: Option<bool>,
}

/// Whether the set in a folder is an issuer's.
pub(super) fn is_of_issuer(folder: &Path) -> Result<bool, PolicyError> {
    let files = policy::read_folder(folder)?;
    Ok(files.iter().any(|(name, _)| issuing::is_file(name)))
}

/// Puts the set in a folder to its cases.
pub(super) fn try_cases(
    folder: &Path,
    elapsed: impl Fn() -> Duration,
) -> Result<Report, TrialError> {
    try_set(folder, elapsed).map(|(report, _)| report)
}

/// The same, and the set: what was tried is what is taken.
pub(super) fn try_set(
    folder: &Path,
    elapsed: impl Fn() -> Duration,
) -> Result<(Report, Issuance), TrialError> {
    let texts = policy::read_folder(folder)?;
    let set = Issuance::from_files(&texts)?;
    let cases = read(folder)?;
    let mut coverage = Coverage::of(&set, &texts);
    let mut report = Report {
        folder: folder.to_owned(),
        cases: Vec::new(),
        statements: Vec::new(),
        faults: Vec::new(),
    };
    let policies: Vec<String> = texts.iter().map(|(name, _)| name.clone()).collect();
    let mut start = elapsed();
    for (at, case, expected) in &cases {
        let (found, differs) = match request(case) {
            Err(problem) => {
                let message = format!("the case cannot be built: {problem}");
                let cause = Cause::MalformedCase;
                (Ruling::refused(Verdict::Undecided, cause, None, message), None)
            }
            Ok(request) => {
                let decided = decide(&set, &request, case.at);
                coverage.count(&set, &request, case.at, &decided);
                (ruling(&decided), difference(case, &decided))
            }
        };
        let end = elapsed();
        report.cases.push(Decided {
            at: at.clone(),
            name: case.name.clone(),
            policies: policies.clone(),
            expected: *expected,
            expected_at: case.expect_at.clone(),
            found,
            differs,
            took: end.saturating_sub(start),
            explanation: None,
            stand_ins: Vec::new(),
        });
        start = end;
    }
    coverage.close(&set, &mut report);
    Ok((report, set))
}

fn ruling(decided: &Result<Issued, Refused>) -> Ruling {
    match decided {
        Ok(issued) => {
            let message = format!("issued {}", described(issued));
            Ruling { message, ..Ruling::allowed_by(&issued.allowed_at) }
        }
        Err(refused) => {
            let cause = refused.cause();
            let verdict = match cause.class() {
                Class::Undecided => Verdict::Undecided,
                _ => Verdict::Deny,
            };
            let ruling = Ruling::refused(verdict, cause, None, refused.to_string());
            Ruling { place: refused.place(), ..ruling }
        }
    }
}

/// What is issued, in one line, and by which lines of the set.
fn described(issued: &Issued) -> String {
    let scopes: Vec<&str> = issued.scopes.iter().map(|scope| scope.as_str()).collect();
    let facts: Vec<String> = issued.facts().collect();
    let at: Vec<String> = issued.offered_at.iter().map(ToString::to_string).collect();
    let facts = match facts.as_slice() {
        [] => String::new(),
        facts => format!(", {}", facts.join(", ")),
    };
    let consent = if issued.asks_consent { ", with consent" } else { "" };
    format!(
        "{} for {} s and {} hops{facts}{consent}, offered at {}",
        scopes.join(" "),
        issued.seconds,
        issued.depth,
        at.join(", ")
    )
}

/// What a case has another way, if it was issued.
fn difference(case: &Case, decided: &Result<Issued, Refused>) -> Option<String> {
    let (Some(expected), Ok(issued)) = (&case.issued, decided) else { return None };
    let mut scopes = expected.scopes.clone();
    scopes.sort();
    let found: Vec<&str> = issued.scopes.iter().map(|scope| scope.as_str()).collect();
    if scopes != found {
        return Some(format!("expected scopes {}, found {}", scopes.join(" "), found.join(" ")));
    }
    let numbers = [
        ("seconds", expected.seconds, issued.seconds),
        ("depth", expected.depth.map(u64::from), issued.depth.into()),
    ];
    for (name, expected, found) in numbers {
        if let Some(expected) = expected.filter(|expected| *expected != found) {
            return Some(format!("expected {name} {expected}, found {found}"));
        }
    }
    let mut found: Vec<String> = issued.facts().collect();
    found.sort();
    if let Some(facts) = &expected.facts {
        let mut facts = facts.clone();
        facts.sort();
        if facts != found {
            let (facts, found) = (facts.join(", "), found.join(", "));
            return Some(format!("expected facts [{facts}], found [{found}]"));
        }
    }
    let consent = expected.asks_consent.filter(|expected| *expected != issued.asks_consent);
    consent.map(|expected| format!("expected asks_consent {expected}, found {}", !expected))
}

fn request(case: &Case) -> Result<Request, String> {
    let claims = match json(toml::Value::Table(case.claims.clone()))? {
        Value::Object(claims) => claims,
        _ => Map::new(),
    };
    let sub = claims.get("sub").and_then(Value::as_str).unwrap_or_default();
    let subject = subject("user", &case.idp, sub).map_err(|error| error.to_string())?;
    let way = [Way::Login, Way::Exchange, Way::Code].into_iter();
    let way = way.clone().find(|way| way.as_str() == case.way).ok_or_else(|| {
        let known: Vec<&str> = way.map(Way::as_str).collect();
        format!("there is no way \"{}\"; there are {}", case.way, known.join(", "))
    })?;
    let mut request = Request::of(&subject, &case.idp, way, &claims);
    request = case.scopes.iter().fold(request, |request, scope| request.scope(scope));
    request = case.audiences.iter().fold(request, |request, name| request.audience(name));
    if let Some(client) = &case.client {
        request = request.client(client, case.client_host.as_deref());
    }
    request = case.actor.iter().fold(request, |request, name| request.actor(name));
    request = case.signed_in.iter().fold(request, |request, moment| request.signed_in(*moment));
    request = case.seconds.iter().fold(request, |request, seconds| request.seconds(*seconds));
    request = case.depth.iter().fold(request, |request, hops| request.depth(*hops));
    Ok(if case.hosted { request.key(KeyHeld::Hosted) } else { request })
}

type Placed = (Location, Case, Option<Cause>);

fn read(set: &Path) -> Result<Vec<Placed>, TrialError> {
    let folder = set.join(CASES);
    let paths = match files(&folder, CASE_EXTENSION) {
        Ok(paths) => paths,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(PolicyError::Read { path: folder, source }.into()),
    };
    let mut cases = Vec::new();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        cases.extend(parse(&format!("{CASES}/{name}"), &read_file(set, &path)?)?);
        if cases.len() > MAX_CASES {
            return Err(TrialError::TooMany);
        }
    }
    Ok(cases)
}

fn parse(name: &str, text: &str) -> Result<Vec<Placed>, TrialError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        #[serde(default)]
        case: Vec<Spanned<Table>>,
    }
    let place = |offset: usize| {
        let before = text.as_bytes().get(..offset).unwrap_or_default();
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        Location { file: name.to_owned(), line }
    };
    let file: File = toml::from_str(text).map_err(|error| TrialError::File {
        at: place(error.span().map_or(0, |span| span.start)),
        problem: names::escaped(&error.message()),
    })?;
    let cases = file.case.into_iter().enumerate().map(|(index, table)| {
        let at = place(table.span().start);
        let table = table.into_inner();
        let called = table.get("name").and_then(toml::Value::as_str);
        let case = called.map_or_else(|| format!("number {}", index + 1), |name| names::escaped(&name));
        let wrong = |problem: &str| TrialError::Case {
            at: at.clone(),
            case: case.clone(),
            problem: names::escaped(&problem),
        };
        let read = Case::deserialize(table).map_err(|error| wrong(error.message()))?;
        let expected = match read.expect.as_str() {
            ISSUE => None,
            cause => Some(cause.parse::<Cause>().map_err(|_| {
                wrong("`expect` is \"issue\", or the cause of the refusal, such as \"not_offered\"; docs/verification.md lists causes")
            })?),
        };
        match (expected, &read.issued) {
            (None, None) => Err(wrong("say what must be issued, as in issued = { scopes = [\"tools:call:search\"] }")),
            (Some(_), Some(_)) => Err(wrong("what is refused is not `issued`")),
            _ => Ok((at.clone(), read, expected)),
        }
    });
    cases.collect()
}

/// A moment that need not be there.
fn some_moment<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
    moment(from).map(Some)
}

fn acme() -> String {
    "acme".to_owned()
}

fn exchange() -> String {
    Way::Exchange.as_str().to_owned()
}

/// Which statements did something in some case.
struct Coverage {
    ids: Vec<crate::trial::coverage::StatementId>,
    did: BTreeSet<usize>,
    refused: bool,
    texts: Vec<(String, String)>,
}

impl Coverage {
    fn of(set: &Issuance, texts: &[(String, String)]) -> Coverage {
        let texts = texts.to_vec();
        Coverage { ids: ids(&set.policy), did: BTreeSet::new(), refused: false, texts }
    }

    fn count(
        &mut self,
        set: &Issuance,
        request: &Request,
        now: Timestamp,
        decided: &Result<Issued, Refused>,
    ) {
        self.refused |= decided.is_err();
        let Ok(world) = world(&set.policy, request, now) else { return };
        let policy = &set.policy;
        let (allows, denies, checks) =
            (policy.allows.len(), policy.denies.len(), policy.checks.len());
        let alone = |found: Vec<usize>, before: usize| match found.as_slice() {
            [one] => Some(before + one),
            _ => None,
        };
        let which = |asked: &mut dyn Iterator<Item = bool>| -> Vec<usize> {
            asked.enumerate().filter_map(|(number, yes)| yes.then_some(number)).collect()
        };
        match decided {
            Err(Refused::Denied { .. }) => {
                let mut asked =
                    policy.denies.iter().map(|(_, queries)| world.denies(queries) == Ok(true));
                self.did.extend(alone(which(&mut asked), allows));
            }
            Err(Refused::CheckFailed { .. }) => {
                let mut asked = policy
                    .checks
                    .iter()
                    .map(|(_, check)| world.holds(check, VERIFIER) == Ok(false));
                self.did.extend(alone(which(&mut asked), allows + denies));
            }
            Ok(issued) => {
                let mut asked =
                    policy.allows.iter().map(|(_, queries)| world.matches_any(queries) == Ok(true));
                self.did.extend(alone(which(&mut asked), 0));
                self.rules_and_facts(set, &world, allows + denies + checks, Some(issued));
            }
            Err(Refused::StepUp { .. }) => {
                self.rules_and_facts(set, &world, allows + denies + checks, None);
            }
            Err(_) => {}
        }
    }

    /// An offer did something if what was issued rests on it; another rule, if it derived something.
    fn rules_and_facts(
        &mut self,
        set: &Issuance,
        world: &World,
        before: usize,
        issued: Option<&Issued>,
    ) {
        let policy = &set.policy;
        let is_offer = |name: u64| policy.symbols.get_symbol(name) == Some("offer");
        let used = |at: &Location| issued.is_some_and(|issued| issued.offered_at.contains(at));
        for (number, rule) in policy.rules.iter().enumerate() {
            let did = match is_offer(rule.head.name) {
                true => policy.places.rules.get(number).is_some_and(used),
                false => world.matches_any(std::slice::from_ref(rule)) == Ok(true),
            };
            if did {
                self.did.insert(before + number);
            }
        }
        let before = before + policy.rules.len();
        let stock = Stock::of(world);
        let read = Used::of(world, &stock, policy).0;
        for (number, fact) in policy.facts.iter().enumerate() {
            let said = policy.symbols.get_symbol(fact.predicate.name);
            let did = match said.is_some_and(|name| issuing::find_said(name).is_some()) {
                true if is_offer(fact.predicate.name) => {
                    policy.places.facts.get(number).is_some_and(used)
                }
                true => true,
                false => read.get(number).copied().unwrap_or_default(),
            };
            if did {
                self.did.insert(before + number);
            }
        }
    }

    fn close(self, set: &Issuance, report: &mut Report) {
        let line = |file: &str, line: usize| {
            let text = self.texts.iter().find(|(name, _)| name == file);
            let line = text.and_then(|(_, text)| text.lines().nth(line.saturating_sub(1)));
            names::escaped(&line.unwrap_or_default().trim())
        };
        let statements =
            self.ids.iter().enumerate().map(|(number, (file, at, kind, _))| Statement {
                kind: *kind,
                text: line(file, *at),
                at: Location { file: file.clone(), line: *at },
                decided: self.did.contains(&number),
            });
        report.statements = statements.collect();
        let order = |one: &Statement| (one.at.file.clone(), one.at.line, one.kind);
        report.statements.sort_by_key(order);
        if report.cases.is_empty() {
            let folder = report.folder.join(CASES).display().to_string();
            report.faults.push(Fault::NoCase { folder });
            return;
        }
        if !self.refused {
            let file = self.texts.first().map(|(name, _)| name.clone()).unwrap_or_default();
            report.faults.push(Fault::NeverRefused { file });
        }
        let offers: Vec<&Location> = offers(set).collect();
        let silent = report.statements.iter().filter(|statement| {
            let shows = statement.kind.is_policy()
                || (statement.kind == StatementKind::Rule || statement.kind == StatementKind::Fact)
                    && offers.contains(&&statement.at);
            shows && !statement.decided
        });
        let faults: Vec<Fault> =
            silent.map(|one| Fault::NeverDecided { kind: one.kind, at: one.at.clone() }).collect();
        report.faults.extend(faults);
    }
}

/// Where the set offers something.
fn offers(set: &Issuance) -> impl Iterator<Item = &Location> {
    let policy = &set.policy;
    let is_offer = |name: u64| policy.symbols.get_symbol(name) == Some("offer");
    let rules = policy.rules.iter().zip(&policy.places.rules);
    let rules = rules.filter(move |(rule, _)| is_offer(rule.head.name)).map(|(_, at)| at);
    let is_offer = |name: u64| policy.symbols.get_symbol(name) == Some("offer");
    let facts = policy.facts.iter().zip(&policy.places.facts);
    rules.chain(facts.filter(move |(fact, _)| is_offer(fact.predicate.name)).map(|(_, at)| at))
}
