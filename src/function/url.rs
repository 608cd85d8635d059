//! URL: is a URL of this site, and would every reader find the same host in it?
//!
//! This is containment of origin and path, against server-side request forgery and parser differentials. Names are not
//! looked up: a name that is allowed may resolve to any address, and whoever fetches must see to that.

use std::net::IpAddr;

use url::{Host, Url};

use crate::function::address::{carries_v4, is_public};
use crate::function::inside::is_inside;
use crate::function::segment::{is_name, is_solid, may_be};
use crate::function::text::{decoded, has_needless_escapes, hides_separators, is_plain};
use crate::function::{OperandError, Unjudgeable};

/// Schemes whose URLs have a host in the one place where every reader looks for it.
const SCHEMES: [&str; 5] = ["https", "http", "wss", "ws", "ftp"];

/// Scheme, host and port, and a path below which URLs lie: `https://api.example.com/v1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Site {
    scheme: String,
    hosts: Hosts,
    port: Option<u16>,
    path: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Hosts {
    /// This one. An address is meant, be it private or not, since it is named.
    One(Host),
    /// Those below this domain, at any depth.
    Below(String),
    /// Any of the public internet.
    Public,
}

/// Stands for `*` where a URL is parsed.
const ANY_HOST: &str = "any.invalid";

impl Site {
    /// Reads `scheme://host[:port][/path]`, where the host may be `*.example.com` or `*`.
    pub(crate) fn parse(text: &str) -> Result<Site, OperandError> {
        let wrong = |problem: &str| OperandError::new(problem);
        let form = "a site is written such as https://api.example.com, \
                    https://*.example.com:8443/v1 or https://*";
        let (scheme, rest) = text.split_once("://").ok_or_else(|| wrong(form))?;
        if !SCHEMES.contains(&scheme) {
            return Err(OperandError::new(format!("a site is of {}", SCHEMES.join(", "))));
        }
        let (below, any, named) = match rest.strip_prefix('*') {
            None => (false, false, rest.to_owned()),
            Some(rest) => match rest.strip_prefix('.') {
                Some(domain) => (true, false, domain.to_owned()),
                None if rest.is_empty() || rest.starts_with([':', '/']) => {
                    (false, true, format!("{ANY_HOST}{rest}"))
                }
                None => return Err(wrong(form)),
            },
        };
        if named.contains(['*', '@', '?', '#']) {
            return Err(wrong(
                "a site has no user, query or fragment, and `*` only as the first label or the whole host",
            ));
        }
        let written = format!("{scheme}://{named}");
        let url = Url::parse(&written).map_err(|_| wrong(form))?;
        if !is_normal(&url, &written) {
            let normal = url.as_str().trim_end_matches('/');
            return Err(OperandError::new(format!("write it in normal form: {normal}")));
        }
        let hosts = match (url.host(), below, any) {
            (Some(_), _, true) => Hosts::Public,
            (Some(Host::Domain(domain)), true, _) if is_domain(domain) => {
                Hosts::Below(domain.to_owned())
            }
            (Some(Host::Domain(domain)), false, _) if is_domain(domain) => {
                Hosts::One(Host::Domain(domain.to_owned()))
            }
            (Some(host @ (Host::Ipv4(_) | Host::Ipv6(_))), false, _) => Hosts::One(host.to_owned()),
            _ => return Err(wrong(form)),
        };
        let path = segments(&url).map(str::to_owned).collect::<Vec<_>>();
        let named = steps(url.path()).filter(|names| !names.iter().any(|name| name.contains('/')));
        if named.is_none() || has_needless_escapes(url.path()) {
            return Err(wrong(
                "a site's path has names between single slashes, without dots as steps and encoded separators",
            ));
        }
        if path.iter().any(|name| name.contains(';') || ends_loosely(name)) {
            return Err(wrong(
                "a site's path has no ; and no blanks or dots at the ends of its names: some readers leave these off",
            ));
        }
        Ok(Site { scheme: scheme.to_owned(), hosts, port: url.port_or_known_default(), path })
    }

    /// Whether the URL lies at this site. It must be in the normal form of the WHATWG URL Standard (only the
    /// slash behind a bare host may be left out), of a scheme that has a host, and name no user.
    pub(crate) fn holds(&self, text: &str) -> Result<bool, Unjudgeable> {
        // A normal form has nothing else; turning other scripts into their ASCII form takes long.
        if !text.is_ascii() {
            return Err(Unjudgeable);
        }
        let url = Url::parse(text).map_err(|_| Unjudgeable)?;
        let user = !url.username().is_empty() || url.password().is_some();
        if !is_normal(&url, text) || !SCHEMES.contains(&url.scheme()) || user {
            return Err(Unjudgeable);
        }
        let host = url.host().ok_or(Unjudgeable)?;
        match host {
            Host::Domain(name) if !is_domain(name) => return Err(Unjudgeable),
            Host::Ipv6(address) if carries_v4(address) && !self.hosts.is(&host) => {
                return Err(Unjudgeable);
            }
            _ => {}
        }
        Ok(url.scheme() == self.scheme
            && url.port_or_known_default() == self.port
            && self.hosts.holds(&host)
            && self.holds_path(&url)?)
    }

