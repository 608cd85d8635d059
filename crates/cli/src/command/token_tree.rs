//! Tree: a chain, drawn for people.

use std::fmt::Write;

use hardtack::chain::{GrantBlock, Hop, PresentationBlock};
use hardtack::{Chain, PublicKey, Timestamp};

use crate::terminal::{BAD, BOLD, FAINT, NAME, TEXT, short};

/// Draws who delegated what to whom, and why. Every line ends in a line break.
///
/// `demands` are what blocks demand beyond scope, audience and expiry, by the block's number.
pub(crate) fn draw(chain: &Chain, demands: &[(usize, String)], now: Timestamp) -> String {
    let mut drawing = Drawing { text: String::new(), depth: 0, now, demands };
    drawing.grant(&chain.grant);
    for hop in &chain.hops {
        drawing.hop(hop);
    }
    if let Some(presentation) = &chain.presentation {
        drawing.presentation(presentation);
    }
    for caveat in &chain.caveats {
        let checks = caveat.checks;
        drawing.depth = 0;
        drawing.heading(&format!(
            "{BOLD}caveat{BOLD:#} at block {} by nobody in particular: {checks} checks",
            caveat.index
        ));
        drawing.demands(caveat.index);
    }
    drawing.text
}

struct Drawing<'a> {
    demands: &'a [(usize, String)],
    text: String,
    depth: usize,
    now: Timestamp,
}

impl Drawing<'_> {
    fn demands(&mut self, block: usize) {
        let demands = self.demands;
        for (_, demand) in demands.iter().filter(|(of, _)| *of == block) {
            self.line("if", demand);
        }
    }

    fn grant(&mut self, grant: &GrantBlock) {
        self.heading(&format!("{NAME}{}{NAME:#} {FAINT}grants{FAINT:#}", grant.subject));
        self.line("may", &joined(&grant.scopes));
        self.line("at", &audiences(&grant.audiences));
        self.demands(0);
        self.line("until", &self.until(grant.expires));
        if !grant.facts.is_empty() {
            self.line("facts", &joined(&grant.facts));
        }
        self.line("depth", &format!("at most {} hops", grant.max_depth));
        self.line("holder", &holder(grant.holder));
        self.line("id", &short(&grant.revocation_id.to_string()));
    }

    fn hop(&mut self, hop: &Hop) {
        self.depth += 1;
        self.heading(&format!(
            "{NAME}{}{NAME:#} {FAINT}from {}{FAINT:#}",
            hop.delegate, hop.delegator
        ));
        self.line("why", &hop.reason);
        self.line("may", &joined(&hop.scopes));
        self.line("at", &audiences(&hop.audiences));
        self.demands(hop.index);
        self.line("until", &self.until(hop.expires));
        self.line("holder", &holder(hop.holder));
        self.line("id", &short(&hop.revocation_id.to_string()));
        if hop.signer.is_none() {
            self.line("signer", &format!("{BAD}nobody in particular{BAD:#}"));
        }
    }

    fn presentation(&mut self, presentation: &PresentationBlock) {
        self.depth += 1;
        let kind = presentation.kind.as_str();
        self.heading(&format!(
            "{BOLD}presented{BOLD:#} to {NAME}{}{NAME:#} {FAINT}({kind}){FAINT:#}",
            presentation.audience
        ));
        self.line("until", &self.until(presentation.expires));
        self.line("id", &short(&presentation.revocation_id.to_string()));
    }

    fn heading(&mut self, text: &str) {
        let branch = if self.depth == 0 {
            String::new()
        } else {
            format!("{}└─ ", "   ".repeat(self.depth - 1))
        };
        // Writing to a String does not fail.
        let _ = writeln!(self.text, "{FAINT}{branch}{FAINT:#}{text}");
    }

    fn line(&mut self, label: &str, value: &str) {
        let indent = "   ".repeat(self.depth);
        let _ = writeln!(self.text, "{indent}{FAINT}{label:<7}{FAINT:#}{TEXT}{value}");
    }

    fn until(&self, expires: Timestamp) -> String {
        match expires > self.now {
            true => {
                format!("{expires} ({} left)", humantime::format_duration(expires.since(self.now)))
            }
            false => format!("{expires} ({BAD}expired{BAD:#})"),
        }
    }
}

fn joined<T: ToString>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn audiences(audiences: &[String]) -> String {
    if audiences.is_empty() { "anywhere, until it is named".to_owned() } else { joined(audiences) }
}

fn holder(holder: Option<PublicKey>) -> String {
    match holder {
        Some(key) => short(&key.to_string()),
        None => format!("{BAD}whoever has it{BAD:#}"),
    }
}
