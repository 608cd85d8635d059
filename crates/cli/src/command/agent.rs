//! `hardtack agent`

use std::net::SocketAddr;
use std::process::ExitCode;

use hardtack_mcp::{Binding, CapabilitySource, ENDPOINT, Holder, Upstream, serve};

use crate::args::gateway::Agent;
use crate::command::serving;
use crate::reading;
use crate::terminal::{Done, warn, without_query};

pub(crate) fn run(arguments: Agent) -> Done {
    serving::hold_up_nothing(arguments.log_format)?;
    let listen: SocketAddr = arguments
        .listen
        .parse()
        .map_err(|_| "--listen: write an address and a port, such as 127.0.0.1:8081")?;
    if !listen.ip().is_loopback() && !arguments.listen_beyond_loopback {
        return Err(format!(
            "{listen} can be reached from other machines, and whoever reaches it acts as the agent; listen on 127.0.0.1, or say --listen-beyond-loopback"
        )
        .into());
    }
    let key = reading::regular_key(&arguments.key)?;
    let source = CapabilitySource::File(arguments.capability.clone());
    if let Some(problem) = arguments.allow_host.iter().find_map(|host| serving::no_host(host)) {
        return Err(format!("--allow-host: {problem}").into());
    }
    if let Some(problem) = arguments.allow_origin.iter().find_map(|page| serving::no_origin(page)) {
        return Err(format!("--allow-origin: {problem}").into());
    }
    let upstream = Upstream::at(&serving::endpoint(&arguments.to))?;
    let upstream = match &arguments.allow_plain_http {
        Some(host) => upstream.accept_plain_http_to(host),
        None => upstream,
    };
    let holder = Holder::new(source, key, &arguments.audience, upstream)?
        .binding(if arguments.call_bound { Binding::Call } else { Binding::Session })
        .hosts(arguments.allow_host.iter().cloned())
        .origins(arguments.allow_origin.iter().cloned());
    serving::log(arguments.log_format)?;
    serving::carry_out(async {
        let listener = serving::listen("listen", listen).await?;
        let bound = listener.local_addr()?;
        let (stop, drain) = (serving::stop()?, holder.drain());
        if !bound.ip().is_loopback() {
            warn("whoever can reach this address acts as the agent");
        }
        serving::announce(format_args!(
            "the agent's end is at http://{bound}{ENDPOINT}\n  presents to  {} at {}",
            arguments.audience,
            without_query(&arguments.to)
        ));
        serve(listener, holder.router(), stop, arguments.drain, drain).await?;
        serving::announce("the agent's end has stopped");
        Ok(ExitCode::SUCCESS)
    })
}
