//! `hardtack tree`

use std::error::Error;
use std::process::ExitCode;

use hardtack::Presenting;
use hardtack::store::SeenChains;
use hardtack_mcp::{ChainsFailed, ShownChains, chains_at, chains_over_plain_http_at};

use crate::args::EXIT_DENIED;
use crate::args::tree::{Format, ShowingGateway, Tree};
use crate::command::{capability_in, database, lineage, look_into, serving};
use crate::drawing::Picture;
use crate::reading;
use crate::terminal::{Done, complain, now, say_exactly, say_json, say_lines, warn};

pub(crate) fn run(arguments: &Tree) -> Done {
    let chains = match (&arguments.store, &arguments.gateway.at) {
        (Some(store), _) => look_into(store)?.lineage()?,
        (None, Some(url)) => match at_a_gateway(url, &arguments.gateway) {
            Ok(shown) => {
                tell_of_others(shown.others);
                shown.chains
            }
            Err(error) => {
                return match error.downcast_ref() {
                    Some(ChainsFailed::Refused { status: 401 | 403, .. }) => {
                        complain(&*error);
                        Ok(ExitCode::from(EXIT_DENIED))
                    }
                    _ => Err(error),
                };
            }
        },
        (None, None) => database::lineage(&database::open(&arguments.database)?)?,
    };
    draw(&chains, arguments.drawn.format())?;
    Ok(ExitCode::SUCCESS)
}

/// Draws chains, wherever they were seen.
pub(super) fn draw(chains: &SeenChains, format: Format) -> Result<(), Box<dyn Error>> {
    match Picture::of_chains(chains, now()).written(format) {
        Some(picture) => say_exactly(picture.trim_end()),
        None if format == Format::Json => {
            say_json(serde_json::to_string_pretty(&lineage::as_json(chains, now()))?)
        }
        None => say_lines(lineage::draw(chains, now()).trim_end()),
    }
}

/// So that nobody takes a part for the whole.
fn tell_of_others(others: u64) {
    if others > 0 {
        warn(&format!(
            "{others} grants and hops under other root keys are not shown; a capability that such a key granted shows its own"
        ));
    }
}

/// What a gateway has seen, asked for by a presentation of the capability.
fn at_a_gateway(url: &str, gateway: &ShowingGateway) -> Result<ShownChains, Box<dyn Error>> {
    let (Some(audience), Some(key), Some(capability)) =
        (&gateway.presented.audience, &gateway.presented.key, &gateway.capability)
    else {
        return Err("--at needs --audience, --key and --capability".into());
    };
    let key = reading::key(key)?;
    let capability = capability_in(capability)?;
    let bearer = capability.present(Presenting::to(audience), &key, now())?;
    let runtime = serving::runtime()?;
    let chains = match &gateway.presented.allow_plain_http {
        Some(host) => runtime.block_on(chains_over_plain_http_at(url, host, bearer.bearer())),
        None => runtime.block_on(chains_at(url, bearer.bearer())),
    };
    Ok(chains?)
}
