//! Drawing: what is in a picture of chains, whichever way it is written?

mod mermaid;
mod svg;

use hardtack::names::escaped;
use hardtack::store::{BlockState, SeenBlock, SeenChains};
use hardtack::{Chain, Timestamp};

use crate::args::tree::Format;
use crate::command::lineage::in_order;
use crate::terminal::short;

/// The most cards of a picture: more are not read, and renderers of Mermaid take no more than 500 arrows.
const MAX_CARDS: usize = 400;

/// How a card stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Nothing was verified of it.
    Unknown,
    Live,
    Expired,
    Revoked,
    /// Something above it is revoked.
    Stopped,
}

impl Standing {
    fn word(self) -> &'static str {
        match self {
            Standing::Unknown => "unverified",
            Standing::Live => "live",
            Standing::Expired => "expired",
            Standing::Revoked => "revoked",
            Standing::Stopped => "stopped",
        }
    }
}

/// One grant, hop or presentation. All texts in it print.
#[derive(Debug)]
struct Card {
    /// The number of the card above.
    parent: Option<usize>,
    depth: usize,
    heading: String,
    lines: Vec<String>,
    standing: Standing,
}

/// What is drawn, each card behind the one above it.
#[derive(Debug)]
pub(crate) struct Picture {
    title: String,
    description: String,
    cards: Vec<Card>,
    /// What the picture leaves out.
    note: Option<String>,
}

impl Picture {
    /// The picture of a token, nothing of which is verified. `demands` are what blocks demand, by the block's number.
    pub(crate) fn of_token(chain: &Chain, demands: &[(usize, String)]) -> Picture {
        let mut cards = Vec::new();
        let grant = &chain.grant;
        let mut lines = vec![
            line("may", &joined(&grant.scopes)),
            line("at", &joined(&grant.audiences)),
            line("until", &grant.expires.to_string()),
            line("id", &short(&grant.revocation_id.to_string())),
        ];
        lines.splice(2..2, demanded(demands, 0));
        cards.push(unverified(None, format!("{} grants", grant.subject), lines));
        for hop in &chain.hops {
            let mut lines = vec![
                line("why", &hop.reason),
                line("may", &joined(&hop.scopes)),
                line("at", &joined(&hop.audiences)),
                line("until", &hop.expires.to_string()),
                line("id", &short(&hop.revocation_id.to_string())),
            ];
            lines.splice(3..3, demanded(demands, hop.index));
            let heading = format!("{} from {}", hop.delegate, hop.delegator);
            cards.push(unverified(cards.len().checked_sub(1), heading, lines));
        }
        if let Some(presentation) = &chain.presentation {
            let lines = vec![
                line("until", &presentation.expires.to_string()),
                line("id", &short(&presentation.revocation_id.to_string())),
            ];
            let kind = presentation.kind.as_str();
            let heading = format!("presented to {} ({kind})", presentation.audience);
            cards.push(unverified(cards.len().checked_sub(1), heading, lines));
        }
        for caveat in &chain.caveats {
            let lines = demanded(demands, caveat.index).collect();
            let heading = format!("caveat at block {} by nobody in particular", caveat.index);
            cards.push(unverified(None, heading, lines));
        }
        let title = "What a token says".to_owned();
        Picture { title, cards, note: Some("Nothing of this is verified.".to_owned()), ..empty() }
            .whole()
    }

    /// The picture of the chains that were seen.
    pub(crate) fn of_chains(chains: &SeenChains, now: Timestamp) -> Picture {
        let mut cards: Vec<Card> = Vec::new();
        let mut left_out = 0usize;
        // The last is next: what hangs below a block comes before its sibling.
        let grants = in_order(chains.grants()).into_iter().rev();
        let mut next: Vec<(Option<usize>, &SeenBlock)> =
            grants.map(|grant| (None, grant)).collect();
        while let Some((parent, block)) = next.pop() {
            // What is above a card is a card.
            let below = cards.len();
            if below == MAX_CARDS {
                left_out += 1 + next.len();
                break;
            }
            cards.push(card(chains, parent, block, now));
            let children = in_order(chains.children(&block.id));
            next.extend(children.into_iter().rev().map(|child| (Some(below), child)));
        }
        let note = match (left_out, chains.lost(), cards.is_empty()) {
            (0, 0, true) => Some("No chain was verified here yet.".to_owned()),
            (0, 0, false) => None,
            (0, lost, _) => Some(format!("{lost} more blocks were seen and not remembered.")),
            _ => Some(only_first(MAX_CARDS)),
        };
        let title = format!("Chains of delegation, as of {now}");
        Picture { title, cards, note, ..empty() }.whole()
    }

    /// The picture as text of this format; `None` where this is no format of pictures.
    pub(crate) fn written(&self, format: Format) -> Option<String> {
        match format {
            Format::Text | Format::Json => None,
            Format::Svg => Some(svg::write(self)),
            Format::Mermaid => Some(mermaid::write(self)),
        }
    }

    /// With depths, and a description for those who do not see it.
    fn whole(mut self) -> Picture {
        for place in 0..self.cards.len() {
            let above = self.cards[place].parent.map(|parent| self.cards[parent].depth + 1);
            self.cards[place].depth = above.unwrap_or(0);
        }
        let said = self.cards.iter().map(|card| match card.parent {
            None => format!("{}, {}.", card.heading, card.standing.word()),
            Some(parent) => format!(
                "Below {}: {}, {}.",
                self.cards[parent].heading,
                card.heading,
                card.standing.word()
            ),
        });
        let said = said.chain(self.note.clone());
        self.description = said.collect::<Vec<_>>().join(" ");
        self
    }
}

