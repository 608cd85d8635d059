//! The paths whose instructions `ci/instructions` counts: of fixed tokens, at a fixed time.
//!
//! `instructions PATH` goes a path and prints how many times; what it does outside of [`collected`] is not counted. `-- --test`, as without
//! a path, goes them all. `-- tokens` prints new tokens for `tokens.txt`, which only a change of the wire needs.

mod tokens;

use std::hint::black_box;

use hardtack::revocation::RevocationUnchecked;
use hardtack::{Call, Capability, Cause, Guard, Policy, Presenting, RootKeys, Verifier};

use tokens::{AUDIENCE, NOW, Tokens};

/// How often a path is gone: what differs from time to time, such as hash tables and new keys, differs less in the middle of so many.
const TIMES: usize = 8;

/// As many arguments as the longest chain is still evaluated with; a hundred more are too costly.
const MOST_ALLOWED: usize = 550;

/// A path of this name. What `counted` is not called with is prepared beside.
type Path = (&'static str, fn(&Tokens));

const PATHS: [Path; 12] = [
    ("warm", |tokens| {
        let guard = tokens.knowing();
        each(|_| counted(|| allowed(&guard, &tokens.first, &tokens.call)));
    }),
    ("cold", |tokens| {
        each(|_| {
            let guard = tokens.fresh();
            counted(|| allowed(&guard, &tokens.first, &tokens.call));
        });
    }),
    ("new-presentation", |tokens| {
        let guard = tokens.knowing();
        each(|index| counted(|| allowed(&guard, &tokens.again[index], &tokens.call)));
    }),
    ("new-presentation-call-bound", |tokens| {
        let guard = tokens.knowing();
        each(|index| counted(|| allowed(&guard, &tokens.bound[index], &tokens.call)));
    }),
    ("refused-bad-seal", |tokens| {
        each(|_| {
            let guard = tokens.fresh();
            counted(|| refused(&guard, &tokens.bad_seal, &tokens.call, Cause::Signature));
        });
    }),
    ("refused-wrong-scope", |tokens| {
        let other = Call::tool("delete_page").expect("a call");
        each(|_| {
            let guard = tokens.fresh();
            counted(|| refused(&guard, &tokens.first, &other, Cause::NotGranted));
        });
    }),
    // The two costliest of `tests/hostile`, with the reading of the call: what its 5 ms are about.
    ("worst-allowed", |tokens| {
        let arguments = tokens::large_arguments(MOST_ALLOWED);
        each(|_| {
            let guard = tokens.fresh();
            counted(|| allowed(&guard, &tokens.longest, &called(&arguments)));
        });
    }),
    ("worst-refused", |tokens| {
        let arguments = tokens::large_arguments(1000);
        each(|_| {
            let guard = tokens.fresh();
            counted(|| refused(&guard, &tokens.asking, &called(&arguments), Cause::TooCostly));
        });
    }),
    ("delegate", |tokens| {
        each(|_| counted(|| tokens.delegate(&parsed(&tokens.parent))));
    }),
    ("delegate-parent-checked", |tokens| {
        let parent = parsed(&tokens.parent);
        tokens.delegate(&parent);
        each(|_| counted(|| tokens.delegate(&parent)));
    }),
    ("present", |tokens| {
        each(|_| counted(|| present(&parsed(&tokens.last))));
    }),
    ("present-parent-checked", |tokens| {
        let last = parsed(&tokens.last);
        present(&last);
        each(|_| counted(|| present(&last)));
    }),
];

fn main() {
    // `cargo bench` says `--bench` behind what it was told.
    let asked = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    match asked.as_deref() {
        Some("tokens") => print!("{}", tokens::written()),
        Some("paths") => PATHS.iter().for_each(|(name, _)| println!("{name}")),
        Some(asked) => {
            let path = PATHS.iter().find(|(name, _)| *name == asked);
            let (_, path) = path.unwrap_or_else(|| panic!("no path is called {asked}"));
            path(&Tokens::read());
            println!("{TIMES}");
        }
        None => {
            let tokens = Tokens::read();
            PATHS.iter().for_each(|(_, path)| path(&tokens));
            println!("{} paths can be gone", PATHS.len());
        }
    }
}

fn each(one: impl FnMut(usize)) {
    (0..TIMES).for_each(one);
}

fn counted(mut path: impl FnMut()) {
    collected(&mut path);
}

/// Where callgrind collects, by this name.
#[inline(never)]
fn collected(path: &mut dyn FnMut()) {
    path();
    // Something behind it, or the call above would be a jump, after which nobody sees where the function ended.
    black_box(());
}

fn allowed(guard: &Guard, bearer: &str, call: &Call) {
    black_box(guard.check(black_box(bearer), call, NOW)).expect("allowed");
}

/// Refused for this cause: what is counted must be the refusal that is meant.
fn refused(guard: &Guard, bearer: &str, call: &Call, cause: Cause) {
    let denial = black_box(guard.check(black_box(bearer), call, NOW)).expect_err("refused");
    assert_eq!(denial.cause(), cause);
}

fn called(arguments: &str) -> Call {
    let call = Call::tool("search").and_then(|call| call.arguments(black_box(arguments)));
    call.expect("a call")
}

fn parsed(text: &str) -> Capability {
    Capability::parse(black_box(text)).expect("a token")
}

fn present(last: &Capability) {
    let presented = last.present(Presenting::to(AUDIENCE), &tokens::key(4), NOW);
    black_box(presented.expect("a presentation"));
}

impl Tokens {
    /// A guard that has met one token of another chain, so that what is done once in its life is done.
    fn fresh(&self) -> Guard {
        let roots = RootKeys::of(tokens::key(0).public());
        let verifier = Verifier::new(roots, AUDIENCE, RevocationUnchecked).expect("a verifier");
        let guard = Guard::unrecorded(verifier, Policy::builtin());
        allowed(&guard, &self.other, &self.call);
        guard
    }

    /// One that knows the chain, by its first presentation.
    fn knowing(&self) -> Guard {
        let guard = self.fresh();
        allowed(&guard, &self.first, &self.call);
        guard
    }

    /// The third hop, from a capability to text.
    fn delegate(&self, parent: &Capability) {
        let part = parent.delegate(tokens::hop(3), &tokens::key(3), NOW);
        black_box(part.expect("a hop").to_base64());
    }
}
