//! Table: which operation, resource and arguments does a request mean, by its path, query and body?

use std::collections::BTreeSet;
use std::fmt::Write as _;

use bytes::Bytes;

use crate::settings::{BodyKind, MappingError, RouteSettings};
use crate::target::Target;
use hardtack::call::Call;
use hardtack::internal::{fold, is_seen};
use hardtack::scope::Operation;
use hardtack_http::{Undescribed, with_members};

/// The most routes: each is compared with each request.
pub(crate) const MAX_ROUTES: usize = 1000;

/// The routes, by which every request is refused that none of them describes.
#[derive(Debug, Default)]
pub(crate) struct Table {
    routes: Vec<Route>,
    plus_is_space: bool,
}

#[derive(Debug)]
struct Route {
    methods: Vec<String>,
    template: Vec<Part>,
    /// The texts of the template, folded; none in the place of a parameter.
    folded: Vec<Option<String>>,
    operation: Operation,
    resource: Option<Vec<Piece>>,
    query: BTreeSet<String>,
    has_body: bool,
}

/// A segment of a template. Their order is that in which templates win: text before a parameter, a parameter before a rest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Text(String),
    Parameter(String),
    Rest(String),
}

/// A piece of the resource's URI.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Parameter(String),
}

/// A request as far as a table reads it.
pub(crate) struct Described<'a> {
    pub(crate) method: &'a str,
    pub(crate) target: &'a str,
    /// The body, if the proxy sends it and says that it is a JSON text; else why it cannot be read.
    pub(crate) body: Result<&'a Bytes, Undescribed>,
}

impl Table {
    pub(crate) fn of(routes: &[RouteSettings], plus_is_space: bool) -> Result<Table, MappingError> {
        if routes.len() > MAX_ROUTES {
            return Err(MappingError::new("route", format!("there are more than {MAX_ROUTES}")));
        }
        let mut table = Table { routes: Vec::new(), plus_is_space };
        for settings in routes {
            let route = Route::of(settings)?;
            table.refuse_twice(&route, settings)?;
            table.routes.push(route);
        }
        Ok(table)
    }

    /// Whether any route reads the body.
    pub(crate) fn reads_bodies(&self) -> bool {
        self.routes.iter().any(|route| route.has_body)
    }

    /// Whether the route that fits reads the body.
    pub(crate) fn reads_body(&self, method: &str, target: &str) -> bool {
        let Ok(target) = Target::read(target, self.plus_is_space) else { return false };
        self.route(method, &target.segments).is_ok_and(|(route, _)| route.has_body)
    }

    /// The call that a request means.
    pub(crate) fn call(&self, request: Described<'_>) -> Result<Call, Undescribed> {
        let target = Target::read(request.target, self.plus_is_space)?;
        let (route, found) = self.route(request.method, &target.segments)?;
        let mut call = Call::new(route.operation.as_str())?;
        if let Some(resource) = &route.resource {
            call = call.resource(&filled(resource, &found))?;
        }
        for (name, value) in &found {
            call = call.argument(name, value.join("/"))?;
        }
        for (name, value) in target.query {
            if !route.query.contains(&name) {
                return Err(Undescribed::Other(
                    "the query has a member that this route does not have".to_owned(),
                ));
            }
            call = call.argument(&name, value)?;
        }
        match route.has_body {
            true => with_members(call, request.body?),
            false => Ok(call),
        }
    }

    /// The route whose template fits best, and what its parameters are. As with most routers, the method is looked at when the template
    /// is found, and does not choose another one.
    fn route(&self, method: &str, path: &[String]) -> Result<(&Route, Found), Undescribed> {
        let fitting = self.routes.iter().filter_map(|route| Some((route, route.fits(path)?)));
        let mut fitting: Vec<(&Route, Found)> = fitting.collect();
        let best = fitting.iter().map(|(route, _)| route.shape()).min();
        let best = best.ok_or(Undescribed::NoRoute)?;
        fitting.retain(|(route, _)| route.shape() == best);
        let found = |wanted: &str| {
            fitting.iter().position(|(route, _)| route.methods.iter().any(|known| known == wanted))
        };
        let at = found(method).or_else(|| found("GET").filter(|_| method == "HEAD"));
        let at = at.ok_or(Undescribed::NoOperation)?;
        let (route, found) = fitting.swap_remove(at);
        self.refuse_spelling(route, path)?;
        Ok((route, found))
    }

