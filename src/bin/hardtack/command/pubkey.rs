//! `hardtack pubkey`

use std::process::ExitCode;

use hardtack::PrivateKey;

use crate::args::Pubkey;
use crate::terminal::{Done, say, say_lines};

pub(crate) fn run(arguments: &Pubkey) -> Done {
    let key = PrivateKey::load_or_read_pipe(&arguments.key)?.public();
    match arguments.pem {
        true => say_lines(key.to_pem()?.trim_end())?,
        false => say(key)?,
    }
    Ok(ExitCode::SUCCESS)
}
