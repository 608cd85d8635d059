//! Lint: what in a set of policies would not load, does not do what it says, or is risky? A static analysis of Datalog.
//!
//! It reports all problems of all files at once; the loader stops at the first. It decides nothing.
//!
//! Facts that an issuer says of its subjects are known from [`Options::grant_facts`] and from comments of the form
//! `// fact: team(string, integer)`, with the types integer, string, date, bytes, bool, set, array, map, null and any.

mod alternatives;
mod always;
mod broad;
mod code;
mod compared;
mod cost;
mod gaps;
mod hosts;
mod issuing;
mod likely;
mod listed;
mod literals;
mod many;
mod matching;
mod misspelt;
mod names;
mod near;
mod normal;
mod open;
mod reach;
mod refusals;
mod regex;
mod schema;
mod set;
mod shapes;
mod spelling;
mod strangers;
mod types;
mod unfold;
mod unused;
mod words;

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::ops::Range;
use std::path::Path;

use serde::Serialize;

use hardtack::internal::{self, EXTENSION, MAX_FILE_BYTES};
use hardtack::policy::PolicyError;
use hardtack::timestamp::Timestamp;

pub use code::{Code, Severity};
pub use listed::{ServerTools, ToolsError};

use hardtack::internal::Word;
use hardtack::internal::syntax::{self, Kind, Lines, Span};
use set::Set;

/// Options of the linter: what it is told of the server that the policies are for. By default it is told nothing.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Examples of facts that issuers say of subjects, such as `role("editor")`. Words that neither these, the set nor Hardtack asserts
    /// are reported.
    pub grant_facts: Vec<String>,
    /// Set if the server has a directory of names and keys, so that agents' names are proven. If not, which is the default, policies
    /// that rest on such a name are reported.
    pub directory: bool,
    /// The present moment. With it, conditions on moments that have passed are reported; by default they are not.
    pub now: Option<Timestamp>,
    /// What the servers list that the policies are for. With it, tools and arguments that no server has are reported; by default nothing
    /// is known of them.
    pub tools: Vec<ServerTools>,
    /// Set if arguments of allowed tools that no statement looks at are to be listed, as notes. Needs `tools`.
    pub open_arguments: bool,
}

/// A problem that the linter has found, at its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// The rule that is broken.
    pub code: Code,
    /// The severity of the problem.
    pub severity: Severity,
    /// The name of the file, as it was given.
    pub file: String,
    /// The line, counted from 1.
    pub line: usize,
    /// The column, counted from 1, in characters.
    pub column: usize,
    /// The problem in words, and what comes of it.
    pub message: String,
    /// The remedy in words.
    pub mend: String,
    /// The part of the file's text, as a range of bytes.
    #[serde(skip)]
    pub span: Range<usize>,
}

/// A report on one set of policies.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Report {
    /// The names and texts of the files.
    pub files: Vec<(String, String)>,
    /// The number of policies and checks in them.
    pub policies: usize,
    /// The findings, in the order of the files.
    pub findings: Vec<Finding>,
}

/// Lints one set: every `*.datalog` file of the folder `path`, or the one file at `path`.
///
/// # Errors
///
/// [`PolicyError::Read`] and [`PolicyError::TooLarge`] for a file or folder that cannot be read.
pub fn lint_folder(path: &Path, options: &Options) -> Result<Report, PolicyError> {
    let failed = |source| PolicyError::Read { path: path.to_owned(), source };
    let is_folder = fs::metadata(path).map_err(failed)?.is_dir();
    let paths = match is_folder {
        true => internal::policy_files(path)?,
        false => vec![path.to_owned()],
    };
    if paths.is_empty() {
        let mut findings = Findings::default();
        let message =
            format!("there is no *.{EXTENSION} file here, so nothing could ever be allowed");
        findings.add(Code::NoPolicies, 0, Span::default(), message, "name a folder with policies");
        let files = vec![(path.display().to_string(), String::new())];
        return Ok(Report { findings: findings.placed(&files), files: Vec::new(), policies: 0 });
    }
    let text = |file: &Path| match is_folder {
        true => internal::read_file(path, file),
        // Whoever names one file means it, wherever it lies.
        false => internal::read_text(file, MAX_FILE_BYTES)
            .map_err(|source| internal::unread(file, source)),
    };
    let files = paths.iter().map(|path| Ok((path.display().to_string(), text(path)?)));
    Ok(lint_texts(files.collect::<Result<Vec<_>, PolicyError>>()?, options))
}

