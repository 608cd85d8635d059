//! Path: does a path, or a `file:` URL, stay within a folder, read as text?
//!
//! Nothing is looked up: where a folder has a symbolic link that leads out of it, whoever follows that link
//! is outside, and the tool that opens files must see to that.

use std::borrow::Cow;

use crate::function::segment::{has_lone_percent, is_drive, is_name, is_solid, may_be};
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
        let mut depth: Vec<bool> = Vec::new();
        for step in steps {
            match step {
                Step::Into(name) => depth.push(is_solid(&name)),
                Step::Up => match depth.pop() {
                    Some(true) => {}
                    // A reader that finds no name to take back takes back one of the folder's.
                    Some(false) => return Err(Unjudgeable),
                    None => return outside,
                },
            }
        }
        Ok(true)
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
            segment if !is_name(segment) || is_drive(segment) => None,
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
mod tests {
    use super::*;

    fn within(path: &str) -> Option<bool> {
        Root::parse("/srv/data").unwrap().holds(path).ok()
    }

    fn within_url(url: &str) -> Option<bool> {
        Root::parse("file:///srv/data").unwrap().holds(url).ok()
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
            "/srv/data/my file.txt",
            "/srv/data/a;b.txt",
            "/srv/data/12:30, in the evening.txt",
            "/srv/data/Acme Inc./a",
            "/srv/data/\u{65e5}\u{672c}/a",
            "/srv/data/-/../a",
            "/srv/data/100%.txt",
            "/srv/data/a/100%",
            "/srv/data/100% sure (2).txt",
            "/srv/data/\u{58f2}\u{4e0a}100\u{ff05}.pdf",
            "/srv/data/100\u{ff05}\u{30aa}\u{30d5}.pdf",
            "/srv/data/\u{6771}\u{4eac}\u{3002}/a",
            "/srv/data/1\u{ff0e}\u{6982}\u{8981}.md",
            "/srv/data/wait\u{2026}/a",
            "/srv/data/\u{645}\u{6cc}\u{200c}\u{62e}\u{648}\u{627}\u{647}\u{645}.txt",
            "/srv/data/\u{915}\u{94d}\u{200d}\u{937}.txt",
            "/srv/data/\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}.png",
            "/srv/data/\u{2764}\u{fe0f}\u{200d}\u{1f525} 1\u{fe0f}\u{20e3}.md",
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
            "/srv/data/ / / /../../../etc/passwd",
            "/srv/data/;a/;b/;c/../../../etc/passwd",
            "/srv/data/,a/../../etc",
            "/srv/data/\u{a0}/../../etc",
            "/srv/data/\u{3000}/../../etc",
            "/srv/data/ /x",
            "/srv/data/;/x",
            "/srv/data/:x/../../etc",
            "/srv/data/#/../../etc",
            "/srv/data/?/../../etc",
            "/srv/data/..,/etc",
            "/srv/data/..\u{65e5}/etc",
            "/srv/data/\u{65e5}/../../etc",
            "/srv/data/\u{65e5}/../x",
            "/srv/data/\u{ff05}2e\u{ff05}2e/etc",
            "/srv/data/\u{fe6a}2e\u{fe6a}2e/etc",
            "/srv/data/C:/etc",
            "/srv/data/c:x",
            "/srv/data;x/../a",
            "/srv/data /a",
            "/srv/data;x",
            "/srv/data./a",
            "/srv/data::$INDEX_ALLOCATION/a",
            "/srv/\u{ff44}ata/a",
            "/srv;x/data/a",
            "/srv/data/100%/a",
            "/srv/data/100%ig",
            "/srv/data/x%\u{65e5}2f..",
            "/srv/data/x%'2f'",
            "/srv/data/x\u{ff05}\u{fe0f}2f..",
            "/srv/data/x%\u{301}2f..",
            "/srv/data/x%\u{ff12}f..",
            "/srv/data/x%\u{e9}2",
            "/srv/data/%.txt",
            "/srv/data/.%.txt",
            "/srv/data/5% of 6%",
            "/srv/data/100%\u{ff05}",
            "/srv/data/100\u{ff05}2e",
            "/srv/data/\u{ff05}",
            "/srv%/data/a",
            "/srv/data/\u{3002}\u{3002}/etc",
            "/srv/data/\u{ff0e}./etc",
            "/srv/data/\u{2026}/etc",
            "/srv/data/\u{65e5}\u{3002}/../a",
            "/srv/data\u{3002}/a",
            "/srv/data\u{2026}",
            "/srv/DATA~1/a",
            "/srv/da:ta/a",
            "/srv/data/.\u{200d}./etc",
            "/srv/data/..\u{200c}/etc",
            "/srv/data/a\u{200d}b",
            "/srv/data/\u{200d}a",
            "/srv/data/\u{65e5}\u{200d}\u{200d}",
            "/srv/data/\u{65e5}\u{200b}",
            "/srv/data/a\u{fe0f}",
            "/srv/data/\u{65e5}\u{e0100}",
            "/srv/data/\u{bd} cup",
            "/srv/data/a:b.txt",
            "/srv/data/+:",
            "/srv/data/\u{65e5}\u{ff1b}b/../a",
            "/srv/data..\u{65e5}/a",
            "/srv/data/a\u{ff1a}b",
            "/srv/data/\u{65e5}c:x",
            "/srv/\u{65e5}\u{672c}/data/a",
            "/\u{65e5}/srv/data/a",
        ] {
            assert_eq!(within(path), None, "{path:?}");
        }
    }

    #[test]
    fn a_folder_is_written_in_its_shortest_form() {
        for text in [
            "",
            "srv",
            "/srv/",
            "/srv/../etc",
            "/srv//data",
            "/srv/./x",
            "//srv",
            "/a\\b",
            "/srv/*",
            "/srv/a?",
            "/srv/a;b",
            "/srv/a#b",
            "/srv/a.",
            "/srv/a ",
            "/srv/ a",
            "/srv/;a",
            "/srv/C:",
            "/srv/a%20b",
            "/srv/100%",
            "/srv/100\u{ff05}",
            "file:",
            "file://",
            "file:/srv",
            "file://srv",
            "file://localhost/srv",
            "file:///srv/",
            "file:///srv/../etc",
            "file:///srv/%2e%2e",
            "file:///srv//a",
            "file:///srv/./a",
            "file:///srv/a b",
            "file:///srv/a?b",
            "file:///srv/a%3fb",
            "file:///srv/a#b",
            "file:///srv/%61",
            "file:///srv/a%20",
            "file:///srv/a.",
            "file:///srv/a;b",
            "file:///srv/*",
            "FILE:///srv",
            "file:////srv",
            "file:///srv/C:",
            "https://srv/data",
        ] {
            assert!(Root::parse(text).is_err(), "{text}");
        }
        for text in [
            "/",
            "/srv",
            "/srv/my data",
            "file:///",
            "file:///srv",
            "file:///srv/my%20data",
            "file:///C:/docs",
        ] {
            assert!(Root::parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn a_url_of_a_file_lies_in_a_folder_or_not() {
        for url in [
            "file:///srv/data",
            "file:///srv/data/",
            "file:///srv/data/a.txt",
            "file:///srv/data/my%20file.txt",
            "file:///srv/data/a;b.txt",
            "file:///srv/data/Zo%C3%AB.txt",
            "file:///srv/data/%D9%85%DB%8C%E2%80%8C%D8%AE.txt",
            "file:///srv/data/%E6%9D%B1%E4%BA%AC%E3%80%82.txt",
        ] {
            assert_eq!(within_url(url), Some(true), "{url}");
        }
        for url in [
            "file:///",
            "file:///srv",
            "file:///srv/database",
            "file:///etc/passwd",
            "file:///C:/srv/data",
        ] {
            assert_eq!(within_url(url), Some(false), "{url}");
        }
        let root = |text| Root::parse(text).unwrap();
        assert_eq!(root("file:///").holds("file:///etc/passwd"), Ok(true));
        assert_eq!(root("file:///C:/docs").holds("file:///C:/docs/a"), Ok(true));
        assert_eq!(root("file:///C:/docs").holds("file:///D:/docs/a"), Ok(false));
        assert_eq!(root("file:///srv/my%20data").holds("file:///srv/my%20data/a"), Ok(true));
    }

    #[test]
    fn a_url_that_readers_take_differently_cannot_be_judged() {
        for url in [
            "",
            "/srv/data/a",
            "file:",
            "file:/srv/data/a",
            "file://srv/data/a",
            "file://localhost/srv/data/a",
            "file:////srv/data/a",
            "FILE:///srv/data/a",
            "https://srv/data/a",
            "http:///srv/data",
            "//srv/data/a",
            "file:///srv/data/../etc",
            "file:///srv/data/a/../b",
            "file:///srv/data/./a",
            "file:///srv/data//a",
            "file:///srv/data/a//",
            "file:///srv/data/..%2f..%2fetc",
            "file:///srv/data/..%5cetc",
            "file:///srv/data/%2e%2e/etc",
            "file:///srv/data/%2E%2E/etc",
            "file:///srv/data/.%2e/etc",
            "file:///srv/data/%252e%252e/etc",
            "file:///srv/data/..%252fetc",
            "file:///srv/data/..%20/etc",
            "file:///srv/data/%20/etc",
            "file:///srv/data/%20../etc",
            "file:///srv/data/..%09/etc",
            "file:///srv/data/..%C2%A0/etc",
            "file:///srv/data/..;/etc",
            "file:///srv/data/..%3b/etc",
            "file:///srv/data/;x/etc",
            "file:///srv/data/..,/etc",
            "file:///srv/data/..%2c/etc",
            "file:///srv/data/%c0%ae%c0%ae/etc",
            "file:///srv/data/%e0%80%ae/etc",
            "file:///srv/data/%u002e%u002e/etc",
            "file:///srv/data/%ef%bc%852e/etc",
            "file:///srv/data/%EF%B9%AA2e/etc",
            "file:///srv/data/%ef%bc%8e./etc",
            "file:///srv/data/..%ef%bc%8fetc",
            "file:///srv/data/\u{ff05}2e/etc",
            "file:///srv/data/a%00",
            "file:///srv/data/a%0a",
            "file:///srv/data/a%",
            "file:///srv/data/%zz",
            "file:///srv/data/a?b",
            "file:///srv/data/a?../..",
            "file:///srv/data/a#b",
            "file:///srv/data/a%23b",
            "file:///srv/data/a%3fb",
            "file:///srv/data/%61",
            "file:///srv/d%61ta/a",
            "file:///srv%2fdata/a",
            "file:///srv/data/C:/etc",
            "file:///srv/data/C%3a/etc",
            "file:///srv/data/C|/etc",
            "file:///srv/data;x/a",
            "file:///srv/data%20/a",
            "file:///srv/data/a b",
            "file:///srv/data/a\\b",
            "file:///srv/data/..%E2%80%8B/etc",
            "file:///srv/data/..%C2%AD/etc",
            "file:///srv/data/%EF%BB%BF../etc",
            "file:///srv/data/%E3%80%82%E3%80%82/etc",
            "file:///srv/data/.%E2%80%8D./etc",
            "file:///srv/data/100%EF%BC%85.txt",
            "file:///srv/data/100%25.txt",
            "file:///srv/data/a%2Fb",
        ] {
            assert_eq!(within_url(url), None, "{url:?}");
        }
    }
}
