//! Command: which program is started as a server, and how?

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What a server's process has of this process's environment unless more is named: where programs and the user's files are, and how
/// texts and times are written. Nothing of it is a secret by custom.
pub const USUAL_ENVIRONMENT: [&str; 9] =
    ["HOME", "LANG", "LC_ALL", "LC_CTYPE", "LOGNAME", "PATH", "TMPDIR", "TZ", "USER"];

/// How long a server's process may do nothing until it is ended, by default: ten minutes, in which a person thinks about an answer.
/// A client whose session has ended opens another one.
pub const DEFAULT_IDLE: Duration = Duration::from_secs(600);

/// A program that is an MCP server over its standard input and output, and how it is started; for
/// [`Upstream::command`](crate::Upstream::command).
///
/// Each process runs below a supervisor: the program that calls [`supervise`](crate::supervise). So it ends with whoever started it,
/// with all processes of its group, also when that is killed.
#[derive(Clone)]
pub struct ServerCommand {
    pub(crate) program: OsString,
    pub(crate) arguments: Vec<OsString>,
    pub(crate) environment: BTreeMap<OsString, OsString>,
    pub(crate) folder: Option<PathBuf>,
    pub(crate) idle: Duration,
    pub(crate) supervisor: (PathBuf, Vec<OsString>),
    pub(crate) name: Arc<str>,
}

impl ServerCommand {
    /// Names the program and its arguments, as they are: no shell reads them. `supervisor` is the program that calls
    /// [`supervise`](crate::supervise), with the arguments by which it does so; the server's own words follow them.
    ///
    /// The process has [`USUAL_ENVIRONMENT`] of this process's environment, as it is now, and nothing else of it.
    pub fn new<A: Into<OsString>>(
        program: impl Into<OsString>,
        arguments: impl IntoIterator<Item = A>,
        supervisor: (PathBuf, Vec<OsString>),
    ) -> ServerCommand {
        let program = program.into();
        let usual = USUAL_ENVIRONMENT
            .iter()
            .filter_map(|name| Some((OsString::from(name), std::env::var_os(name)?)));
        let name = PathBuf::from(&program);
        let name = name.file_name().unwrap_or(&program).to_string_lossy();
        ServerCommand {
            environment: usual.collect(),
            arguments: arguments.into_iter().map(Into::into).collect(),
            folder: None,
            idle: DEFAULT_IDLE,
            supervisor,
            name: hardtack::names::escaped(&name).into(),
            program,
        }
    }

    /// Gives the process this variable of the environment, too. Whoever can see the process's environment, such as other processes of
    /// the same user, can read it.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> ServerCommand {
        self.environment.insert(name.as_ref().to_owned(), value.as_ref().to_owned());
        self
    }

    /// Starts the process in this folder; by default, in that of this process.
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> ServerCommand {
        self.folder = Some(folder.into());
        self
    }

    /// Ends a process that did nothing for so long; by default, for [`DEFAULT_IDLE`].
    pub fn idle(mut self, idle: Duration) -> ServerCommand {
        self.idle = idle;
        self
    }

    /// Returns the name by which logs call the server: the file name of its program.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Arguments and environment can hold secrets, and are not shown.
impl fmt::Debug for ServerCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerCommand").field("name", &self.name).finish_non_exhaustive()
    }
}
