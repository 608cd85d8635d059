//! Place: what is one of several servers called, and at which path does it answer?

use hardtack::cause::Cause;

/// The longest name of a server: it stands in each line of the log and in each series.
const MAX_NAME_BYTES: usize = 64;

/// The longest path of a server.
const MAX_PATH_BYTES: usize = 256;

/// What no path may be or begin with, since the process answers there itself; with any upper-case letters, since some proxies
/// do not tell those apart.
const RESERVED: [&str; 5] = ["hardtack", "healthz", "readyz", "metrics", ".well-known"];

/// The name and the path of one of several servers ([`Servers`](crate::Servers)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    name: String,
    path: String,
}

/// An error of a [`Place`]: no server can be there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlaceError {
    /// The name is not plain.
    #[error(
        "{0:?} is no name of a server; write up to 64 lower-case letters, digits, - and _, such as notion"
    )]
    Name(String),
    /// The path is not plain: readers on the way could take it for another one.
    #[error(
        "{0:?} is no path of a server; write / and plain segments with no / at the end, such as /notion/mcp (letters, digits, - _ . ~; no segment . or ..)"
    )]
    Path(String),
    /// The path is kept for the process itself.
    #[error(
        "{0:?} lies within what the gateway answers itself: /hardtack, /healthz, /readyz, /metrics and /.well-known"
    )]
    Reserved(String),
}

impl PlaceError {
    /// Returns the stable name of the cause.
    pub fn cause(&self) -> Cause {
        Cause::MisplacedServer
    }
}

impl Place {
    /// Names a server, and the path at which it answers, and at no other one.
    ///
    /// # Errors
    ///
    /// [`PlaceError`] if the name or the path is not plain, or the path is kept for the process itself.
    pub fn new(name: &str, path: &str) -> Result<Place, PlaceError> {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let is_name = name.len() <= MAX_NAME_BYTES
            && name.bytes().next().is_some_and(is_plain)
            && name.bytes().all(|byte| is_plain(byte) || b"-_".contains(&byte));
        if !is_name {
            return Err(PlaceError::Name(shown(name)));
        }
        let is_segment = |segment: &str| {
            !segment.is_empty()
                && !matches!(segment, "." | "..")
                && segment
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte))
        };
        let segments = path.strip_prefix('/').filter(|_| path.len() <= MAX_PATH_BYTES);
        let Some(segments) = segments.filter(|segments| segments.split('/').all(is_segment)) else {
            return Err(PlaceError::Path(shown(path)));
        };
        let first = segments.split('/').next().unwrap_or_default();
        if RESERVED.iter().any(|reserved| first.eq_ignore_ascii_case(reserved)) {
            return Err(PlaceError::Reserved(shown(path)));
        }
        Ok(Place { name: name.to_owned(), path: path.to_owned() })
    }

    /// Returns the name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the path.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether readers on the way could take a path of one for one of the other: they are the same in any case, or one lies within
    /// the other.
    pub(crate) fn overlaps(&self, other: &Place) -> bool {
        let (one, other) = (self.path.to_ascii_lowercase(), other.path.to_ascii_lowercase());
        let is_within = |inner: &str, outer: &str| {
            inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        is_within(&one, &other) || is_within(&other, &one)
    }
}

/// The beginning of a text that may be anything.
fn shown(text: &str) -> String {
    text.chars().take(MAX_NAME_BYTES).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_and_a_path_are_plain() {
        for (name, path) in
            [("notion", "/notion/mcp"), ("a", "/a"), ("9_b-c", "/A.b/~c_d-e"), ("x", "/healthz-x")]
        {
            let place = Place::new(name, path).unwrap();
            assert_eq!((place.name(), place.path()), (name, path));
        }
        let long = "a".repeat(65);
        for name in ["", "Notion", "no tion", "-a", "_a", "a/b", "a.b", "nötion", "a\n", &long] {
            assert!(matches!(Place::new(name, "/a"), Err(PlaceError::Name(_))), "{name:?}");
        }
        let long = format!("/{}", "a".repeat(256));
        for path in [
            "", "/", "a", "//", "/a/", "/a//b", "/a/../b", "/a/.", "/..", "/a%2fb", "/a b", "/{a}",
            "/:a/\\", "/a?b", "/a#b", "/ä", "/a;b", "/*", &long,
        ] {
            assert!(matches!(Place::new("a", path), Err(PlaceError::Path(_))), "{path:?}");
        }
        for path in [
            "/hardtack",
            "/hardtack/x",
            "/healthz",
            "/READYZ/mcp",
            "/metrics/a",
            "/.well-known",
            "/.Well-Known/b",
        ] {
            assert!(matches!(Place::new("a", path), Err(PlaceError::Reserved(_))), "{path:?}");
        }
    }

    #[test]
    fn paths_overlap_that_are_the_same_in_any_case_or_lie_within_each_other() {
        let overlap = |one: &str, other: &str| {
            let [one, other] = [one, other].map(|path| Place::new("a", path).unwrap());
            assert_eq!(one.overlaps(&other), other.overlaps(&one));
            one.overlaps(&other)
        };
        for (one, other) in [("/a", "/a"), ("/a", "/A"), ("/a", "/a/mcp"), ("/A/b", "/a")] {
            assert!(overlap(one, other), "{one} {other}");
        }
        for (one, other) in [("/a", "/b"), ("/a", "/ab"), ("/a/mcp", "/b/mcp"), ("/a/b", "/a/c")] {
            assert!(!overlap(one, other), "{one} {other}");
        }
    }
}
