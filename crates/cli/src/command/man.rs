//! `hardtack man`: what is on the manual pages of the command and of each verb?

use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::{Command, CommandFactory};
use clap_mangen::Man as Page;

use crate::args::Arguments;
use crate::args::setup::Man;
use crate::output::out_exactly;
use crate::system;
use crate::terminal::{Done, having, say};

/// What a page calls that which stands below the options in the help, and what is there.
const EXTRA: &str = ".SH EXTRA\n";
const EXAMPLES: &str = ".SH \"EXAMPLES AND NOTES\"\n";

/// What a page is called until it is whole.
const UNFINISHED: &str = ".hardtack-new-";

/// Everybody may read a page, as far as the process's mask allows.
const OPEN_MODE: u32 = 0o644;

pub(crate) fn run(arguments: &Man) -> Done {
    // As in `--help`, with what is said of all verbs.
    let mut command = Arguments::command().disable_help_subcommand(true);
    command.build();
    let Some(folder) = &arguments.to else {
        out_exactly(&page(command)?)?;
        return Ok(ExitCode::SUCCESS);
    };
    let failed = |error| format!("{}: {error}", folder.display());
    fs::create_dir_all(folder).map_err(failed)?;
    let written = write(folder, command)?;
    let said = say(format_args!("{written} pages are in {}", folder.display()));
    having(said, "the pages are written")?;
    Ok(ExitCode::SUCCESS)
}

/// Writes the page of a command and of those below it; says how many.
fn write(folder: &Path, command: Command) -> Result<usize, Box<dyn Error>> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
    let path = folder.join(format!("{name}.1"));
    let below: Vec<Command> =
        command.get_subcommands().filter(|verb| !verb.is_hide_set()).cloned().collect();
    save(folder, &path, &page(command)?).map_err(|error| format!("{}: {error}", path.display()))?;
    below.into_iter().try_fold(1, |written, verb| Ok(written + write(folder, verb)?))
}

/// Puts a page in the place of what has its name. A link of that name is replaced and not followed: who may write in the
/// folder would choose by it what file is overwritten.
fn save(folder: &Path, path: &Path, page: &[u8]) -> io::Result<()> {
    let mut making = tempfile::Builder::new();
    let mut file = system::with_mode(making.prefix(UNFINISHED), OPEN_MODE).tempfile_in(folder)?;
    file.write_all(page)?;
    file.persist(path)?;
    Ok(())
}

fn page(command: Command) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut page = Vec::new();
    let source = concat!("hardtack ", env!("CARGO_PKG_VERSION"));
    Page::new(command).source(source).manual("Hardtack").render(&mut page)?;
    let page = String::from_utf8(page)?.replace(EXTRA, EXAMPLES);
    Ok(page.chars().map(written).collect::<String>().into_bytes())
}

/// A character as every roff reads it, whatever encoding it takes its input for.
fn written(character: char) -> String {
    match character.is_ascii() {
        true => character.into(),
        false => format!("\\[u{:04X}]", u32::from(character)),
    }
}
