//! AuthZEN: what does an evaluation ask (OpenID Authorization API 1.0, Access Evaluation), and how is it answered?

use std::error::Error;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, header};
use http_body::Body;
use serde_json::{Map, Value, json};

use crate::asked::one;
use crate::body::{Place, Unread, Whole, aside};
use crate::decider::{Decider, Verdict};
use crate::rules::Meaning;
use crate::settings::{ActionSettings, AuthZen, MappingError, Told};
use crate::table::{MAX_ROUTES, escaped};
use hardtack::Capability;
use hardtack::call::Call;
use hardtack::scope::Operation;
use hardtack_http::Undescribed;

/// What a client knows its question by; the answer has it, too.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What a JSON text is read as: the strict reading of arguments is that of all doors.
const READ_AS: &str = "evaluation";

/// An evaluation, read strictly.
pub(crate) struct Evaluation {
    members: Map<String, Value>,
    /// The bearer, `subject.properties.token`.
    token: String,
    /// Goes after all else.
    place: Place,
}

/// The actions that mean something.
#[derive(Debug, Default)]
pub(crate) struct Actions(Vec<ActionSettings>);

pub(crate) async fn evaluate<B>(decider: &Decider, request: Request<B>) -> Response<Bytes>
where
    B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>> + Send>,
{
    let (parts, body) = request.into_parts();
    let media = parts.headers.get(header::CONTENT_TYPE).and_then(|media| media.to_str().ok());
    let is_json = media.is_some_and(|media| {
        media.split(';').next().is_some_and(|kind| kind.trim() == "application/json")
    });
    let bodies = &decider.doors.bodies;
    let read = async {
        let Whole { bytes, place } = bodies.read(body, 0).await?;
        if !is_json {
            let problem = "the body is no application/json".to_owned();
            return Err(Undescribed::Other(problem).into());
        }
        let place = bodies.to_read(&bytes, place).await?;
        Ok(read(bytes, place).await?)
    };
    let mut response = match read.await {
        Ok(evaluation) => answer(decider, evaluation).await,
        Err(Unread::Undescribed(error)) => decider.refuse(error),
        Err(busy @ Unread::Busy) => decider.unavailable(&busy.to_string()),
    };
    if let Ok(id) = one(&parts.headers, &REQUEST_ID)
        && let Ok(id) = HeaderValue::from_str(id)
    {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// The thread of the runtime goes on meanwhile, if it is large.
async fn read(bytes: Bytes, place: Place) -> Result<Evaluation, Undescribed> {
    if !place.takes_long() {
        return Evaluation::read(&bytes, place);
    }
    let read = aside(place.clone(), move || Evaluation::read(&bytes, place)).await;
    read.unwrap_or(Err(Undescribed::Incomplete))
}

async fn answer(decider: &Decider, evaluation: Evaluation) -> Response<Bytes> {
    let Ok(bearer) = HeaderValue::try_from(format!("Bearer {}", evaluation.token)) else {
        let problem = "subject.properties.token is no token".to_owned();
        return decider.refuse(Undescribed::Other(problem));
    };
    let verdict = decider.decide(vec![bearer], None, Meaning::Evaluation(evaluation)).await;
    let said = match verdict {
        Verdict::Allowed(permit) => {
            let told = |told: Told| told.of(&permit);
            json!({"decision": true, "context": {
                "subject": told(Told::Subject), "agent": told(Told::Agent), "agents": told(Told::Agents),
                "grant": told(Told::Grant), "hop": told(Told::Hop), "record": told(Told::Record),
            }})
        }
        // Nobody decided: an answer would be taken for a decision.
        Verdict::Refused(response) if response.status() == StatusCode::SERVICE_UNAVAILABLE => {
            return response;
        }
        Verdict::Refused(response) => {
            let mut context: Value = serde_json::from_slice(response.body()).unwrap_or_default();
            context["status"] = json!(response.status().as_u16());
            let challenge = response.headers().get(header::WWW_AUTHENTICATE);
            if let Some(challenge) = challenge.and_then(|challenge| challenge.to_str().ok()) {
                context["challenge"] = json!(challenge);
            }
            json!({"decision": false, "context": context})
        }
    };
    let mut response = Response::new(Bytes::from(said.to_string()));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

impl Evaluation {
    fn read(body: &[u8], place: Place) -> Result<Evaluation, Undescribed> {
        let text = std::str::from_utf8(body).map_err(|_| Undescribed::NoText)?;
        let members =
            Call::new(READ_AS)?.at_most(usize::MAX).arguments(text)?.arguments_json().clone();
        refuse_others(&members, "the evaluation", &["subject", "action", "resource", "context"])?;
        let subject = object(&members, "subject")?;
        refuse_others(subject, "subject", &["type", "id", "properties"])?;
        let properties = object(subject, "properties")?;
        refuse_others(properties, "subject.properties", &["token"])?;
        let token = text_of(properties, "subject.properties", "token")?.to_owned();
        Ok(Evaluation { members, token, place })
    }
}

impl Evaluation {
    pub(crate) fn place(&self) -> &Place {
        &self.place
    }
}

impl Actions {
    pub(crate) fn of(settings: Option<&AuthZen>) -> Result<Actions, MappingError> {
        let Some(settings) = settings else { return Ok(Actions::default()) };
        if settings.action.is_empty() {
            return Err(MappingError::new(
                "authzen",
                "there is no [[authzen.action]], so everything is refused",
            ));
        }
        if settings.action.len() > MAX_ROUTES {
            return Err(MappingError::new(
                "authzen",
                format!("there are more than {MAX_ROUTES} actions"),
            ));
        }
        for (index, action) in settings.action.iter().enumerate() {
            let name = format!("authzen action {} on {}", action.name, action.resource_type);
            let wrong = |problem: String| MappingError::new(&name, problem);
            let is_same = |other: &ActionSettings| {
                (&other.name, &other.resource_type) == (&action.name, &action.resource_type)
            };
            if settings.action[..index].iter().any(is_same) {
                return Err(wrong("it stands there twice".to_owned()));
            }
            let operation = action.operation.parse::<Operation>();
            let operation = operation.map_err(|error| wrong(error.to_string()))?;
            if operation.is_reserved() {
                return Err(wrong("the operation is one of Hardtack itself".to_owned()));
            }
            let names = action.id.iter().chain(&action.properties).chain(&action.context);
            let call = Call::new(READ_AS).map_err(|error| wrong(error.to_string()))?;
            let all = names.clone().try_fold(call, |call, name| call.argument(name, String::new()));
            all.map_err(|_| wrong("two arguments have one name".to_owned()))?;
            if let Some(resource) = &action.resource {
                let call =
                    Call::new(READ_AS).and_then(|call| call.resource(&filled(resource, "x")));
                call.map_err(|error| wrong(error.to_string()))?;
            }
        }
        Ok(Actions(settings.action.clone()))
    }

    pub(crate) fn call(&self, evaluation: &Evaluation) -> Result<Call, Undescribed> {
        let members = &evaluation.members;
        refuse_claims(members, &evaluation.token)?;
        let (action, resource) = (object(members, "action")?, object(members, "resource")?);
        refuse_others(action, "action", &["name", "properties"])?;
        refuse_others(resource, "resource", &["type", "id", "properties"])?;
        let name = text_of(action, "action", "name")?;
        let kind = text_of(resource, "resource", "type")?;
        let id = text_of(resource, "resource", "id")?;
        let known = |known: &&ActionSettings| known.name == name && known.resource_type == kind;
        let settings = self.0.iter().find(known).ok_or(Undescribed::NoOperation)?;
        // Whoever read the body has bounded it.
        let mut call = Call::new(&settings.operation)?.at_most(usize::MAX);
        if let Some(uri) = &settings.resource {
            // These would lead to another resource, however they are escaped.
            if matches!(id, "" | "." | "..") {
                return Err(Undescribed::Other("resource.id is no name of a resource".to_owned()));
            }
            call = call.resource(&filled(uri, id))?;
        }
        if let Some(argument) = &settings.id {
            call = call.argument(argument, id.to_owned())?;
        }
        let absent = Map::new();
        for (place, holder, allowed) in [
            ("action.properties", action.get("properties"), &settings.properties),
            ("resource.properties", resource.get("properties"), &settings.properties),
            ("context", members.get("context"), &settings.context),
        ] {
            let values = match holder {
                None => &absent,
                Some(Value::Object(values)) => values,
                Some(_) => return Err(form(place, "an object")),
            };
            for (name, value) in values {
                if !allowed.contains(name) {
                    return Err(unknown(place));
                }
                call = call.argument(name, value.clone())?;
            }
        }
        Ok(call)
    }
}

/// Refuses an evaluation about somebody else than the token is. It is asked of a token that was verified.
fn refuse_claims(members: &Map<String, Value>, token: &str) -> Result<(), Undescribed> {
    let subject = object(members, "subject")?;
    let claimed = text_of(subject, "subject", "id")?;
    let capability =
        Capability::parse(token).map_err(|_| form("subject.properties.token", "a token"))?;
    let chain = capability.chain();
    let holds = match text_of(subject, "subject", "type")? {
        "user" => claimed == chain.grant.subject,
        "agent" => chain.hops.last().is_some_and(|hop| hop.delegate == claimed),
        _ => return Err(form("subject.type", "user or agent")),
    };
    match holds {
        true => Ok(()),
        false => Err(Undescribed::Other("subject.id is another one than the token's".to_owned())),
    }
}

fn object<'a>(
    members: &'a Map<String, Value>,
    name: &str,
) -> Result<&'a Map<String, Value>, Undescribed> {
    members.get(name).and_then(Value::as_object).ok_or_else(|| form(name, "an object"))
}

fn text_of<'a>(
    members: &'a Map<String, Value>,
    place: &str,
    name: &str,
) -> Result<&'a str, Undescribed> {
    let text = members.get(name).and_then(Value::as_str);
    text.ok_or_else(|| form(&format!("{place}.{name}"), "a text"))
}

fn refuse_others(
    members: &Map<String, Value>,
    place: &str,
    known: &[&str],
) -> Result<(), Undescribed> {
    match members.keys().all(|name| known.contains(&name.as_str())) {
        true => Ok(()),
        false => Err(unknown(place)),
    }
}

fn unknown(place: &str) -> Undescribed {
    Undescribed::Other(format!("{place} has a member that is not judged here"))
}

fn form(place: &str, what: &str) -> Undescribed {
    Undescribed::Other(format!("{place} is not {what}"))
}

fn filled(uri: &str, id: &str) -> String {
    uri.replace("{id}", &escaped(id))
}
