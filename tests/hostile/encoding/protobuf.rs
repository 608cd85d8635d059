//! Protobuf: bytes that decode to what a token says, and are not the bytes that it encodes to.
//!
//! Each trick is tried on every message of the schema: on the envelope as it is, since nothing of its encoding
//! is signed, and on a block's content with all signatures made anew.

use std::collections::BTreeSet;

use prost::Message as _;

use super::{accepted, refused, rich};
use crate::case::Case;
use crate::wire::{Field, Label, Message, Of, Path, Value, longer, number, read_number};
use hardtack_testkit::forge::{Forge, base64};

type Trick = fn(&Message) -> Option<Vec<u8>>;

const TRICKS: [(&str, Trick); 14] = [
    ("an unknown field at the end", |message| Some([message.write(), vec![0x78, 1]].concat())),
    ("an unknown field at the start", |message| {
        let tag = number(((1 << 29) - 1) << 3 | 2);
        Some([tag, vec![0], message.write()].concat())
    }),
    ("an unknown group", |message| Some([message.write(), vec![0x7b, 0x7c]].concat())),
    ("a field of number zero", |message| Some([message.write(), vec![0, 1]].concat())),
    ("the end of a group that never began", |message| Some([message.write(), vec![0x7c]].concat())),
    ("a tag in a byte more", |message| {
        with_first(message, |tag, rest| [longer(tag), rest.to_vec()].concat())
    }),
    ("a number or length in a byte more", |message| {
        with_first(message, |tag, mut rest| {
            let value = read_number(&mut rest);
            [number(tag), longer(value), rest.to_vec()].concat()
        })
    }),
    ("a field of another wire type", |message| {
        with_first(message, |tag, _| [number(tag & !7 | 5), vec![0; 4]].concat())
    }),
    ("fields in another order", |message| {
        let number = |field: &Field| field.described.number;
        let (first, last) = (message.fields.first()?, message.fields.last()?);
        let mut turned = message.clone();
        turned.fields.rotate_left(1);
        (number(first) != number(last)).then(|| turned.write())
    }),
    ("a field said twice", |message| {
        let once = message.fields.iter().rfind(|field| field.described.label != Label::Repeated)?;
        Some([message.write(), once.write()].concat())
    }),
    ("a byte less", |message| {
        let bytes = message.write();
        Some(bytes.split_last()?.1.to_vec())
    }),
    ("a field left out that must be there", |message| {
        let required = |field: &Field| field.described.label == Label::Required;
        let mut less = message.clone();
        less.fields.remove(message.fields.iter().position(required)?);
        Some(less.write())
    }),
    ("a number beyond 32 bits that is cut to what it should be", |message| {
        let mut beyond = message.clone();
        let field = beyond.fields.iter_mut().find(|field| field.described.of == Of::Word32)?;
        if let Value::Number(value) = &mut field.value {
            *value += 1 << 32;
        }
        Some(beyond.write())
    }),
    ("a message in two halves", |message| {
        let mut halves = message.clone();
        let at = halves.fields.iter().position(|field| match &field.value {
            Value::Message(inner) => {
                field.described.label != Label::Repeated && inner.fields.len() > 1
            }
            _ => false,
        })?;
        let mut second = halves.fields[at].clone();
        if let (Value::Message(one), Value::Message(two)) =
            (&mut halves.fields[at].value, &mut second.value)
        {
            one.fields.truncate(1);
            two.fields.remove(0);
        }
        halves.fields.insert(at + 1, second);
        Some(halves.write())
    }),
];

pub(super) fn cases() -> Vec<Case> {
    let mut cases = vec![accepted("every message of the schema", rich().bearer())];
    let token = Message::read(
        "Biscuit",
        &rich().change(|f| f.root_key_id = Some(7)).sign().encode_to_vec(),
    );
    cases.push(accepted("every field of the envelope", base64(&token.write())));
    for path in token.messages().into_iter().filter(|path| is_worth_trying(&token, path)) {
        for (what, trick) in TRICKS {
            let Some(bytes) = trick(token.at(&path)) else { continue };
            let what = format!("{what} in {}", named(&token, &path, "the token"));
            cases.push(refused(&what, base64(&token.with(&path, bytes)), "not_a_token", None));
        }
    }
    for block in 0..3 {
        let content = Message::read("Block", &rich().blocks[block].bytes);
        // The hop has every message; of the other blocks only the outermost is new.
        let places = if block == 1 { kinds(&content) } else { vec![Path::new()] };
        for path in places {
            for (what, trick) in TRICKS {
                let Some(bytes) = trick(content.at(&path)) else { continue };
                let what =
                    format!("{what} in {} of block {block}", named(&content, &path, "the content"));
                let bearer = with_bytes(block, content.with(&path, bytes));
                cases.push(refused(&what, bearer, "encoding", Some(block)));
            }
        }
    }
    cases.extend(single());
    cases
}

