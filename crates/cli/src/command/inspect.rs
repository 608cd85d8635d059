//! `hardtack inspect`

use std::process::ExitCode;

use serde::Serialize;

use hardtack::Chain;

use crate::args::Inspect;
use crate::args::tree::Format;
use crate::command::{capability_in, read_capability, token_tree};
use crate::drawing::Picture;
use crate::terminal::{Done, FAINT, now, say, say_exactly, say_json, say_lines, warn};

/// The chain as JSON, with the word that nothing of it is verified.
#[derive(Serialize)]
struct Unverified<'a> {
    verified: bool,
    root_key_id: Option<u32>,
    #[serde(flatten)]
    chain: &'a Chain,
    /// What blocks demand beyond scope, audience and expiry.
    demands: Vec<Demand>,
}

#[derive(Serialize)]
struct Demand {
    block: usize,
    demand: String,
}

pub(crate) fn run(arguments: &Inspect) -> Done {
    let capability = match &arguments.file {
        Some(path) => capability_in(path)?,
        None => read_capability()?,
    };
    if let Some(block) = capability.first_damaged_block() {
        warn(&format!(
            "the signature of block {block} does not hold: the token was changed, on the way or by somebody, and no server takes it; copy it again, or ask for a new one"
        ));
    }
    let chain = capability.chain();
    let demands = capability.demands();
    let format = arguments.drawn.format();
    if let Some(picture) = Picture::of_token(chain, &demands).written(format) {
        say_exactly(picture.trim_end())?;
    } else if format == Format::Json {
        let root_key_id = capability.root_key_id();
        let demands = demands.into_iter().map(|(block, demand)| Demand { block, demand }).collect();
        let unverified = Unverified { verified: false, root_key_id, chain, demands };
        say_json(serde_json::to_string_pretty(&unverified)?)?;
    } else {
        say(format_args!(
            "{FAINT}nothing of this is verified; `hardtack check` does that{FAINT:#}"
        ))?;
        say_lines(token_tree::draw(chain, &demands, now()).trim_end())?;
    }
    Ok(ExitCode::SUCCESS)
}
