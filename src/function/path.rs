//! Path: does a path stay within a folder, read as text?
//!
//! Nothing is looked up: where a folder has a symbolic link that leads out of it, whoever follows that link
//! is outside, and the tool that opens files must see to that.

use crate::function::text::{is_dots, is_plain};
use crate::function::{OperandError, Unjudgeable};

/// A folder, absolute and in its shortest form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Root<'a>(Vec<&'a str>);

impl<'a> Root<'a> {
    pub(crate) fn parse(text: &'a str) -> Result<Root<'a>, OperandError> {
        let wrong = || {
            OperandError::new(
                "a folder is absolute, with single slashes and without . and .., such as /srv/data",
            )
        };
        let names: Vec<&str> =
            steps(text).ok_or_else(wrong)?.into_iter().filter_map(Step::name).collect();
        match format!("/{}", names.join("/")) == text {
            true if text.contains(['*', '?']) => Err(OperandError::new(
                "a folder has no * or ?: all that lies in it is meant; leave /* off",
            )),
            true => Ok(Root(names)),
            false => Err(wrong()),
        }
    }

    /// Whether the path is this folder or something in it. On the way down to the folder, and once within it, it may
    /// never step out: what comes back in may come back somewhere else if a folder is a link.
    pub(crate) fn holds(&self, path: &str) -> Result<bool, Unjudgeable> {
        let steps = steps(path).ok_or(Unjudgeable)?;
        let outside = match steps.contains(&Step::Up) {
            false => Ok(false),
            // Where it leads to is for the file system to say: perhaps into the folder.
            true => Err(Unjudgeable),
        };
        let mut steps = steps.into_iter();
        for name in &self.0 {
            match steps.next() {
                Some(Step::Into(found)) if found == *name => {}
                _ => return outside,
            }
        }
        let mut depth = 0_usize;
        for step in steps {
            match step {
                Step::Into(_) => depth += 1,
                Step::Up => match depth.checked_sub(1) {
                    Some(above) => depth = above,
                    None => return outside,
                },
            }
        }
        Ok(true)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step<'a> {
    Into(&'a str),
    Up,
}

impl<'a> Step<'a> {
    fn name(self) -> Option<&'a str> {
        match self {
            Step::Into(name) => Some(name),
            Step::Up => None,
        }
    }
}

/// The steps of an absolute path that every reader takes alike; `.` and doubled slashes are none.
fn steps(path: &str) -> Option<Vec<Step<'_>>> {
    let rest = path.strip_prefix('/')?;
    // Two slashes at the front are for the system to interpret (POSIX, section 4.13).
    // A percent sign is an escape for one reader and itself for another.
    if rest.starts_with('/') || path.contains(['\\', '%']) || !is_plain(path) {
        return None;
    }
    let segments = rest.split('/').filter(|segment| !segment.is_empty() && *segment != ".");
    segments
        .map(|segment| match segment {
            ".." => Some(Step::Up),
            segment if is_dots(segment) => None,
            segment => Some(Step::Into(segment)),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn within(path: &str) -> Option<bool> {
        Root::parse("/srv/data").unwrap().holds(path).ok()
    }

    #[test]
    fn what_lies_in_the_folder_is_within() {
        for path in [
            "/srv/data",
            "/srv/data/",
            "/srv/data/a",
            "/srv/data/a/b.txt",
            "/srv//data/./a",
            "/srv/data/a/../b",
            "/srv/data/..data/x",
            "/srv/data/Zoë's report (2).pdf",
        ] {
            assert_eq!(within(path), Some(true), "{path}");
        }
        assert_eq!(Root::parse("/").unwrap().holds("/etc/passwd"), Ok(true));
    }

    #[test]
    fn what_lies_beside_it_is_not() {
        for path in [
            "/",
            "/srv",
            "/srv/database",
            "/srv/data.bak",
            "/SRV/data/a",
            "/srv/d\u{430}ta/a",
            "/etc/passwd",
        ] {
            assert_eq!(within(path), Some(false), "{path}");
        }
    }

    #[test]
    fn what_readers_take_differently_cannot_be_judged() {
        for path in [
            "/srv/data/..",
            "/srv/data/../etc/passwd",
            "/srv/data/a/../../x",
            "/srv/data/../data/a",
            "/srv/x/../data/a",
            "/srv/data/a/../../data/a",
            "/../srv/data/a",
            "/etc/../srv/data",
            "/srv/data/\u{fe30}/etc",
            "/srv/data/..\u{a0}/etc",
            "/srv/data/..\u{a5}..\u{a5}etc",
            "/srv/data/%%32%65%%32%65/etc",
            "/srv/data/%c0%ae%c0%ae/etc",
            "/srv/data/..%20/etc",
            "",
            "srv/data/a",
            "./srv/data/a",
            "~/x",
            "//srv/data/a",
            "C:\\srv\\data",
            "/srv/data/..\\..\\etc",
            "/srv/data/a\0.txt",
            "/srv/data/a\nb",
            "/srv/data/%2e%2e/etc",
            "/srv/data/%2E%2E%2Fetc",
            "/srv/data/%252e%252e/etc",
            "/srv/data/..%2fetc",
            "/srv/data/a%00",
            "/srv/data/.. /etc",
            "/srv/data/..;/etc",
            "/srv/data/.../etc",
            "/srv/data/\u{ff0e}\u{ff0e}/etc",
            "/srv/data/..\u{ff0f}etc",
            "/srv/data/\u{2025}/etc",
            "/srv/data/..\u{2215}etc",
            "/srv/data/\u{202e}txt",
            "file:///srv/data/a",
        ] {
            assert_eq!(within(path), None, "{path:?}");
        }
    }

    #[test]
    fn a_folder_is_written_in_its_shortest_form() {
        for text in ["", "srv", "/srv/", "/srv/../etc", "/srv//data", "/srv/./x", "//srv", "/a\\b"]
        {
            assert!(Root::parse(text).is_err(), "{text}");
        }
    }
}