/// What a picture says that has no more cards than these.
fn only_first(cards: usize) -> String {
    format!("Only the first {cards} blocks are drawn; --format text has all.")
}

fn empty() -> Picture {
    Picture { title: String::new(), description: String::new(), cards: Vec::new(), note: None }
}

fn unverified(parent: Option<usize>, heading: String, lines: Vec<String>) -> Card {
    Card { parent, depth: 0, heading: escaped(&heading), lines, standing: Standing::Unknown }
}

fn card(chains: &SeenChains, parent: Option<usize>, block: &SeenBlock, now: Timestamp) -> Card {
    let mut lines: Vec<String> = block.reason.iter().map(|why| line("why", why)).collect();
    lines.push(line("until", &block.expires.to_string()));
    lines.push(line("id", &short(&block.id.to_string())));
    let standing = match chains.standing(block, now) {
        BlockState::Live => Standing::Live,
        BlockState::Expired => Standing::Expired,
        BlockState::Revoked(entry) => {
            let (by, why) = (&entry.notice.by, &entry.notice.reason);
            lines.push(line("revoked", &format!("by {by}: {why} (record {})", entry.sequence)));
            Standing::Revoked
        }
        BlockState::RevokedAbove(entry) => {
            lines.push(line("stopped", &format!("with record {}", entry.sequence)));
            Standing::Stopped
        }
    };
    Card { parent, depth: 0, heading: escaped(&block.name), lines, standing }
}

fn demanded(demands: &[(usize, String)], block: usize) -> impl Iterator<Item = String> {
    demands.iter().filter(move |(of, _)| *of == block).map(|(_, demand)| line("if", demand))
}

fn line(label: &str, value: &str) -> String {
    format!("{label} {}", escaped(&value))
}

fn joined<T: ToString>(items: &[T]) -> String {
    match items.is_empty() {
        true => "anywhere, until it is named".to_owned(),
        false => items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    }
}

#[cfg(test)]
mod tests {
    use hardtack::PrivateKey;
    use hardtack::audit::Seen;
    use serde_json::json;

    use super::*;

    /// A grant and, below it, this many hops, all with the same reason; each hangs below the one before it, or all below the grant.
    fn chains(hops: usize, reason: &str, is_deep: bool) -> SeenChains {
        let root = PrivateKey::generate().public().to_string();
        let id = |number: usize| format!("{number:0128x}");
        let blocks = (0..=hops).map(|number| {
            let parent = match number {
                0 => json!(null),
                _ => json!(id(if is_deep { number - 1 } else { 0 })),
            };
            let name = if number == 0 { "user:alice" } else { "agent.a" };
            let block = json!({
                "id": id(number), "parent": parent, "name": name, "reason": reason, "holder": null, "root": root,
                "issued": "2020-01-01T00:00:00Z", "expires": "2120-01-01T00:00:00Z", "seen": number,
            });
            serde_json::from_value(block).unwrap()
        });
        SeenChains::new(Seen::new(blocks.collect(), 0), Vec::new())
    }

    fn now() -> Timestamp {
        Timestamp::parse("2026-01-01T00:00:00Z").unwrap()
    }

    #[test]
    fn thousands_of_hops_make_a_bounded_picture_that_says_so() {
        for is_deep in [false, true] {
            for reason in ["find", &"#\";:".repeat(64)] {
                let picture = Picture::of_chains(&chains(5000, reason, is_deep), now());
                let svg = picture.written(Format::Svg).unwrap();
                assert_eq!(svg.matches("<rect class=\"card ").count(), MAX_CARDS);
                assert!(svg.contains("Only the first 400 blocks are drawn"));
                let chart = picture.written(Format::Mermaid).unwrap();
                assert!(chart.len() < 50_000, "{}", chart.len());
                let (cards, arrows) =
                    (chart.matches("[\"").count() - 1, chart.matches(" --> ").count());
                assert!(cards > 20 && arrows == cards - 1, "{cards} {arrows}");
                let said = format!("Only the first {cards} blocks are drawn#59;");
                assert!(chart.contains(&said), "{said}");
            }
        }
    }

    #[test]
    fn no_text_of_a_forged_block_ends_a_line_or_a_tag_or_reaches_the_terminal() {
        let hostile = "</text></svg><script>\u{1b}]8;;x\u{7}\n%%{init: {}}%%\r\u{202e}\u{2028}\u{0}\u{fffe}\"]'";
        let chains = chains(1, hostile, false);
        let text = crate::command::lineage::draw(&chains, now());
        let said = crate::terminal::lines(&text);
        assert_eq!(said.trim_end().lines().count(), 2, "{said:?}");
        for format in [Format::Svg, Format::Mermaid] {
            let picture = Picture::of_chains(&chains, now()).written(format).unwrap();
            let controls = |c: char| c.is_control() && c != '\n';
            assert!(!picture.contains(controls), "{picture:?}");
            for word in ["<script", "</text></svg><", "\u{202e}", "\u{2028}", "\u{fffe}"] {
                assert!(!picture.contains(word), "{word:?}: {picture}");
            }
            match format {
                Format::Svg => assert_eq!(picture.matches("</svg>").count(), 3),
                _ => assert!(!picture.contains(['%', '{', '\'']), "{picture}"),
            }
        }
    }
}
