//! Device: does Windows find a device instead of a file of this name?
//!
//! It does so whatever folder stands before the name and whatever ending behind it: `/srv/data/NUL`, `con.txt`, `COM1 .log`
//! (Microsoft, Naming Files, Paths, and Namespaces).

use crate::function::pattern::{Ends, Letter};
use crate::function::segment::is_blank;

/// Devices by name; `#` is a number from 1 to 9, also a raised one (`COM¹`), which is the same in compatibility form. Those of the
/// console are here since Windows and Python look for them, too.
const DEVICES: [&[u8]; 8] =
    [b"con", b"prn", b"aux", b"nul", b"conin$", b"conout$", b"com#", b"lpt#"];

/// The devices' letters one behind the other, each with its bit; and a bit behind each device, which says that it was passed.
struct Table {
    first: u64,
    whole: u64,
    letters: [u64; 128],
}

static TABLE: Table = table();

const fn table() -> Table {
    let mut table = Table { first: 0, whole: 0, letters: [0; 128] };
    let (mut device, mut bit) = (0, 1_u64);
    while device < DEVICES.len() {
        table.first |= bit;
        let mut at = 0;
        while at < DEVICES[device].len() {
            let (mut c, last) = match DEVICES[device][at] {
                b'#' => (b'1', b'9'),
                c => (c, c),
            };
            while c <= last {
                table.letters[c as usize] |= bit;
                c += 1;
            }
            bit <<= 1;
            at += 1;
        }
        table.whole |= bit;
        bit <<= 1;
        device += 1;
    }
    table
}

/// Where a device's name ends in the name of a file: at a dot, at a sign at which some reader ends a name, or at its end. Letters
/// that some reader leaves out may be left out, and so are blanks behind. `None` if there is no device.
pub(super) fn end_of_device(name: &[Letter]) -> Option<usize> {
    let mut reached = TABLE.first;
    for (at, letter) in name.iter().enumerate() {
        let is_end = letter.c == '.' || letter.ends != Ends::Nothing;
        if is_end && reached & TABLE.whole != 0 {
            return Some(at);
        }
        let equal = TABLE.letters.get(letter.c as usize).copied().unwrap_or_default();
        let stays = match letter.drops {
            true => u64::MAX,
            false if is_blank(letter.c) => TABLE.whole,
            false => 0,
        };
        reached = (reached & equal) << 1 | reached & stays;
        if reached == 0 {
            return None;
        }
    }
    (reached & TABLE.whole != 0).then_some(name.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(name: &str) -> Option<usize> {
        let letter = |c| Letter {
            drops: c == '\'',
            ends: if c == ';' { Ends::Name } else { Ends::Nothing },
            ..Letter::plain(c)
        };
        end_of_device(&name.chars().map(letter).collect::<Vec<_>>())
    }

    #[test]
    fn windows_finds_a_device() {
        for name in [
            "con",
            "prn",
            "aux",
            "nul",
            "conin$",
            "conout$",
            "com1",
            "com9",
            "lpt1",
            "lpt9",
            "nul ",
            "nul \u{a0}",
            "nul+",
            "n'u'l",
            "com'1'",
        ] {
            assert_eq!(end(name), Some(name.chars().count()), "{name:?}");
            for behind in [".txt", ".", "..", ".a.b", ";x"] {
                assert_eq!(end(&format!("{name}{behind}")), Some(name.chars().count()), "{name:?}");
            }
        }
        for name in [
            "", " ", "co", "cons", "com", "com0", "com10", "lpt", "lpt0", "n ul", "conin",
            "conin$x", "console", "null", "x", ".nul", "nul x", " nul", "nul'x",
        ] {
            assert_eq!(end(name), None, "{name:?}");
        }
    }
}
