//! `hardtack wrap`: gateway and agent in one process, in front of a server that a client would start by itself.

use std::process::ExitCode;

use hardtack_mcp::{CapabilitySource, Holder, Upstream, serve_stdio};

use crate::args::gateway::{Settings, Wrap};
use crate::args::server::ServerSettings;
use crate::command::gateway::{Assembled, Plan};
use crate::command::{close, lines, serving};
use crate::reading;
use crate::terminal::Done;

pub(crate) fn run(arguments: Wrap) -> Done {
    serving::hold_up_nothing(arguments.log_format)?;
    let key = reading::regular_key(&arguments.key)?;
    let source = CapabilitySource::File(arguments.capability.clone());
    let audience = arguments.audience.clone();
    let (grace, capability) = (arguments.drain, arguments.capability.clone());
    let log_format = arguments.log_format;
    let plan = Plan::of_one(settings(arguments)?)?;
    serving::log(log_format)?;
    serving::carry_out(async {
        let stop = serving::stop()?;
        let Assembled { gateway, store, background } = plan.assemble()?;
        let upstream = Upstream::service(gateway.router())?;
        let (holder, expired) = Holder::even_expired(source, key, audience, upstream)?;
        lines::warn_of(expired.as_ref(), &capability);
        let (client, written) = lines::client()?;
        let drain = holder.drain();
        serve_stdio(client, holder.router(), stop, grace, drain).await;
        written.wait();
        background.iter().for_each(tokio::task::JoinHandle::abort);
        close(&store);
        Ok(ExitCode::SUCCESS)
    })
}

/// The gateway's own settings, with the server's words as a command.
fn settings(arguments: Wrap) -> Result<Settings, Box<dyn std::error::Error>> {
    let words = arguments.server.iter().map(String::as_str);
    let own = ServerSettings {
        audience: Some(arguments.audience),
        policies: arguments.policies,
        upstream_command: Some(shlex::try_join(words)?),
        // One client has it, and would lose what a server keeps for its session.
        upstream_idle: Some("24h".to_owned()),
        upstream_env: arguments.env,
        ..ServerSettings::default()
    };
    Ok(Settings { own, root: arguments.root, store: Some(arguments.store), ..Settings::default() })
}
