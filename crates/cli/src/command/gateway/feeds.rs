//! Feeds: how is the feed that a gateway follows, and the one that it publishes, for whoever asks the gateway?

use std::fmt::Write as _;
use std::time::Duration;

use hardtack::pending::Pending;
use hardtack::revocation::RevocationSource;
use hardtack_feed::{FeedPlace, FeedSource, GatewayShown, RegistryError, Serving};
use hardtack_mcp::{FeedPlaceAsked, Followers, GatewayChange, Needed};
use serde_json::{Value, json};

use super::feeding::OwnFeed;
use crate::terminal::now;

/// Both feeds, as `/readyz` and `/metrics` ask them.
pub(super) struct Feeds {
    pub(super) followed: Option<FeedSource>,
    pub(super) published: Option<OwnFeed>,
}

impl Feeds {
    fn serving(&self) -> Option<&Serving> {
        Some(self.published.as_ref()?.serving()?)
    }

    /// The gateways that are enrolled with the feed that is published.
    fn gateways(&self) -> Vec<GatewayShown> {
        let gateways = self.serving().and_then(Serving::gateways);
        gateways.map(|gateways| gateways.in_force(None).gateways).unwrap_or_default()
    }
}

impl Needed for Feeds {
    /// What decides about that is asked elsewhere.
    fn ready(&self) -> Result<(), String> {
        Ok(())
    }

    fn warnings(&self) -> Vec<String> {
        let gateways = self.gateways();
        let warned = gateways.iter().filter(|gateway| gateway.silent);
        let silent = warned.map(|gateway| match gateway.heard {
            Some(heard) => format!("the gateway {} is silent since {heard}", gateway.name),
            None => format!("the gateway {} was not heard yet", gateway.name),
        });
        let disbelieved = gateways.iter().filter(|gateway| gateway.disbelieved.is_some());
        let disbelieved = disbelieved.map(|gateway| {
            format!("the gateway {} is not believed: hardtack gateways list says why", gateway.name)
        });
        silent.chain(disbelieved).collect()
    }

    fn render(&self, rendered: &mut String) {
        let mut gauge = |name: &str, help: &str, value: u64| {
            // Writing to a string does not fail.
            let _ = writeln!(
                rendered,
                "# HELP hardtack_feed_{name} {help}\n# TYPE hardtack_feed_{name} gauge\nhardtack_feed_{name} {value}"
            );
        };
        if let Some(feed) = &self.followed {
            let followed = feed.followed();
            let (epoch, size) = followed.head.map_or((0, 0), |head| (head.epoch, head.size));
            let known = feed.revocations().knowledge().span();
            let known = known.map_or(0, |(oldest, _)| now().since(oldest).as_secs());
            gauge("followed_epoch", "The epoch of the feed that is followed.", epoch);
            gauge(
                "followed_position",
                "The events of that epoch by which calls are decided.",
                size,
            );
            gauge("followed_age_seconds", "How old what that feed said is.", known);
            let failing = u64::from(followed.failing.is_some());
            gauge("followed_failing", "Whether that feed is not followed just now.", failing);
        }
        let Some(serving) = self.serving() else { return };
        let head = serving.head();
        let age = now().since(head.issued).as_secs();
        let failing = u64::from(serving.failing().is_some());
        gauge("published_epoch", "The epoch of the feed that is published.", head.epoch);
        gauge("published_position", "The events of that epoch that are published.", head.size);
        gauge("published_age_seconds", "How old the last checkpoint of that feed is.", age);
        gauge("published_failing", "Whether nothing is signed for that feed just now.", failing);
        let gateways = self.gateways();
        let count = |is: &dyn Fn(&GatewayShown) -> bool| {
            gateways.iter().filter(|gateway| is(gateway)).count() as u64
        };
        gauge("gateways", "The gateways that are enrolled with that feed.", count(&|_| true));
        let in_force = count(&|gateway| gateway.in_force_since.is_some());
        gauge("gateways_in_force", "Those in which all that is published is in force.", in_force);
        let silent = count(&|gateway| gateway.silent);
        gauge("gateways_silent", "Those that acknowledged nothing for 15 seconds.", silent);
        let disbelieved = count(&|gateway| gateway.disbelieved.is_some());
        gauge("gateways_disbelieved", "Those that are not believed.", disbelieved);
        if gateways.is_empty() {
            return;
        }
        *rendered += "# HELP hardtack_feed_gateway_silent Whether a gateway acknowledged nothing for 15 seconds.\n# TYPE hardtack_feed_gateway_silent gauge\n";
        for gateway in &gateways {
            let (name, silent) = (&gateway.name, u8::from(gateway.silent));
            // A name has nothing that would have to be escaped.
            let _ =
                writeln!(rendered, "hardtack_feed_gateway_silent{{gateway=\"{name}\"}} {silent}");
        }
    }
}

impl Followers for OwnFeed {
    fn in_force<'a>(
        &'a self,
        place: Option<FeedPlaceAsked>,
        at_most: Duration,
    ) -> Pending<'a, Result<Value, String>> {
        Box::pin(async move {
            let serving = self.serving().ok_or("the feed is not published yet")?;
            let place = place.map(|(epoch, size)| FeedPlace { epoch, size });
            let shown =
                serving.in_force(place, at_most).await.map_err(|error| error.to_string())?;
            let shown = shown.ok_or("the feed has no gateways")?;
            serde_json::to_value(&shown).map_err(|error| error.to_string())
        })
    }

    fn change(&self, change: &GatewayChange) -> Result<Value, String> {
        let gateways = self.serving().and_then(|serving| serving.gateways());
        let gateways = gateways.ok_or("the feed is not published yet")?;
        let said = |error: RegistryError| error.to_string();
        let (status, changed) = match change {
            GatewayChange::Add { name, key } => {
                ("enrolled", gateways.add(name, *key).map_err(said)?)
            }
            GatewayChange::Retire { name } => ("retired", gateways.retire(name).map_err(said)?),
        };
        Ok(json!({"status": status, "gateway": changed}))
    }
}
