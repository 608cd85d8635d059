//! Checking: is what a gateway is told what it must be?

use std::borrow::Cow;
use std::error::Error;
use std::fmt::Display;
use std::net::SocketAddr;
use std::time::Duration;

use super::REVOCATION_SUFFIX;
use super::file::Described;
use super::server::check_audience;
use crate::args::gateway::Settings;
use crate::args::life;
use crate::command::serving;
use crate::secrets::Secret;

/// The audience of requests to revoke: the only server's own with a suffix, if nothing is said. Of several, none is the gateway's
/// own, and it would change with the one that was taken.
pub(super) fn revocation_audience(
    settings: &Settings,
    servers: &[Described],
) -> Result<String, Box<dyn Error>> {
    if let Some(own) = &settings.revocation_audience {
        return Ok(own.clone());
    }
    if !servers.is_empty() {
        return Err(wrong(
            "revocation-audience",
            "it is missing: with several servers, say which name requests to revoke are presented to, such as gateway.example/hardtack",
        ));
    }
    let audience = needed("audience", settings.own.audience.as_deref())?;
    Ok(format!("{audience}{REVOCATION_SUFFIX}"))
}

pub(super) fn refuse_missing(settings: &Settings, are_several: bool) -> Result<(), Box<dyn Error>> {
    let own = &settings.own;
    if are_several && let Some(key) = own.keys().first() {
        return Err(wrong(
            key,
            "it is said of a single server, and [[server]] of several; they exclude each other: write it below the [[server]] for which it is meant",
        ));
    }
    let missing: Vec<&str> = [
        ("upstream", !are_several && own.upstream.is_none() && own.upstream_command.is_none()),
        ("audience", !are_several && own.audience.is_none()),
        ("root", settings.root.is_empty()),
        ("store", settings.store.is_none()),
    ]
    .into_iter()
    .filter_map(|(key, is_missing)| is_missing.then_some(key))
    .collect();
    match missing.as_slice() {
        [] => Ok(()),
        [key] => Err(self::missing(key)),
        keys => Err(format!(
            "{} are missing: type --{}, set HARDTACK_{}, or write them into the --config file; so with the others",
            keys.join(", "),
            keys[0],
            keys[0].to_uppercase()
        )
        .into()),
    }
}

/// Every text is there, and is no secret.
pub(super) fn check_texts(texts: Vec<(&'static str, Cow<'_, str>)>) -> Result<(), Box<dyn Error>> {
    for (key, text) in texts {
        if text.trim().is_empty() {
            return Err(wrong(key, "it is empty; leave it out, or say what it is"));
        }
        if let Some(secret) = Secret::in_text(&text) {
            return Err(wrong(key, secret.problem()));
        }
    }
    Ok(())
}

/// Names that could never match would refuse everything, and nobody would see why.
pub(super) fn check_names(settings: &Settings, admin: &str) -> Result<(), Box<dyn Error>> {
    check_audience("revocation-audience", admin)?;
    if settings.own.audience.as_deref() == Some(admin) {
        let problem =
            "must be another than the audience, so that a token for the tools stops nobody";
        return Err(wrong("revocation-audience", problem));
    }
    if let Some(problem) = settings.allow_origin.iter().find_map(|page| serving::no_origin(page)) {
        return Err(wrong("allow-origin", problem));
    }
    if let Some(problem) = settings.allow_host.iter().find_map(|host| serving::no_host(host)) {
        return Err(wrong("allow-host", problem));
    }
    Ok(())
}

pub(in crate::command) fn time(
    key: &str,
    text: Option<&str>,
) -> Result<Option<Duration>, Box<dyn Error>> {
    text.map(|text| life(text).map_err(|error| wrong(key, error))).transpose()
}

pub(super) fn address(key: &str, text: &str) -> Result<SocketAddr, Box<dyn Error>> {
    let problem = "write a numeric address and a port, such as 127.0.0.1:8080";
    text.parse().map_err(|_| wrong(key, problem))
}

pub(super) fn needed<'a>(key: &str, text: Option<&'a str>) -> Result<&'a str, Box<dyn Error>> {
    text.ok_or_else(|| missing(key))
}

pub(super) fn missing(key: &str) -> Box<dyn Error> {
    let variable = key.to_uppercase().replace('-', "_");
    let value = if key == "root" { "[\"…\"]" } else { "\"…\"" };
    format!("{key} is missing: type --{key}, set HARDTACK_{variable}, or write {key} = {value} into the --config file").into()
}

pub(in crate::command) fn wrong(key: &str, problem: impl Display) -> Box<dyn Error> {
    format!("{key}: {problem}").into()
}
