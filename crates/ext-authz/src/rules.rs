//! Rules: which call does a question mean?

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use std::sync::Arc;

use crate::asked::Question;
use crate::authzen::{Actions, Evaluation};
use crate::body::{Place, aside};
use crate::settings::{Mapping, MappingError};
use crate::table::{Described, Table};
use hardtack::call::Call;
use hardtack_http::{Describe, Undescribed};

/// What is asked, before anything of it is read that a bearer has to be valid for.
pub(crate) enum Meaning {
    /// Whether a request may pass; or why the proxy's question is none.
    Request(Result<Question, Undescribed>),
    /// An evaluation of AuthZEN.
    Evaluation(Evaluation),
}

impl Meaning {
    fn place(&self) -> Place {
        match self {
            Meaning::Request(Ok(question)) => question.place.clone(),
            Meaning::Request(Err(_)) => Place::default(),
            Meaning::Evaluation(evaluation) => evaluation.place().clone(),
        }
    }
}

/// A mapping, read.
#[derive(Debug)]
pub(crate) struct Rules {
    hosts: Vec<String>,
    table: Table,
    actions: Actions,
}

impl Rules {
    pub(crate) fn of(mapping: &Mapping) -> Result<Rules, MappingError> {
        let table = Table::of(&mapping.route, mapping.plus_is_space)?;
        let asks_for_requests =
            mapping.nginx.is_some() || mapping.forward_auth.is_some() || mapping.envoy.is_some();
        if asks_for_requests && mapping.host.is_empty() {
            let problem = "write the names by which clients address the service, such as host = [\"pages.example\"]";
            return Err(MappingError::new("host", problem));
        }
        if asks_for_requests && mapping.route.is_empty() {
            return Err(MappingError::new("route", "there is none, so every request is refused"));
        }
        let bodies = mapping.envoy.as_ref().is_some_and(|envoy| envoy.body)
            || mapping.forward_auth.as_ref().is_some_and(|forward| forward.body);
        if table.reads_bodies() && !bodies {
            let problem = "no proxy sends the body that a route reads: set body = true under [envoy] or [forward-auth], and have the proxy send it (nginx and Caddy cannot)";
            return Err(MappingError::new("body", problem));
        }
        let actions = Actions::of(mapping.authzen.as_ref())?;
        let hosts = mapping.host.iter().map(|host| plain_host(host)).collect::<Result<_, _>>()?;
        Ok(Rules { hosts, table, actions })
    }

    fn call(&self, meaning: &Meaning) -> Result<Call, Undescribed> {
        match meaning {
            Meaning::Request(Ok(question)) => self.request(question),
            Meaning::Request(Err(error)) => Err(error.clone()),
            Meaning::Evaluation(evaluation) => self.actions.call(evaluation),
        }
    }

    /// Whether the route that a request means reads its body.
    pub(crate) fn reads_body(&self, question: &Question) -> bool {
        self.table.reads_body(&question.method, &question.target)
    }

    fn request(&self, question: &Question) -> Result<Call, Undescribed> {
        let host = question.host.to_ascii_lowercase();
        if !self.hosts.contains(&host) {
            return Err(Undescribed::Other("the host is none of this service's names".to_owned()));
        }
        self.table.call(Described {
            method: &question.method,
            target: &question.target,
            body: question.body.as_ref().map_err(Clone::clone),
        })
    }
}

/// A host as it is compared: in small letters, without anything around it.
fn plain_host(host: &str) -> Result<String, MappingError> {
    let may_have = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
    match !host.is_empty() && host.bytes().all(may_have) {
        true => Ok(host.to_ascii_lowercase()),
        false => {
            let problem =
                format!("{host:?} is no host; write the name alone, such as pages.example");
            Err(MappingError::new("host", problem))
        }
    }
}

/// The rules as the layer asks them.
#[derive(Clone)]
pub(crate) struct Meanings(pub(crate) Arc<Rules>);

impl Describe<Full<Bytes>> for Meanings {
    async fn describe(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<(Call, Request<Full<Bytes>>), Undescribed> {
        let meaning = request.extensions().get::<Arc<Meaning>>().cloned();
        let meaning = meaning.ok_or(Undescribed::NoRoute)?;
        let place = meaning.place();
        if !place.takes_long() {
            return Ok((self.0.call(&meaning)?, request));
        }
        // The thread of the runtime goes on meanwhile.
        let rules = Arc::clone(&self.0);
        let read = aside(place, move || rules.call(&meaning)).await;
        Ok((read.unwrap_or(Err(Undescribed::Incomplete))?, request))
    }

    async fn asked(&self, request: Request<Full<Bytes>>) -> Option<Call> {
        // For a record alone nothing large is read.
        let meaning = request.extensions().get::<Arc<Meaning>>()?;
        if meaning.place().takes_long() { None } else { self.0.call(meaning).ok() }
    }
}
