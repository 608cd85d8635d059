//! `hardtack pubkey`

use std::process::ExitCode;

use crate::args::Pubkey;
use crate::reading;
use crate::terminal::{Done, say, say_lines};

pub(crate) fn run(arguments: &Pubkey) -> Done {
    let key = reading::key(&arguments.key)?.public();
    match arguments.pem {
        true => say_lines(key.to_pem()?.trim_end())?,
        false => say(key)?,
    }
    Ok(ExitCode::SUCCESS)
}
