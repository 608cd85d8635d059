//! Fields: every field of every kind of block, left out, doubled and changed; once with the signatures as they were, and
//! once signed anew by those who signed the block.
//!
//! Why each is refused is said by rule in `expected`, from what the profile says of the field. What is accepted when
//! its right signer signs it is what that signer may say: less, the same, or something else that is theirs to say.

mod envelope;
mod expected;
mod tokens;

use biscuit_auth::format::schema;
use prost::Message as _;

use crate::case::{Case, Expected, Server};
use crate::craft::parent;
use crate::wire::{Label, Message, Of, Path, Value};
use expected::{Verdict, expected, left_as_they_were};
use hardtack_testkit::forge::{Forge, base64};
use tokens::{Kind, Token};

/// What is done to a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Removed,
    Doubled,
    /// A number, one more.
    More,
    /// A number, zero; for a word that is Biscuit's `read`.
    Zero,
    /// The greatest number, or −1 where it may be less than zero.
    Greatest,
    /// Other bytes that would do as well: another key, a text with a letter more.
    Another,
    /// Bytes, none.
    Empty,
}

impl Change {
    const ALL: [(Change, &str); 7] = [
        (Change::Removed, "left out"),
        (Change::Doubled, "doubled"),
        (Change::More, "one more"),
        (Change::Zero, "zero"),
        (Change::Greatest, "the greatest"),
        (Change::Another, "another"),
        (Change::Empty, "empty"),
    ];
}

/// A field of a block, and what it is about.
#[derive(Debug)]
struct Site {
    kind: Kind,
    block: usize,
    /// The message that the field is in.
    message: &'static str,
    /// The names of the fields on the way, the field's own last.
    steps: Vec<&'static str>,
    label: Label,
    /// The fact's name, or that of what a check asks for.
    about: Option<String>,
    /// The value, where it is a word.
    word: Option<String>,
    number: Option<u64>,
}

impl Site {
    fn name(&self) -> &'static str {
        self.steps.last().unwrap()
    }

    fn is_in(&self, step: &str) -> bool {
        self.steps.contains(&step)
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = envelope::cases();
    for token in tokens::all() {
        let case = Case::accepted(format!("fields/{}", token.name), token.forge.bearer());
        cases.push(case.to(token.server));
        for kind in token.kinds.iter().copied() {
            cases.extend(of_block(&token, kind));
        }
    }
    cases
}

fn of_block(token: &Token, kind: Kind) -> Vec<Case> {
    let block = kind.block();
    let content = Message::read("Block", &token.forge.blocks[block].bytes);
    let honest = token.forge.sign();
    let mut cases = Vec::new();
    for path in content.places() {
        let site = site(token, kind, &content, &path);
        for (change, what) in Change::ALL {
            let Some(bytes) = changed(&content, &path, change) else { continue };
            let name = format!("{} of {}, {what}", content.name_of(&path), kind.name());
            let verdict = expected(&site, change);
            let anew = signed_anew(token, block, &bytes);
            cases.push(case(token, format!("{name}, signed anew"), anew, verdict));
            let mut left = honest.clone();
            content_of(&mut left, block).clone_from(&bytes);
            let verdict = left_as_they_were(&site, verdict);
            let left = base64(&left.encode_to_vec());
            cases.push(case(token, format!("{name}, signatures left"), left, verdict));
        }
    }
    cases
}

fn case(token: &Token, name: String, bearer: String, verdict: Verdict) -> Case {
    let case = Case::accepted(format!("fields/{name}"), bearer);
    let expected = match verdict {
        Verdict::Accepted => Expected::Accepted,
        Verdict::Refused(cause, block) => Expected::Refused { cause, block },
    };
    // What is bound to a call is accepted once, by a server that has seen nothing.
    let server = match (token.server, verdict) {
        (Server::Fresh, Verdict::Refused(..)) => Server::Plain,
        (server, _) => server,
    };
    Case { expected, ..case }.to(server)
}

