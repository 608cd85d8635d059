//! Device: does Windows find a device instead of a file of this name?
//!
//! It does so whatever folder stands before the name and whatever ending behind it: `/srv/data/NUL`, `con.txt`, `COM1 .log`
//! (Microsoft, Naming Files, Paths, and Namespaces).

/// Devices by one name. The two of the console are no files' names either, since Python and Windows look for them, too.
const DEVICES: [&str; 6] = ["con", "prn", "aux", "nul", "conin$", "conout$"];

/// Devices that have a number from 1 to 9, also a raised one (`COM¹`), which is the same in compatibility form.
const NUMBERED: [&str; 2] = ["com", "lpt"];

/// The most letters that a device's name has.
const MAX_LETTERS: usize = 7;

/// Whether these letters, in small ones and up to the first dot or sign that ends a name, name a device. Blanks behind are none.
pub(super) fn is_device(stem: impl Iterator<Item = char>) -> bool {
    let mut name = String::with_capacity(MAX_LETTERS);
    let mut blank = false;
    for c in stem {
        if c.is_whitespace() {
            blank = true;
            continue;
        }
        if blank || name.len() >= MAX_LETTERS {
            return false;
        }
        name.push(c);
    }
    let numbered =
        |kind: &&str| matches!(name.strip_prefix(*kind).map(str::as_bytes), Some([b'1'..=b'9']));
    DEVICES.contains(&name.as_str()) || NUMBERED.iter().any(|kind| numbered(&kind))
}

#[cfg(test)]
mod tests {
    use super::*;

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
        ] {
            assert!(is_device(name.chars()), "{name:?}");
        }
        for name in [
            "", " ", "co", "cons", "com", "com0", "com10", "lpt", "lpt0", "n ul", "conin",
            "conin$x", "console", "null", "x",
        ] {
            assert!(!is_device(name.chars()), "{name:?}");
        }
    }
}
