//! Usage: what can be typed, shown by the terminal's width.

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{Command, CommandFactory, FromArgMatches};

use super::Arguments;
use crate::output;
use crate::wrapping::usage_laid_out;

/// The narrowest help: as wide as the examples in it, of which a part that is pasted must not be a command of its own.
const LEAST_HELP_COLUMNS: usize = 60;

/// The widest help: longer lines are hard to read.
const MOST_HELP_COLUMNS: usize = 100;

/// The option that names a database, and the variable that does.
const DATABASE: &str = "--database";
const DATABASE_VARIABLE: &str = "HARDTACK_DATABASE";

/// What stands before what can be typed, and a space.
const USAGE: &str = "Usage:";

/// Reads what was typed.
///
/// # Errors
///
/// Says what is wrong with it, or is the help that was asked for.
pub(crate) fn parse(typed: Vec<OsString>) -> Result<Arguments, clap::Error> {
    let mut command = Arguments::command();
    if let Some(columns) = output::help_columns() {
        command = command.term_width(columns.clamp(LEAST_HELP_COLUMNS, MOST_HELP_COLUMNS));
        command.build();
        lay_out(&mut command, columns.max(LEAST_HELP_COLUMNS));
    }
    let is_typed = typed.iter().any(|word| word.to_string_lossy().starts_with(DATABASE));
    let matches = command.try_get_matches_from_mut(typed).map_err(|error| {
        let is_of_database = error.kind() == ErrorKind::ArgumentConflict
            && error.to_string().contains(&format!("'{DATABASE} <"));
        match is_of_database && !is_typed {
            true => error_of_environment(&mut command),
            false => error,
        }
    })?;
    Arguments::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

/// What was typed goes with no database, and one is named where nobody sees it. Which of the two is meant is not guessed: a revocation
/// would stand in another place than somebody believes.
fn error_of_environment(command: &mut Command) -> clap::Error {
    command.error(
        ErrorKind::ArgumentConflict,
        format_args!(
            "the environment names a database ({DATABASE_VARIABLE}), and something else is named here; leave one of them out (unset {DATABASE_VARIABLE}, or name neither --store nor --at)"
        ),
    )
}

/// Breaks the usage of a command and of those below it, which is one line otherwise.
fn lay_out(command: &mut Command, columns: usize) {
    let usage = command.render_usage().ansi().to_string();
    let usage = usage.split_once(USAGE).and_then(|(_, usage)| usage.split_once(' '));
    if let Some((_, usage)) = usage
        && let Some(usage) = usage_laid_out(usage, USAGE.len() + 1, columns)
    {
        *command = std::mem::take(command).override_usage(usage);
    }
    for below in command.get_subcommands_mut() {
        lay_out(below, columns);
    }
}
