//! The `hardtack` command: a door to the library, for people and scripts.
//!
//! Tokens come in on standard input and go out on standard output, so that they never stand in a
//! process list. Exit codes: 0 done or allowed, 1 denied, 2 undecided, wrong usage or failed, 141 whoever read the output
//! went away before its end.

#![deny(clippy::print_stdout, clippy::print_stderr)]

mod args;
mod command;
mod drawing;
mod near;
mod output;
mod reading;
mod secrets;
mod system;
mod terminal;
mod wrapping;

use std::process::ExitCode;

use crate::args::Verb;

/// A decision is many small allocations, on several threads at once.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The verb by which a gateway starts this command again as the supervisor of a server's process. It is in no help: nobody types it,
/// and the words behind it are the server's own.
const SUPERVISE: &str = "supervise-server";

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    if words.next().is_some_and(|verb| verb == SUPERVISE) {
        return hardtack_mcp::supervise(words);
    }
    let code = run();
    output::finish();
    code
}

fn run() -> ExitCode {
    let typed = match secrets::typed(std::env::args_os()) {
        Ok(typed) => typed,
        Err(problem) => {
            terminal::complain(&*Box::<dyn std::error::Error>::from(problem));
            return ExitCode::from(args::EXIT_FAILED);
        }
    };
    let arguments = args::parse(typed).unwrap_or_else(|error| terminal::refuse_arguments(&error));
    if arguments.accept_exposed_key {
        reading::accept_exposed_keys();
    }
    let done = match arguments.verb {
        Verb::Init(arguments) => command::init::run(&arguments),
        Verb::Doctor(arguments) => command::doctor::run(*arguments),
        Verb::Keygen(arguments) => command::keygen::run(&arguments),
        Verb::Pubkey(arguments) => command::pubkey::run(&arguments),
        Verb::Mint(arguments) => command::mint::run(arguments),
        Verb::Delegate(arguments) => command::delegate::run(arguments),
        Verb::Present(arguments) => command::present::run(&arguments),
        Verb::Inspect(arguments) => command::inspect::run(&arguments),
        Verb::Check(arguments) => command::check::run(&arguments),
        Verb::Can(arguments) => command::can::run(&arguments),
        Verb::Revoke(arguments) => command::revoke::run(&arguments),
        Verb::Revocations(arguments) => command::revocations::run(&arguments),
        Verb::Tree(arguments) => command::tree::run(&arguments),
        Verb::Audit(arguments) => command::audit::run(arguments),
        Verb::Policy(arguments) => command::policy::run(&arguments),
        Verb::Store(arguments) => command::store::run(arguments),
        Verb::Database(arguments) => command::database::run(arguments),
        Verb::Gateway(arguments) => command::gateway::run(*arguments),
        Verb::Gateways(arguments) => command::gateways::run(&arguments),
        Verb::Agent(arguments) => command::agent::run(arguments),
        Verb::Wrap(arguments) => command::wrap::run(arguments),
        Verb::Connect(arguments) => command::connect::run(&arguments),
        Verb::Decide(arguments) => command::decide::run(arguments),
        Verb::Serve(arguments) => command::serve::run(&arguments),
        Verb::Completions(arguments) => command::completions::run(&arguments),
        Verb::Man(arguments) => command::man::run(&arguments),
        Verb::Demo(arguments) => command::demo::run(&arguments),
    };
    match done {
        Ok(code) => code,
        Err(error) if terminal::is_reader_gone(&*error) => ExitCode::from(output::EXIT_READER_GONE),
        Err(error) => {
            terminal::complain(&*error);
            ExitCode::from(args::EXIT_FAILED)
        }
    }
}
