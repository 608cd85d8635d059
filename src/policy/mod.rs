//! Policy: what the people who run a tool server allow, read from a folder of Datalog.
//!
//! All files are one set: a `deny` that matches overrides every `allow`, whatever the order of the
//! files, and what nothing allows is denied. `policies/README.md` lists the words.

mod arguments;
pub(crate) mod folder;
pub(crate) mod problem;
pub(crate) mod source;
pub(crate) mod syntax;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use biscuit_auth::builder::{CheckKind, Convert, PolicyKind};
#[cfg(feature = "tokio")]
use biscuit_auth::datalog::{Binary, Op};
use biscuit_auth::datalog::{Check, Fact, Rule, SymbolTable};
use sha2::{Digest, Sha256};

use crate::calendar::{Calendar, MAX_ZONES, TooManyZones};
use crate::cause::Cause;
use crate::datalog::{Names, Stated, Unfollowed};
use crate::file;
use crate::names;
use crate::policy::arguments::ByArgument;
use crate::policy::folder::{policy_files, read, refuse_link_out};
use crate::policy::problem::Problem;
use crate::profile::issuing;

pub use source::{Location, SourceError};

/// The built-in policy: what the chain grants is allowed.
pub(crate) const BUILTIN: &str = include_str!("../../policies/default/default.datalog");

/// The most bytes of one policy file: thousands of rules. A larger one is no policy.
pub(crate) const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// How many queries are evaluated in some tens of microseconds, and of how many predicates each.
#[cfg(feature = "tokio")]
const QUICK_QUERIES: usize = 64;
#[cfg(feature = "tokio")]
const QUICK_JOIN: usize = 4;

/// The ending of policy files; others in the folder are left alone.
pub(crate) const EXTENSION: &str = "datalog";

/// A set of policies, read and ready to decide. A `deny` that matches overrides every `allow`, and what nothing allows
/// is denied.
///
/// ```
/// use hardtack::Policy;
///
/// let policy = Policy::parse("tools.datalog", r#"
///     allow if tool("search"), granted($op);
///     deny if depth($hops), $hops > 3;
/// "#)?;
/// assert!(Policy::parse("bad.datalog", r#"granted("tools:call:pay");"#).is_err());
/// # Ok::<(), hardtack::PolicyError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Policy {
    pub(crate) symbols: SymbolTable,
    pub(crate) facts: Vec<Fact>,
    pub(crate) rules: Vec<Rule>,
    /// Where each fact and each rule stands, in their order.
    pub(crate) places: Places,
    pub(crate) checks: Vec<(Location, Check)>,
    pub(crate) denies: Vec<(Location, Vec<Rule>)>,
    pub(crate) allows: Vec<(Location, Vec<Rule>)>,
    /// The facts as worlds have them, and an index of `allows`.
    pub(crate) stated: Arc<Stated>,
    pub(crate) by_argument: ByArgument,
    /// Where the names of arguments go in what refuses.
    pub(crate) names: Names,
    /// What it reads of weekdays, times of day and the grant's age.
    pub(crate) calendar: Arc<Calendar>,
    digest: String,
}

/// Where facts and rules stand. A decision does not need it.
#[derive(Debug, Clone, Default)]
#[cfg_attr(not(feature = "trial"), allow(dead_code, reason = "only a trial says what decided"))]
pub(crate) struct Places {
    pub(crate) facts: Vec<Location>,
    pub(crate) rules: Vec<Location>,
}

impl Policy {
    /// Returns the built-in policy: what the chain grants is allowed, and nothing else. Waits for no disk.
    pub fn builtin() -> Policy {
        // The text is part of this crate, and a test parses it; were it broken, nothing is allowed.
        Policy::from_files(&[("default.datalog".to_owned(), BUILTIN.to_owned())])
            .unwrap_or_else(|_| Policy::empty())
    }

    /// Reads every `*.datalog` file of `folder` as one set, without those whose names begin with a dot. Waits for the disk;
    /// asynchronous programs load on a thread that may wait (`spawn_blocking`).
    ///
    /// # Errors
    ///
    /// [`PolicyError`] if the folder cannot be read or has no policy, and with file and line for
    /// every statement that is refused.
    pub fn load(folder: impl AsRef<Path>) -> Result<Policy, PolicyError> {
        Policy::from_files(&read_folder(folder.as_ref())?)
    }

    /// Reads one policy text as a set; `name` stands in messages and records as the file's name. Waits for no disk.
    ///
    /// # Errors
    ///
    /// [`PolicyError`], as of [`Policy::parse_set`].
    pub fn parse(name: &str, text: &str) -> Result<Policy, PolicyError> {
        Policy::from_files(&[(name.to_owned(), text.to_owned())])
    }

