//! `hardtack serve`

use std::error::Error;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use hardtack::{PrivateKey, RootKeys, Store, trial};
use hardtack_mcp::{Drain, Readiness};
use hardtack_server::http::router;
use hardtack_server::issuing::Issuing;
use hardtack_server::settings::{EXAMPLE, Settings};

use crate::args::gateway::LogFormat;
use crate::args::serve::Serve;
use crate::command::gateway::feeding::{Feeding, OwnFeed, ToPublish};
use crate::command::gateway::{self, collect, wrong};
use crate::command::tending::tend;
use crate::command::{close, open, serving, warn_of_left_out};
use crate::reading;
use crate::terminal::{Done, now, say, say_exactly, warn, with_causes};

/// How long requests under way may take to end.
const DRAIN: Duration = Duration::from_secs(10);

pub(crate) fn run(arguments: &Serve) -> Done {
    if arguments.example_config {
        say_exactly(EXAMPLE)?;
        return Ok(ExitCode::SUCCESS);
    }
    let path = arguments.config.as_deref().unwrap_or(Path::new(""));
    let listing = "hardtack serve --example-config explains them";
    let settings: Settings = gateway::file::read_settings(path, listing)?;
    let listen: SocketAddr = settings.listen.parse().map_err(|_| {
        wrong("listen", "write a numeric address and a port, such as 127.0.0.1:8100")
    })?;
    let asked = ToPublish {
        listen: settings.feed_listen.as_deref(),
        key: settings.feed_signing_key.as_deref(),
        state: settings.feed_state.as_deref(),
        new_epoch: settings.feed_new_epoch,
        gateways: settings.feed_gateways.as_deref(),
        readers: None,
    };
    let feeding = Feeding::publishing(&settings.store, &asked, |key| {
        wrong(key, "it is missing; a feed has feed-listen and feed-signing-key")
    })?;
    if arguments.check {
        check(&settings, &feeding)?;
        say(format!("{} can be used", path.display()))?;
        return Ok(ExitCode::SUCCESS);
    }
    serving::hold_up_nothing(LogFormat::default())?;
    // Whatever is wrong with the file is said before the store is opened.
    check(&settings, &feeding)?;
    serving::log(LogFormat::default())?;
    let store = open(&settings.store).map_err(|error| wrong("store", with_causes(&error)))?;
    serving::carry_out(carry_out(settings, listen, store, feeding))
}

fn check(settings: &Settings, feeding: &Feeding) -> Result<(), Box<dyn Error>> {
    if !settings.store.exists() {
        // A new one in the place of one that was lost would have used tokens taken again.
        let problem = "there is none; is the path right? If it was lost, bring it back from a backup, since a new one does not know what was revoked and used; hardtack store create makes the first";
        return Err(wrong("store", format!("{}: {problem}", settings.store.display())));
    }
    let issuing = issuing(settings, Store::in_memory()?)?;
    feeding.check_key(&RootKeys::of(issuing.public()))
}

fn issuing(settings: &Settings, store: Store) -> Result<Issuing, Box<dyn Error>> {
    let key: PrivateKey =
        reading::regular_key(&settings.key).map_err(|error| wrong("key", with_causes(&*error)))?;
    warn_of_left_out(&settings.policies);
    let set = trial::load_issuance(&settings.policies)
        .map_err(|error| wrong("policies", with_causes(&error)))?;
    Ok(Issuing::new(settings, key, set, store)?)
}

async fn carry_out(settings: Settings, listen: SocketAddr, store: Store, feeding: Feeding) -> Done {
    let own_feed = OwnFeed::default();
    let issuing = issuing(&settings, store.clone())?.refusing(own_feed.clone());
    let issuing = Arc::new(issuing);
    let stop = serving::stop()?;
    for provider in issuing.prepare(now()).await {
        warn(&format!(
            "the identity provider {provider} does not answer; its tokens are refused until it does"
        ));
    }
    let listener = serving::listen("listen", listen).await?;
    let bound = listener.local_addr()?;
    if !bound.ip().is_loopback() {
        warn(
            "others can reach this address over plain HTTP, in which tokens can be read: let a proxy with a certificate on this machine alone ask",
        );
    }
    let public = issuing.public();
    let roots = RootKeys::of(public);
    let keeping = Arc::new(store.revocations());
    let published = feeding.publish(Arc::new(store.clone()), keeping, &roots, &own_feed).await?;
    let feed = published.as_ref().map_or("", |published| published.announced.trim_end());
    let place = issuing.url().as_str().trim_end_matches('/').to_owned();
    let announced = format!(
        "issuing at http://{bound}\n  for clients  {place}/token\n  root key     {public}\n{feed}"
    );
    serving::announce(announced.trim_end());
    let forgetting = store.clone();
    let collecting =
        tend(Readiness::default(), "forgetting what expired", move || collect(forgetting.clone()));
    let collecting = tokio::spawn(collecting);
    let routes = router(Arc::clone(&issuing), now);
    let served = hardtack_mcp::serve(listener, routes, stop, DRAIN, Drain::default()).await;
    collecting.abort();
    if let Some(published) = published {
        published.end();
    }
    drop(issuing);
    tokio::task::spawn_blocking(move || close(&store)).await?;
    served?;
    Ok(ExitCode::SUCCESS)
}
