//! How a server is set up: its folder, a look at all that it needs, completions and manual pages.

#![cfg(unix)]

mod doctor;
mod init;
mod rights;
mod shells;

const HARDTACK: &str = env!("CARGO_BIN_EXE_hardtack");