    /// Reads several policy texts as one set, each with its name: what [`Policy::load`] reads from a folder with these files, in
    /// whatever order they come here. Waits for no disk.
    ///
    /// # Errors
    ///
    /// As [`Policy::load`]: [`PolicyError::Source`], which names file and line, [`PolicyError::AllowsNothing`],
    /// [`PolicyError::TooLarge`] and [`PolicyError::NoFiles`]; and [`PolicyError::Repeated`], which no folder can be.
    ///
    /// ```
    /// use hardtack::Policy;
    ///
    /// let allow = ("allow.datalog", "allow if granted($op);");
    /// let deny = ("deny.datalog", r#"deny if tool("pay");"#);
    /// let policy = Policy::parse_set([allow, deny])?;
    /// assert_eq!(policy.digest(), Policy::parse_set([deny, allow])?.digest());
    /// # Ok::<(), hardtack::PolicyError>(())
    /// ```
    pub fn parse_set<N: Into<String>, T: AsRef<str>>(
        files: impl IntoIterator<Item = (N, T)>,
    ) -> Result<Policy, PolicyError> {
        let mut set: Vec<(String, String)> = Vec::new();
        for (name, text) in files {
            let (name, text) = (name.into(), text.as_ref());
            if text.len() as u64 > MAX_FILE_BYTES {
                return Err(PolicyError::TooLarge { path: name.into() });
            }
            if set.len() == folder::MAX_FILES {
                let path = name.into();
                return Err(PolicyError::Read { path, source: folder::too_many(EXTENSION) });
            }
            let text = text.strip_prefix(file::BYTE_ORDER_MARK).unwrap_or(text);
            set.push((name, text.to_owned()));
        }
        set.sort();
        if let Some(both) = set.windows(2).find(|both| both[0].0 == both[1].0) {
            return Err(PolicyError::Repeated { name: both[0].0.clone() });
        }
        if set.is_empty() {
            return Err(PolicyError::NoFiles { path: "the set".into(), sets: Vec::new() });
        }
        Policy::from_files(&set)
    }

    /// Returns the digest that identifies this set in records: SHA-256 over names and texts of its files, as 64
    /// hexadecimal digits. Waits for no disk.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// What some match can refuse: the queries of `deny if`, `reject if` and `check all`.
    pub(crate) fn refusing(&self) -> impl Iterator<Item = &Rule> {
        let checks = self.checks.iter().map(|(_, check)| check);
        let checks = checks.filter(|check| check.kind != CheckKind::One);
        let denies = self.denies.iter().flat_map(|(_, queries)| queries);
        denies.chain(checks.flat_map(|check| &check.queries))
    }

    /// Whether it says or derives anything that a token's own checks could read.
    pub(crate) fn adds_facts(&self) -> bool {
        !(self.facts.is_empty() && self.rules.is_empty())
    }

    /// Whether evaluating it takes little, whatever the call: few queries, none a large join, nothing derived.
    #[cfg(feature = "tokio")]
    pub(crate) fn is_quick(&self) -> bool {
        let policies = self.denies.iter().chain(&self.allows).flat_map(|(_, queries)| queries);
        let checks = self.checks.iter().flat_map(|(_, check)| &check.queries);
        let mut queries = policies.chain(checks);
        let is_slow = |query: &Rule| query.expressions.iter().any(|part| looks_long(&part.ops));
        self.rules.is_empty()
            && !queries.clone().any(is_slow)
            && queries.by_ref().take(QUICK_QUERIES).all(|query| query.body.len() <= QUICK_JOIN)
            && queries.next().is_none()
    }

    pub(crate) fn from_files(files: &[(String, String)]) -> Result<Policy, PolicyError> {
        if let Some((name, _)) = files.iter().find(|(name, _)| issuing::is_file(name)) {
            return Err(PolicyError::OfIssuer { name: name.clone() });
        }
        let policy = Policy::assemble(files)?;
        if policy.allows.is_empty() {
            return Err(PolicyError::AllowsNothing);
        }
        if let Some((at, why)) = policy.unfollowed().next() {
            let problem = Problem::Name { why }.to_string();
            // It is the whole statement that is refused.
            return Err(SourceError { at: at.clone(), column: 1, problem }.into());
        }
        Ok(policy)
    }