/// The content with the change, if it makes sense there and makes a difference.
fn changed(content: &Message, path: &Path, change: Change) -> Option<Vec<u8>> {
    let (last, above) = path.split_last()?;
    let mut changed = content.clone();
    let message = changed.at_mut(above);
    let field = message.fields[*last].clone();
    let described = field.described;
    match change {
        Change::Removed => drop(message.fields.remove(*last)),
        // What may stand once is doubled in the family of encodings.
        Change::Doubled if described.label != Label::Repeated => return None,
        Change::Doubled => message.fields.insert(*last, field),
        _ => {
            let is_word = crate::craft::is_word(message.name, described.name);
            let value = &mut message.fields[*last].value;
            match (value, change) {
                // The word after a word is any other.
                (Value::Number(_), Change::More) if is_word => return None,
                (Value::Number(number), Change::More) => *number += 1,
                (Value::Number(number), Change::Zero) => *number = 0,
                (Value::Number(number), Change::Greatest) => {
                    *number = greatest(described.of, described.name)
                }
                (Value::Bytes(bytes), Change::Another) => *bytes = another(bytes, described.name),
                (Value::Bytes(bytes), Change::Empty) => bytes.clear(),
                _ => return None,
            }
        }
    }
    let bytes = changed.write();
    (bytes != content.write()).then_some(bytes)
}

fn greatest(of: Of, name: &str) -> u64 {
    match (of, name) {
        (Of::Word32, "version" | "variable" | "rootKeyId") => u64::from(u32::MAX),
        (_, "integer") => i64::MAX as u64,
        // −1 for kinds, algorithms and the numbers of keys.
        _ => u64::MAX,
    }
}

fn another(bytes: &[u8], name: &str) -> Vec<u8> {
    match (name, bytes.len()) {
        ("symbols", _) => [bytes, b"x"].concat(),
        (_, 32) => hardtack_testkit::Cast::new().thief.public().to_bytes().to_vec(),
        _ => bytes.iter().enumerate().map(|(at, byte)| byte ^ u8::from(at == 1)).collect(),
    }
}

/// All blocks signed anew by their signers, who say anew over which token they sign.
fn signed_anew(token: &Token, block: usize, bytes: &[u8]) -> String {
    let mut forge = tokens::copy(&token.forge);
    let parents = |forge: &Forge| {
        (1..forge.blocks.len()).map(|at| parent(&forge.blocks[..at])).collect::<Vec<_>>()
    };
    let before = parents(&forge);
    forge.blocks[block].bytes = bytes.to_vec();
    for at in block + 1..forge.blocks.len() {
        let (said, now) = (before[at - 1], parent(&forge.blocks[..at]));
        replace(&mut forge, at, &said, &now);
    }
    forge.bearer()
}

fn replace(forge: &mut Forge, block: usize, said: &[u8; 16], now: &[u8; 16]) {
    let bytes = &mut forge.blocks[block].bytes;
    if let Some(at) = bytes.windows(16).position(|window| window == said) {
        bytes[at..at + 16].copy_from_slice(now);
    }
}

fn content_of(token: &mut schema::Biscuit, block: usize) -> &mut Vec<u8> {
    match block {
        0 => &mut token.authority.block,
        _ => &mut token.blocks[block - 1].block,
    }
}

fn site(token: &Token, kind: Kind, content: &Message, path: &Path) -> Site {
    let words = token.words(kind.block());
    let word = |number: u64| words.get(&number).cloned();
    let (last, above) = path.split_last().unwrap();
    let message = content.at(above);
    let field = &message.fields[*last];
    let steps =
        (0..path.len()).map(|depth| content.at(&path[..depth]).fields[path[depth]].described.name);
    let steps: Vec<_> = steps.collect();
    let name_in = |message: &Message, way: &[&str]| {
        let inner = way.iter().try_fold(message, |message, step| {
            let field = message.fields.iter().find(|field| field.described.name == *step)?;
            match &field.value {
                Value::Message(inner) => Some(inner),
                _ => None,
            }
        });
        match inner?.fields.first()?.value {
            Value::Number(number) => word(number),
            _ => None,
        }
    };
    let about = match steps[0] {
        "facts" => name_in(content.at(&path[..1]), &["predicate"]),
        "checks" => name_in(content.at(&path[..1]), &["queries", "body"]),
        _ => None,
    };
    let (number, said) = match &field.value {
        Value::Number(number) if crate::craft::is_word(message.name, field.described.name) => {
            (Some(*number), word(*number))
        }
        Value::Number(number) => (Some(*number), None),
        Value::Bytes(bytes) if steps[0] == "symbols" => {
            (None, Some(String::from_utf8(bytes.clone()).unwrap()))
        }
        _ => (None, None),
    };
    Site {
        kind,
        block: kind.block(),
        message: message.name,
        label: field.described.label,
        steps,
        about,
        word: said,
        number,
    }
}
