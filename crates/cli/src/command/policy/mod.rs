//! `hardtack policy`

mod eval;
mod junit;
pub(in crate::command) mod lint;
mod replay;
mod replaying;
mod test;
mod tools;

use crate::args::policy::{Policy, PolicyTask};
use crate::terminal::Done;

pub(crate) fn run(arguments: &Policy) -> Done {
    match &arguments.task {
        PolicyTask::Test(arguments) => test::run(arguments),
        PolicyTask::Eval(arguments) => eval::run(arguments),
        PolicyTask::Lint(arguments) => lint::run(arguments),
        PolicyTask::Replay(arguments) => replay::run(arguments),
    }
}
