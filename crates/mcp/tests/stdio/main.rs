//! The gateway in front of servers that are processes: real ones, below a real supervisor.
//!
//! This program is all three: with other words it is a server, or a server's supervisor.

#![allow(unreachable_pub, reason = "a test is no library")]

mod client;
mod eras;
mod ends;
mod hostile;
mod server;
mod session;
mod several;
#[path = "../gateway/stage.rs"]
#[allow(dead_code, reason = "the gateway's tests use more of it")]
mod stage;

use std::future::Future;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    match words.next().as_ref().and_then(|word| word.to_str()) {
        Some("supervise") => return hardtack_mcp::supervise(words),
        Some("server") => {
            return server::run(words.next().and_then(|word| word.into_string().ok()));
        }
        _ => {}
    }
    let tests =
        [session::tests(), eras::tests(), hostile::tests(), ends::tests(), several::tests()];
    libtest_mimic::run(&Arguments::from_args(), tests.into_iter().flatten().collect()).exit_code()
}

/// A test that is run on a runtime of its own.
pub fn test<F: Future<Output = ()> + 'static>(name: &str, run: fn() -> F) -> Trial {
    Trial::test(name, move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(run());
        runtime.shutdown_background();
        Ok(())
    })
}

/// The tests of a file, by the names of their functions.
#[macro_export]
macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        pub fn tests() -> Vec<libtest_mimic::Trial> {
            vec![$($crate::test(stringify!($name), $name)),*]
        }
    };
}
