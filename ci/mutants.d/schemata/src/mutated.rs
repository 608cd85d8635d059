//! Which change of the source is in force: what every changed place of the copy asks.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// More than there are changes.
const MOST: usize = 16_384;

struct Chosen {
    number: u32,
    reached: Option<File>,
}

static CHOSEN: OnceLock<Chosen> = OnceLock::new();
static SEEN: [AtomicBool; MOST] = [const { AtomicBool::new(false) }; MOST];

/// Whether this change is in force. Notes, if it is asked to, that the place was reached.
pub fn is(number: u32) -> bool {
    let chosen = CHOSEN.get_or_init(|| Chosen {
        number: std::env::var("HARDTACK_MUTANT").ok().and_then(|number| number.parse().ok()).unwrap_or(u32::MAX),
        reached: std::env::var_os("HARDTACK_MUTANT_REACHED")
            .and_then(|path| OpenOptions::new().append(true).create(true).open(path).ok()),
    });
    if let Some(reached) = &chosen.reached {
        if !SEEN[number as usize].swap(true, Ordering::Relaxed) {
            // In one write, so that processes that share the file do not mix their lines.
            let _ = (&*reached).write_all(format!("{number}\n").as_bytes());
        }
    }
    chosen.number == number
}