    /// Builds a set of `files`, each a name and a text, without the checks of [`Policy::load`] on the set as a whole:
    /// it may allow nothing, and may do anything with the names of arguments. This is for the linter, which reports
    /// these itself. To decide, use [`Policy::load`] or [`Policy::parse_set`].
    ///
    /// # Errors
    ///
    /// [`PolicyError::Source`] for a statement that is refused.
    pub fn assemble(files: &[(String, String)]) -> Result<Policy, PolicyError> {
        let mut policy = Policy::empty();
        let mut digest = Sha256::new();
        for (name, text) in files {
            for part in [name, text] {
                digest.update((part.len() as u64).to_le_bytes());
                digest.update(part);
            }
            policy.add(name, text)?;
        }
        policy.digest = hex::encode(digest.finalize());
        let mut symbols = std::mem::take(&mut policy.symbols);
        let refusing: Vec<&Rule> = policy.refusing().collect();
        policy.names = Names::of(&policy.rules, &policy.facts, &refusing, &mut symbols);
        policy.symbols = symbols;
        policy.stated = Arc::new(Stated::of(&policy.facts));
        policy.by_argument = ByArgument::of(&policy.allows, &policy.symbols);
        policy.calendar = Arc::new(policy.calendar()?);
        Ok(policy)
    }

    /// How many bytes the words of the set take wherever they are copied to.
    pub(crate) fn words_bytes(&self) -> usize {
        const BYTES_OF_WORD: usize = 32;
        let words = self.symbols.strings();
        words.iter().map(|word| word.len() + BYTES_OF_WORD).sum()
    }

    /// Returns the places of statements that refuse and use the name of an argument in a way that would not find its
    /// other spellings. [`Policy::load`] refuses such a set; this is for the linter.
    pub fn unfollowed(&self) -> impl Iterator<Item = (&Location, Unfollowed)> {
        let facts = self.names.refused_facts().iter().filter_map(|at| self.places.facts.get(*at));
        let facts = facts.map(|at| (at, Unfollowed::Keys));
        let rules = self.places.rules.iter().zip(&self.rules);
        let denies =
            self.denies.iter().flat_map(|(at, queries)| queries.iter().map(move |one| (at, one)));
        let checks = self.checks.iter();
        let checks = checks.flat_map(|(at, check)| check.queries.iter().map(move |one| (at, one)));
        let all = rules.chain(denies).chain(checks);
        facts.chain(all.filter_map(|(at, one)| Some((at, self.names.refused(one)?))))
    }

    fn calendar(&self) -> Result<Calendar, SourceError> {
        let mut calendar = Calendar::default();
        for (at, query) in self.queries() {
            calendar.read(query, &self.symbols).map_err(|TooManyZones| {
                let problem = Problem::TooManyZones { most: MAX_ZONES }.to_string();
                SourceError { at: at.clone(), column: 1, problem }
            })?;
        }
        Ok(calendar)
    }

    /// What its rules, checks and policies ask, each with the place of its statement.
    fn queries(&self) -> impl Iterator<Item = (&Location, &Rule)> {
        let rules = self.places.rules.iter().zip(&self.rules);
        let checks = self.checks.iter();
        let checks = checks.flat_map(|(at, check)| check.queries.iter().map(move |one| (at, one)));
        let policies = self.denies.iter().chain(&self.allows);
        let policies = policies.flat_map(|(at, queries)| queries.iter().map(move |one| (at, one)));
        rules.chain(checks).chain(policies)
    }

    fn empty() -> Policy {
        Policy {
            symbols: SymbolTable::new(),
            facts: Vec::new(),
            rules: Vec::new(),
            places: Places::default(),
            checks: Vec::new(),
            denies: Vec::new(),
            allows: Vec::new(),
            stated: Arc::default(),
            by_argument: ByArgument::default(),
            names: Names::default(),
            calendar: Arc::default(),
            digest: String::new(),
        }
    }

    fn add(&mut self, name: &str, text: &str) -> Result<(), SourceError> {
        let statements = source::read(name, text)?;
        for (at, fact) in statements.facts {
            self.facts.push(fact.convert(&mut self.symbols));
            self.places.facts.push(at);
        }
        for (at, rule) in statements.rules {
            self.rules.push(rule.convert(&mut self.symbols));
            self.places.rules.push(at);
        }
        for (at, check) in statements.checks {
            self.checks.push((at, check.convert(&mut self.symbols)));
        }
        for (at, policy) in statements.policies {
            let queries =
                policy.queries.iter().map(|query| query.convert(&mut self.symbols)).collect();
            match policy.kind {
                PolicyKind::Allow => self.allows.push((at, queries)),
                PolicyKind::Deny => self.denies.push((at, queries)),
            }
        }
        Ok(())
    }
}