    /// Refuses a path whose spelling alone keeps it from a route that would fit better: services that do not look at capitals, or drop
    /// blanks and dots, take it for that route's.
    fn refuse_spelling(&self, taken: &Route, path: &[String]) -> Result<(), Undescribed> {
        let folded: Vec<String> = path.iter().map(|segment| folded(segment)).collect();
        let is_meant = |route: &&Route| {
            route.kinds() < taken.kinds()
                && route.fits_folded(&folded)
                && route.fits(path).is_none()
        };
        match self.routes.iter().find(is_meant) {
            Some(_) => Err(Undescribed::Other(
                "the path is another spelling of one that is known by its text; write it with the same capitals, without blanks or dots at the end of a segment".to_owned(),
            )),
            None => Ok(()),
        }
    }

    fn refuse_twice(&self, new: &Route, settings: &RouteSettings) -> Result<(), MappingError> {
        let same = self.routes.iter().filter(|route| route.shape() == new.shape());
        let twice = same.flat_map(|route| &route.methods).find(|known| new.methods.contains(known));
        match twice {
            Some(method) => Err(MappingError::new(
                &settings.name(),
                format!("{method} of this path stands in another route, too"),
            )),
            None => Ok(()),
        }
    }
}

/// Parameters of a path, each with its segments.
type Found = Vec<(String, Vec<String>)>;

impl Route {
    fn of(settings: &RouteSettings) -> Result<Route, MappingError> {
        let wrong = |problem: String| MappingError::new(&settings.name(), problem);
        let template = template(&settings.path).map_err(wrong)?;
        let operation = settings.operation.parse::<Operation>();
        let operation = operation.map_err(|error| wrong(error.to_string()))?;
        if operation.is_reserved() {
            return Err(wrong("the operation is one of Hardtack itself".to_owned()));
        }
        let methods = settings.method.as_slice().to_vec();
        if methods.is_empty() || !methods.iter().all(|method| is_method(method)) {
            return Err(wrong("write methods in capitals, such as GET".to_owned()));
        }
        let names: Vec<&String> = template.iter().filter_map(Part::name).collect();
        refuse_names(&names, &settings.query).map_err(wrong)?;
        let resource = settings.resource.as_deref();
        let resource = resource.map(|text| pieces(text, &names)).transpose().map_err(wrong)?;
        let texts = template.iter().map(|part| match part {
            Part::Text(text) => Some(folded(text)),
            Part::Parameter(_) | Part::Rest(_) => None,
        });
        let route = Route {
            methods,
            folded: texts.collect(),
            template,
            operation,
            resource,
            query: settings.query.iter().cloned().collect(),
            has_body: settings.body == Some(BodyKind::Json),
        };
        route.refuse_resource().map_err(wrong)?;
        Ok(route)
    }

    /// What decides between templates, without the names of parameters.
    fn shape(&self) -> Vec<Part> {
        let unnamed = |part: &Part| match part {
            Part::Text(text) => Part::Text(text.clone()),
            Part::Parameter(_) => Part::Parameter(String::new()),
            Part::Rest(_) => Part::Rest(String::new()),
        };
        self.template.iter().map(unnamed).collect()
    }

    /// What decides between templates, without texts.
    fn kinds(&self) -> Vec<u8> {
        let kind = |part: &Part| match part {
            Part::Text(_) => 0,
            Part::Parameter(_) => 1,
            Part::Rest(_) => 2,
        };
        self.template.iter().map(kind).collect()
    }

    /// Whether it fits a path of folded segments, whatever its parameters are.
    fn fits_folded(&self, path: &[String]) -> bool {
        let has_rest = matches!(self.template.last(), Some(Part::Rest(_)));
        let is_as_long = match has_rest {
            true => path.len() >= self.template.len(),
            false => path.len() == self.template.len(),
        };
        let mut pairs = self.folded.iter().zip(path);
        is_as_long && pairs.all(|(text, segment)| text.as_ref().is_none_or(|text| text == segment))
    }

    fn fits(&self, path: &[String]) -> Option<Found> {
        let mut found = Found::new();
        let mut rest = path;
        for part in &self.template {
            let (first, after) = rest.split_first()?;
            match part {
                Part::Text(text) if text == first => rest = after,
                Part::Parameter(name) if !first.is_empty() => {
                    found.push((name.clone(), vec![first.clone()]));
                    rest = after;
                }
                Part::Rest(name) if rest.iter().all(|segment| !segment.is_empty()) => {
                    found.push((name.clone(), rest.to_vec()));
                    rest = &[];
                }
                _ => return None,
            }
        }
        rest.is_empty().then_some(found)
    }

    /// A resource that is not in normal form would be refused with every call.
    fn refuse_resource(&self) -> Result<(), String> {
        let Some(pieces) = &self.resource else { return Ok(()) };
        let names = self.template.iter().filter_map(Part::name);
        let found: Found = names.map(|name| (name.clone(), vec!["x".to_owned()])).collect();
        let call = Call::new(self.operation.as_str()).map_err(|error| error.to_string())?;
        call.resource(&filled(pieces, &found)).map(drop).map_err(|error| error.to_string())
    }
}

