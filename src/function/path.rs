//! Path: does a path, or a `file:` URL, stay within a folder, read as text?
//!
//! This is lexical containment, against path traversal. Nothing is looked up: where a folder has a symbolic link that
//! leads out of it, whoever follows that link is outside, and the tool that opens files must see to that.

use std::borrow::Cow;

use crate::function::loose::names_device;
use crate::function::segment::{
    has_lone_percent, is_cut, is_drive, is_name, is_name_in_place, is_solid, may_be,
};
use crate::function::text::{
    decoded, has_needless_escapes, hides_separators, is_percent, is_plain,
};
use crate::function::{OperandError, Unjudgeable};

/// What a `file:` URL of this machine begins with.
const FILE: &str = "file://";

/// A folder, absolute and in its shortest form: `/srv/data`, or `file:///srv/data` for URLs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Root<'a> {
    form: Form,
    names: Vec<Cow<'a, str>>,
}

/// How the folder is written, and so the texts that can be judged by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Path,
    File,
}

impl<'a> Root<'a> {
    /// Reads a folder: as a path, or as a URL that begins with `file:///`.
    pub(crate) fn parse(text: &'a str) -> Result<Root<'a>, OperandError> {
        let wrong = || {
            OperandError::new(
                "a folder is absolute, with single slashes and without . and .., such as /srv/data or \
                 file:///srv/data",
            )
        };
        let (form, steps) = match text.strip_prefix(FILE) {
            Some(path) => (Form::File, steps_of_url(path)),
            None => (Form::Path, steps(text)),
        };
        let path = text.strip_prefix(FILE).unwrap_or(text);
        let named = match path.strip_prefix('/').unwrap_or(path) {
            "" => 0,
            rest => rest.split('/').count(),
        };
        let names: Vec<Cow<'a, str>> =
            steps.ok_or_else(wrong)?.into_iter().filter_map(Step::name).collect();
        if names.len() != named {
            return Err(wrong());
        }
        if form == Form::Path && text.contains(is_percent) {
            return Err(OperandError::new(
                "a folder's names have no percent sign: some readers find an escape there",
            ));
        }
        if text.contains(['*', '?']) {
            return Err(OperandError::new(
                "a folder has no * or ?: all that lies in it is meant; leave /* off",
            ));
        }
        if names.iter().any(|name| name.contains([';', '#']) || has_loose_ends(name)) {
            return Err(OperandError::new(
                "a folder's names have no ; or #, and no blanks or dots at their ends: some readers leave these \
                 off and would find another folder",
            ));
        }
        Ok(Root { form, names })
    }

    /// Whether the path is this folder or something in it. On the way down to the folder, and once within it, it may
    /// never step out: what comes back in may come back somewhere else if a folder is a link.
    pub(crate) fn holds(&self, text: &str) -> Result<bool, Unjudgeable> {
        let steps = match self.form {
            Form::Path => steps(text),
            Form::File => text.strip_prefix(FILE).and_then(steps_of_url),
        };
        let steps = steps.ok_or(Unjudgeable)?;
        let outside = match steps.contains(&Step::Up) || self.may_hold(&steps) {
            false => Ok(false),
            // Where it leads to is for the file system or the reader to say: perhaps into the folder.
            true => Err(Unjudgeable),
        };
        let mut steps = steps.into_iter();
        for name in &self.names {
            match steps.next() {
                Some(Step::Into(found)) if found == *name => {}
                // Some readers find the folder's name there, and others another one.
                Some(Step::Into(found)) if may_be(&found, name) => {
                    return Err(Unjudgeable);
                }
                _ => return outside,
            }
        }
        let mut within: Vec<Cow<'_, str>> = Vec::new();
        for step in steps {
            match step {
                Step::Into(name) => within.push(name),
                Step::Up => match within.pop() {
                    Some(name) if is_solid(&name) => {}
                    // A reader that finds no name to take back takes back one of the folder's.
                    Some(_) => return Err(Unjudgeable),
                    None => return outside,
                },
            }
        }
        // Windows finds a device whatever folder stands before its name, which lies in none. A name that is not the last one is
        // the last to whoever ends the path in it.
        let last = within.len().saturating_sub(1);
        let device =
            |(at, name): (usize, &Cow<'_, str>)| (at == last || is_cut(name)) && names_device(name);
        match within.iter().enumerate().any(device) {
            true => Err(Unjudgeable),
            false => Ok(true),
        }
    }
}

impl Root<'_> {
    /// Whether a reader that drops what is not ASCII, and the names of which nothing is left then, finds the folder.
    fn may_hold(&self, steps: &[Step<'_>]) -> bool {
        let mut left = steps.iter().filter_map(|step| match step {
            Step::Into(name) if is_solid(name) => Some(name),
            _ => None,
        });
        self.names
            .iter()
            .all(|name| left.next().is_some_and(|found| found == name || may_be(found, name)))
    }
}

/// Whether a reader that trims would find another name.
fn has_loose_ends(name: &str) -> bool {
    name.trim() != name || name.ends_with('.')
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step<'a> {
    Into(Cow<'a, str>),
    Up,
}

impl<'a> Step<'a> {
    fn name(self) -> Option<Cow<'a, str>> {
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
    // A percent sign is an escape for one reader and itself for another, unless it can begin none.
    let escaped = path.contains(is_percent) && !has_lone_percent(path);
    if rest.starts_with('/') || path.contains('\\') || escaped || !is_plain(path) {
        return None;
    }
    let segments = rest.split('/').filter(|segment| !segment.is_empty() && *segment != ".");
    segments
        .map(|segment| match segment {
            ".." => Some(Step::Up),
            segment if !is_name_in_place(segment) => None,
            segment => Some(Step::Into(Cow::Borrowed(segment))),
        })
        .collect()
}

/// The steps of the path of a `file:` URL without host, query and fragment, in the normal form of the WHATWG URL
/// Standard: there `..` is resolved already, so that none is left.
fn steps_of_url(path: &str) -> Option<Vec<Step<'_>>> {
    let rest = path.strip_prefix('/')?;
    // What a path has without escapes (RFC 3986, section 3.3).
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@%/".contains(&byte);
    if !path.bytes().all(plain) || has_needless_escapes(path) || hides_separators(path) {
        return None;
    }
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.is_empty() {
        return (path == "/").then(Vec::new);
    }
    let segments = rest.split('/').enumerate().map(|(index, segment)| {
        let name = decoded(segment)?;
        // The drive of a system that has some: `file:///C:/docs`.
        let drive = index == 0 && is_drive(&name) && name.len() == 2;
        (is_name(&name) && (drive || !is_drive(&name))).then_some(Step::Into(Cow::Owned(name)))
    });
    segments.collect()
}

#[cfg(test)]
mod tests;
