//! `hardtack completions`: what does a shell need to complete what is typed?

use std::process::ExitCode;

use clap::CommandFactory;

use crate::args::Arguments;
use crate::args::setup::Completions;
use crate::output::out_exactly;
use crate::terminal::Done;

pub(crate) fn run(arguments: &Completions) -> Done {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "hardtack", &mut script);
    out_exactly(&script)?;
    Ok(ExitCode::SUCCESS)
}