    fn holds_path(&self, url: &Url) -> Result<bool, Unjudgeable> {
        if self.path.is_empty() {
            return Ok(true);
        }
        // A server that reads escapes once more, cuts `;…` off or merges slashes would find another place.
        if has_needless_escapes(url.path()) {
            return Err(Unjudgeable);
        }
        let names = steps(url.path()).ok_or(Unjudgeable)?;
        // A slash in an escape is one for some servers, so that only below the site's path both find the same place.
        if names.iter().take(self.path.len()).any(|name| name.contains('/')) {
            return Err(Unjudgeable);
        }
        let named = self.path.iter().map(|name| decoded(name).unwrap_or_default());
        if let Some((named, found)) = named.zip(&names).find(|(named, found)| named != *found) {
            // Some readers find the site's path there, and others another one.
            return match may_be(found, &named) || self.may_hold(&names) {
                true => Err(Unjudgeable),
                false => Ok(false),
            };
        }
        let found: Vec<&str> = segments(url).collect();
        let below = self.path.iter().zip(&found).all(|(named, found)| named == found);
        Ok(self.path.len() <= found.len() && below)
    }

    /// Whether a reader that drops what is not ASCII, and the names of which nothing is left then, finds the site's path.
    fn may_hold(&self, names: &[String]) -> bool {
        let mut left = names.iter().flat_map(|name| name.split('/')).filter(|name| is_solid(name));
        let mut named = self.path.iter().map(|name| decoded(name).unwrap_or_default());
        named.all(|named| left.next().is_some_and(|found| found == named || may_be(found, &named)))
    }
}

impl Hosts {
    /// Whether this very host is named.
    fn is(&self, host: &Host<&str>) -> bool {
        matches!(self, Hosts::One(named) if named == host)
    }

    fn holds(&self, host: &Host<&str>) -> bool {
        match (self, host) {
            (Hosts::One(named), host) => named == host,
            (Hosts::Below(domain), Host::Domain(host)) => host
                .strip_suffix(domain.as_str())
                .and_then(|labels| labels.strip_suffix('.'))
                .is_some_and(is_domain),
            (Hosts::Below(_), _) => false,
            (Hosts::Public, Host::Domain(host)) => is_domain(host) && !is_inside(host),
            (Hosts::Public, Host::Ipv4(address)) => is_public(IpAddr::V4(*address)),
            (Hosts::Public, Host::Ipv6(address)) => is_public(IpAddr::V6(*address)),
        }
    }
}

/// The most bytes of a name and of a label (RFC 1035, section 2.3.4).
const MAX_DOMAIN_BYTES: usize = 253;
const MAX_LABEL_BYTES: usize = 63;

/// Labels of letters, digits and hyphens, none of them at an end (RFC 952, RFC 1123, section 2.1), within what DNS takes.
/// What else the WHATWG URL Standard lets stand in a host (`;`, `,`, `$`, quotes, `_`) ends it for other readers.
fn is_domain(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=MAX_LABEL_BYTES).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= MAX_DOMAIN_BYTES && name.split('.').all(is_label)
}

/// The names in a URL's path, read; `None` where some reader finds others. A slash at the end is none. A slash in an escape
/// (`group%2Fname`) stays in its name, and what it parts are names, too: a server that takes it for a slash finds more of
/// them, and none of them is a step.
fn steps(path: &str) -> Option<Vec<String>> {
    let slashed = path.replace("%2F", "/").replace("%2f", "/");
    if hides_separators(&slashed) {
        return None;
    }
    let path = path.strip_prefix('/').unwrap_or(path);
    let path = path.strip_suffix('/').unwrap_or(path);
    if path.is_empty() {
        return Some(Vec::new());
    }
    let read = |segment| decoded(segment).filter(|name: &String| name.split('/').all(is_name));
    path.split('/').map(read).collect()
}

/// Whether a reader that trims would find another name.
fn ends_loosely(name: &str) -> bool {
    let name = decoded(name).unwrap_or_default();
    name.trim() != name || name.ends_with('.')
}

fn segments(url: &Url) -> impl Iterator<Item = &str> {
    url.path_segments().into_iter().flatten().filter(|segment| !segment.is_empty())
}

/// Whether the text is what the URL is written as, so that whoever reads it otherwise reads another text.
fn is_normal(url: &Url, text: &str) -> bool {
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    let same = url.as_str() == text || (bare && url.as_str().strip_suffix('/') == Some(text));
    same && is_plain(text)
}

#[cfg(test)]
mod tests;
