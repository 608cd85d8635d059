//! `hardtack keygen`

use std::process::ExitCode;

use hardtack::PrivateKey;

use crate::args::Keygen;
use crate::terminal::{Done, say};

pub(crate) fn run(arguments: &Keygen) -> Done {
    let key = PrivateKey::generate();
    match arguments.pem {
        true => key.save_pem(&arguments.out)?,
        false => key.save(&arguments.out)?,
    }
    say(format_args!("{}", key.public()))?;
    Ok(ExitCode::SUCCESS)
}
