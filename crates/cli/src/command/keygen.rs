//! `hardtack keygen`

use std::process::ExitCode;

use hardtack::PrivateKey;
use hardtack::keys::KeyError;

use crate::args::Keygen;
use crate::terminal::{Done, having, say};

pub(crate) fn run(arguments: &Keygen) -> Done {
    let key = PrivateKey::generate();
    let saved = match arguments.pem {
        true => key.save_pem(&arguments.out),
        false => key.save(&arguments.out),
    };
    let path = arguments.out.display();
    saved.map_err(|error| match &error {
        KeyError::File { source, .. } if source.kind() == std::io::ErrorKind::AlreadyExists => {
            format!("{path} exists already, and no key is overwritten; hardtack pubkey {path} prints its public half")
        }
        _ => crate::terminal::with_causes(&error),
    })?;
    let printed = say(format_args!("{}", key.public()));
    having(
        printed,
        format_args!(
            "the private key is in {path}, and hardtack pubkey {path} prints its public half"
        ),
    )?;
    Ok(ExitCode::SUCCESS)
}