/// Lints one set whose files have these names and texts. Reads no file.
///
/// ```
/// use hardtack_lint::{Code, Options, lint_texts};
///
/// let file = ("tools.datalog".to_owned(), "allow if true;".to_owned());
/// let report = lint_texts(vec![file], &Options::default());
/// assert_eq!(report.findings[0].code, Code::CatchAllAllow);
/// assert_eq!((report.findings[0].line, report.findings[0].column), (1, 10));
/// ```
pub fn lint_texts(files: Vec<(String, String)>, options: &Options) -> Report {
    let mut findings = Findings::default();
    let (mut statements, mut comments) = (Vec::new(), Vec::new());
    let (mut policies, mut unread) = (0, BTreeSet::new());
    for (number, (name, text)) in files.iter().enumerate() {
        let found = refusals::read(number, name, text, &mut findings);
        statements.extend(found.statements);
        comments.push(found.comments);
        policies += found.policies;
        unread.extend(found.unread);
    }
    let allows = statements.iter().any(|statement| statement.kind == Kind::Allow);
    let is_empty = statements.is_empty() && policies == 0;
    if !(allows || is_empty || unread.iter().any(|word| word.eq_ignore_ascii_case("allow"))) {
        let message = PolicyError::AllowsNothing.to_string();
        let mend = "write what is allowed, as in `allow if operation($op), granted($op)`";
        findings.add(Code::AllowsNothing, 0, Span::default(), message, mend);
    }
    let is_offered = |statement: &syntax::Statement| {
        statement.head.as_ref().is_some_and(|head| head.name == "offer")
    };
    let offers = statements.iter().any(is_offered) || unread.contains("offer");
    if !offers && files.iter().any(|(name, _)| Word::is_of_issuer(name)) {
        let message = PolicyError::OffersNothing.to_string();
        let mend =
            "write what is offered, as in `offer(\"tools:call:search\", \"notion.mcp\", 3600, 4)`";
        findings.add(Code::AllowsNothing, 0, Span::default(), message, mend);
    }
    let now = options.now.map(|now| now.unix_seconds());
    let mut set = Set::of(statements, &comments, &files, options);
    set.unread = unread;
    unused::check(&set, &mut findings);
    types::check(&set, &mut findings);
    literals::check(&set, &mut findings);
    broad::check(&set, now, &mut findings);
    matching::check(&set, &mut findings);
    many::check(&set, &mut findings);
    cost::check(&set, &mut findings);
    misspelt::check(&set, &mut findings);
    if !options.directory {
        names::check(&set, &mut findings);
    }
    issuing::check(&set, &mut findings);
    spelling::check(&set, &files, &mut findings);
    let tools = &options.tools;
    gaps::check(&set, tools, now, &mut findings);
    // Last, for what is wrong already is not reported once more for what comes of it.
    reach::check(&set, now, &mut findings);
    alternatives::check(&set, &mut findings);
    strangers::check(&set, tools, now, &mut findings);
    compared::check(&set, tools, now, &mut findings);
    if options.open_arguments {
        open::check(&set, tools, now, &mut findings);
    }
    Report { findings: findings.placed(&files), files, policies }
}

/// What is found on the way, by file and byte.
#[derive(Debug, Default)]
struct Findings {
    all: Vec<Found>,
    seen: HashSet<(Code, usize, usize)>,
    places: BTreeSet<(usize, usize)>,
}

#[derive(Debug)]
struct Found {
    code: Code,
    file: usize,
    span: Span,
    message: String,
    mend: String,
}

impl Findings {
    /// One finding of a kind at one place.
    fn add(
        &mut self,
        code: Code,
        file: usize,
        span: Span,
        message: impl Into<String>,
        mend: impl Into<String>,
    ) {
        if self.seen.insert((code, file, span.start)) {
            self.places.insert((file, span.start));
            let (message, mend) = (message.into(), mend.into());
            self.all.push(Found { code, file, span, message, mend });
        }
    }

    /// Whether something was found in a part of a file.
    fn has_in(&self, file: usize, span: Span) -> bool {
        self.places.range((file, span.start)..(file, span.end)).next().is_some()
    }

    fn placed(mut self, files: &[(String, String)]) -> Vec<Finding> {
        self.all.sort_by_key(|found| (found.file, found.span, found.code));
        let lines: Vec<Lines> = files.iter().map(|(_, text)| Lines::of(text)).collect();
        let place = |file: usize, at: usize| {
            let (_, text) = files.get(file)?;
            Some(lines.get(file)?.place(text, at))
        };
        let placed = self.all.into_iter().map(|found| {
            let (line, column) = place(found.file, found.span.start).unwrap_or((1, 1));
            let named = |file: usize, at: usize| {
                let (line, _) = place(file, at)?;
                Some(format!("{}:{line}", files.get(file)?.0))
            };
            Finding {
                code: found.code,
                severity: found.code.severity(),
                file: files.get(found.file).map(|(name, _)| name.clone()).unwrap_or_default(),
                line,
                column,
                message: with_places(&hardtack::names::escaped(&found.message), &named),
                mend: hardtack::names::escaped(&found.mend),
                span: found.span.start..found.span.end,
            }
        });
        placed.collect()
    }
}

/// Puts file and line where a message has the number of a file and a byte, as `{0:17}`.
fn with_places(message: &str, named: &dyn Fn(usize, usize) -> Option<String>) -> String {
    let mut said = String::new();
    let mut rest = message;
    while let Some((before, after)) = rest.split_once('{') {
        said.push_str(before);
        let place = after.split_once('}').and_then(|(place, left)| {
            let (file, at) = place.split_once(':')?;
            Some((named(file.parse().ok()?, at.parse().ok()?)?, left))
        });
        match place {
            Some((place, left)) => {
                said.push_str(&place);
                rest = left;
            }
            None => {
                said.push('{');
                rest = after;
            }
        }
    }
    said + rest
}