/// Tricks that there is one place for.
fn single() -> Vec<Case> {
    let content = Message::read("Block", &rich().blocks[1].bytes);
    let find = |name: &str| kinds(&content).into_iter().find(|path| content.at(path).name == name);
    let mut cases = Vec::new();
    let mut case = |what: &str, message: &str, change: &dyn Fn(&Message) -> Vec<u8>| {
        let path = find(message).unwrap();
        let bearer = with_bytes(1, content.with(&path, change(content.at(&path))));
        cases.push(refused(what, bearer, "encoding", Some(1)));
    };
    case("a closure's parameters packed", "OpClosure", &|closure| {
        let Value::Number(name) = closure.fields[0].value else { panic!("no parameter first") };
        let mut rest = closure.clone();
        rest.fields.remove(0);
        let packed = number(name);
        [vec![0x0a], number(packed.len() as u64), packed, rest.write()].concat()
    });
    case("true said by another number", "Op", &|_| vec![0x0a, 2, 0x30, 2]);
    case("false said in two bytes", "Op", &|_| vec![0x0a, 3, 0x30, 0x80, 0]);
    case("two contents of one term", "Term", &|term| [vec![0x30, 1], term.write()].concat());
    case("two contents of one operation", "Op", &|op| [vec![0x12, 2, 8, 0], op.write()].concat());
    case("two origins in one scope", "Scope", &|scope| [vec![0x10, 0], scope.write()].concat());
    case("two keys of one entry", "MapKey", &|key| [vec![8, 0], key.write()].concat());
    case("a number of eleven bytes", "Predicate", &|predicate| {
        let mut rest = predicate.clone();
        rest.fields.remove(0);
        [vec![8], vec![0x80; 10], vec![0], rest.write()].concat()
    });
    case("a length beyond the end", "Predicate", &|predicate| {
        [predicate.write(), vec![0x12, 0x7f]].concat()
    });
    case("a length of almost all there is", "Predicate", &|predicate| {
        let length = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
        [predicate.write(), vec![0x12], length.to_vec()].concat()
    });
    case("groups within groups, two hundred deep", "Predicate", &|predicate| {
        [predicate.write(), vec![0x7b; 200], vec![0x7c; 200]].concat()
    });
    case("arrays within arrays, two hundred deep", "Predicate", &|predicate| {
        let nested = (0..200).fold(vec![0x10, 1], |inner: Vec<u8>, _| {
            let term = [vec![0x0a], number(inner.len() as u64), inner].concat();
            [vec![0x4a], number(term.len() as u64), term].concat()
        });
        [predicate.write(), vec![0x12], number(nested.len() as u64), nested].concat()
    });
    case("closures within closures, two hundred deep", "Expression", &|_| {
        let nested = (0..200).fold(vec![0x0a, 2, 0x30, 1], |inner: Vec<u8>, _| {
            let closure = [vec![0x12], number(inner.len() as u64), inner].concat();
            [vec![0x22], number(closure.len() as u64), closure].concat()
        });
        [vec![0x0a], number(nested.len() as u64), nested].concat()
    });
    case("a word that is no UTF-8", "Block", &|block| {
        [vec![0x0a, 2, 0xc3, 0x28], block.write()].concat()
    });
    case("a word with a lone surrogate", "Block", &|block| {
        [vec![0x0a, 3, 0xed, 0xa0, 0x80], block.write()].concat()
    });
    case("a word with an overlong letter", "Block", &|block| {
        [vec![0x0a, 2, 0xc1, 0x81], block.write()].concat()
    });
    case("a word that was cut in a letter", "Block", &|block| {
        [vec![0x0a, 2, 0xe2, 0x82], block.write()].concat()
    });
    case("a word after the facts", "Block", &|block| [block.write(), vec![0x0a, 1, b'z']].concat());
    cases
}

/// The first message of each kind, as a path.
fn kinds(content: &Message) -> Vec<Path> {
    let mut seen = BTreeSet::new();
    content.messages().into_iter().filter(|path| seen.insert(content.at(path).name)).collect()
}

/// Of the blocks after the grant, the first stands for all.
fn is_worth_trying(token: &Message, path: &Path) -> bool {
    !token.name_of(path).starts_with("blocks[1]")
}

fn named(message: &Message, path: &Path, outermost: &str) -> String {
    match path.is_empty() {
        true => outermost.to_owned(),
        false => message.name_of(path),
    }
}

fn with_bytes(block: usize, bytes: Vec<u8>) -> String {
    rich().change(|forge: &mut Forge| forge.blocks[block].bytes = bytes).bearer()
}

/// The message with its first field, split into tag and what follows, written otherwise.
fn with_first(message: &Message, change: impl Fn(u64, &[u8]) -> Vec<u8>) -> Option<Vec<u8>> {
    let (first, others) = message.fields.split_first()?;
    let bytes = first.write();
    let mut rest = bytes.as_slice();
    let tag = read_number(&mut rest);
    let others = others.iter().flat_map(Field::write);
    Some(change(tag, rest).into_iter().chain(others).collect())
}