/// Returns the sets of policies at `path`: the path itself if it is a file or a folder with policy files, and otherwise the folders in
/// it that have some, in the order of their names. If none has, the path itself, so that whoever reads it says what it lacks. Waits for
/// the disk.
///
/// # Errors
///
/// [`PolicyError::Read`] if a file or folder cannot be read, or is reached by a link out of `path`.
pub fn sets(path: impl AsRef<Path>) -> Result<Vec<PathBuf>, PolicyError> {
    let path = path.as_ref();
    let failed = |source| PolicyError::Read { path: path.to_owned(), source };
    if !fs::metadata(path).map_err(failed)?.is_dir() || !policy_files(path)?.is_empty() {
        return Ok(vec![path.to_owned()]);
    }
    let mut sets = Vec::new();
    for entry in fs::read_dir(path).map_err(failed)? {
        let inner = entry.map_err(failed)?.path();
        if inner.is_dir() && !policy_files(&inner)?.is_empty() {
            refuse_link_out(path, &inner)?;
            sets.push(inner);
        }
    }
    sets.sort();
    Ok(if sets.is_empty() { vec![path.to_owned()] } else { sets })
}

/// The policy files of a folder, each with its name and text, in the order of their names.
pub(crate) fn read_folder(folder: &Path) -> Result<Vec<(String, String)>, PolicyError> {
    let paths = policy_files(folder)?;
    if paths.is_empty() {
        // Which sets there are is advice; where it cannot be had, the error stands without it.
        let mut sets = sets(folder).unwrap_or_default();
        sets.retain(|set| set != folder);
        let sets = sets.iter().map(|path| name_of(path)).collect();
        return Err(PolicyError::NoFiles { path: folder.to_owned(), sets });
    }
    paths.iter().map(|path| Ok((name_of(path), read(folder, path)?))).collect()
}

/// Whether evaluating it may go over a long text, or over many values.
#[cfg(feature = "tokio")]
fn looks_long(ops: &[Op]) -> bool {
    ops.iter().any(|op| match op {
        Op::Binary(Binary::Ffi(_) | Binary::Regex) => true,
        Op::Closure(parameters, inner) => !parameters.is_empty() || looks_long(inner),
        _ => false,
    })
}

fn name_of(path: &Path) -> String {
    path.file_name()
        .map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}

/// The error of a set of policies that cannot be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// A statement is refused.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A file or folder cannot be read.
    #[error("policy {}{}", path.display(), crate::file::meaning(source))]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// A file has more bytes than a policy may have.
    #[error("policy {} is larger than {MAX_FILE_BYTES} bytes", path.display())]
    TooLarge {
        /// The path of the file.
        path: PathBuf,
    },
    /// A folder has no policy files.
    #[error("{} has no *.{EXTENSION} file{}", path.display(), choice(sets))]
    NoFiles {
        /// The path of the folder.
        path: PathBuf,
        /// The names of the folders in it that have some.
        sets: Vec<String>,
    },
    /// Two files of the set have one name.
    #[error("two files of the set are called {}", names::escaped(name))]
    Repeated {
        /// The name that two files have.
        name: String,
    },
    /// The set has no `allow if`, so that nothing would ever be allowed.
    #[error("the policies have no `allow if`, so nothing could ever be allowed")]
    AllowsNothing,
    /// The file says what an issuer offers, and decides no calls.
    #[error(
        "{} says what an issuer offers, for its name ends in {}; no calls are decided by it",
        names::escaped(name),
        issuing::ENDING
    )]
    OfIssuer {
        /// The name of the file.
        name: String,
    },
    /// The set has files for an issuer and others, or is to say what an issuer offers and has others.
    #[error(
        "{} decides calls, for its name does not end in {}; what an issuer offers stands in such files alone",
        names::escaped(name),
        issuing::ENDING
    )]
    OfCalls {
        /// The name of the file.
        name: String,
    },
    /// The set has no `offer`, so that nothing would ever be issued.
    #[error("the policies have no `offer`, so nothing could ever be issued")]
    OffersNothing,
}

impl PolicyError {
    /// Returns the [`Cause`] of this error: its stable name, by which programs and records tell errors apart.
    pub fn cause(&self) -> Cause {
        match self {
            PolicyError::Source(error) => error.cause(),
            PolicyError::Read { .. } => Cause::FileUnavailable,
            PolicyError::TooLarge { .. }
            | PolicyError::Repeated { .. }
            | PolicyError::OfIssuer { .. }
            | PolicyError::OfCalls { .. } => Cause::MalformedPolicy,
            PolicyError::NoFiles { .. }
            | PolicyError::AllowsNothing
            | PolicyError::OffersNothing => Cause::NoPolicies,
        }
    }
}

fn choice(sets: &[String]) -> String {
    match sets {
        [] => String::new(),
        sets => {
            format!(" itself; choose one of the sets in it: {}", names::escaped(&sets.join(", ")))
        }
    }
}
