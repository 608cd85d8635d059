//! `hardtack agent`

use std::net::SocketAddr;
use std::process::ExitCode;

use hardtack::PrivateKey;
use hardtack_mcp::{Binding, CapabilitySource, ENDPOINT, Holder, Upstream, serve, serve_stdio};

use crate::args::gateway::Agent;
use crate::command::{lines, serving};
use crate::reading;
use crate::terminal::{Done, warn, without_query};

pub(crate) fn run(arguments: Agent) -> Done {
    serving::hold_up_nothing(arguments.log_format)?;
    match arguments.stdio {
        true => speak(&arguments),
        false => listen(&arguments),
    }
}

/// MCP on standard input and output, where nothing else is written.
fn speak(arguments: &Agent) -> Done {
    let (source, key, upstream) = holding(arguments)?;
    let (holder, expired) = Holder::even_expired(source, key, &arguments.audience, upstream)?;
    let holder = holder.binding(binding(arguments));
    serving::log(arguments.log_format)?;
    lines::warn_of(expired.as_ref(), &arguments.capability);
    serving::carry_out(async {
        let (client, written) = lines::client()?;
        let (stop, drain) = (serving::stop()?, holder.drain());
        serve_stdio(client, holder.router(), stop, arguments.drain, drain).await;
        written.wait();
        Ok(ExitCode::SUCCESS)
    })
}

fn holding(
    arguments: &Agent,
) -> Result<(CapabilitySource, PrivateKey, Upstream), Box<dyn std::error::Error>> {
    let key = reading::regular_key(&arguments.key)?;
    let source = CapabilitySource::File(arguments.capability.clone());
    let upstream = Upstream::at(&serving::endpoint(&arguments.to))?;
    let upstream = match &arguments.allow_plain_http {
        Some(host) => upstream.accept_plain_http_to(host),
        None => upstream,
    };
    Ok((source, key, upstream))
}

fn binding(arguments: &Agent) -> Binding {
    if arguments.call_bound { Binding::Call } else { Binding::Session }
}

/// MCP over HTTP, for a runtime that is given a URL.
fn listen(arguments: &Agent) -> Done {
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
    if let Some(problem) = arguments.allow_host.iter().find_map(|host| serving::no_host(host)) {
        return Err(format!("--allow-host: {problem}").into());
    }
    if let Some(problem) = arguments.allow_origin.iter().find_map(|page| serving::no_origin(page)) {
        return Err(format!("--allow-origin: {problem}").into());
    }
    let (source, key, upstream) = holding(arguments)?;
    let holder = Holder::new(source, key, &arguments.audience, upstream)?
        .binding(binding(arguments))
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