impl Part {
    fn name(&self) -> Option<&String> {
        match self {
            Part::Text(_) => None,
            Part::Parameter(name) | Part::Rest(name) => Some(name),
        }
    }
}

/// The segments of a template such as `/pages/{page}` or `/files/{*path}`.
fn template(text: &str) -> Result<Vec<Part>, String> {
    let path = text.strip_prefix('/').ok_or("the path does not begin with a slash")?;
    let segments: Vec<&str> = path.split('/').collect();
    let last = segments.len() - 1;
    let part = |(index, segment): (usize, &&str)| {
        let inner = segment.strip_prefix('{').and_then(|inner| inner.strip_suffix('}'));
        match inner.map(|inner| (inner, inner.strip_prefix('*'))) {
            Some((_, Some(rest))) if is_name(rest) && index == last => {
                Ok(Part::Rest(rest.to_owned()))
            }
            Some((name, None)) if is_name(name) => Ok(Part::Parameter(name.to_owned())),
            Some(_) => Err(format!(
                "{segment} is no parameter: write {{page}}, or {{*path}} at the end; names have letters, digits, _ and -"
            )),
            None => literal(segment, index == last),
        }
    };
    segments.iter().enumerate().map(part).collect()
}

fn literal(segment: &str, is_last: bool) -> Result<Part, String> {
    let may_be_empty = segment.is_empty() && is_last;
    let is_text = !matches!(segment, "" | "." | "..")
        && segment.chars().all(|c| !c.is_control() && !"{}%/\\;?#*".contains(c));
    match may_be_empty || is_text {
        true => Ok(Part::Text(segment.to_owned())),
        false => Err(format!(
            "{segment:?} is no segment of a path: write it decoded, without {{ }} % \\ ; ? # *; a parameter is a whole segment"
        )),
    }
}

/// One text for all spellings of a segment: as of names of arguments, without what does not print and without blanks and dots at the end.
fn folded(segment: &str) -> String {
    let seen: String = segment.chars().filter(|c| is_seen(*c)).collect();
    fold(&seen).trim_start_matches(' ').trim_end_matches([' ', '.']).to_owned()
}

fn is_name(name: &str) -> bool {
    let may_have = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    !name.is_empty() && name.bytes().all(may_have)
}

fn is_method(method: &str) -> bool {
    !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-')
}

/// Names under which every log would have tokens.
const TOKENS: [&str; 3] = ["access_token", "token", "bearer"];

fn refuse_names(parameters: &[&String], query: &[String]) -> Result<(), String> {
    if let Some(name) = query.iter().find(|name| !is_name(name)) {
        return Err(format!("query: {name:?}: names have letters, digits, _ and -"));
    }
    if let Some(name) = query.iter().find(|name| TOKENS.contains(&name.to_lowercase().as_str())) {
        return Err(format!("query: {name} could be a token, which every log would have"));
    }
    // By the rule for arguments, which takes names for one that differ in capitals alone.
    let call = Call::new("names").map_err(|error| error.to_string())?;
    let mut names = parameters.iter().copied().chain(query);
    let twice =
        names.try_fold(call, |call, name| call.argument(name, String::new()).map_err(|_| name));
    twice.map(drop).map_err(|name| format!("the parameter {name} stands twice"))
}

/// The pieces of a resource's URI, in which parameters stand as in the path.
fn pieces(text: &str, names: &[&String]) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').ok_or("resource: a { is not closed")?;
        if !names.iter().any(|known| *known == name) {
            return Err(format!("resource: the path has no parameter {name}"));
        }
        pieces.extend([Piece::Text(before.to_owned()), Piece::Parameter(name.to_owned())]);
        rest = after;
    }
    pieces.push(Piece::Text(rest.to_owned()));
    Ok(pieces)
}

/// The URI with the values of parameters, each a path segment.
fn filled(pieces: &[Piece], found: &Found) -> String {
    let mut uri = String::new();
    for piece in pieces {
        match piece {
            Piece::Text(text) => uri += text,
            Piece::Parameter(name) => {
                let values = found.iter().find(|(known, _)| known == name);
                let values = values.map_or(&[] as &[String], |(_, values)| values);
                uri += &values.iter().map(|value| escaped(value)).collect::<Vec<_>>().join("/");
            }
        }
    }
    uri
}

/// A text as a segment of a path: all but unreserved characters are escaped (RFC 3986, section 2.1).
pub(crate) fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        match byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            true => escaped.push(char::from(byte)),
            // Writing to a string does not fail.
            false => drop(write!(escaped, "%{byte:02X}")),
        }
    }
    escaped
}

#[cfg(test)]
mod tests;
