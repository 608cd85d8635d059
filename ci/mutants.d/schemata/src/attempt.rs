//! Tries the changes: for each, the tests that reach it, until one fails.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::place::Change;
use crate::tests::{Bench, End, Test, limit};

/// How many tests that noticed neighbours are tried before the others.
const NEIGHBOURS: usize = 8;

/// Tests that take less are run several in a process, so many at once.
const QUICK: Duration = Duration::from_millis(60);
const TOGETHER: usize = 20;

/// Tries these changes and appends to `results` what came of each. `before` says which test noticed which change earlier.
pub fn attempt(
    changes: &[&Change],
    before: &[(&Change, String)],
    tests: &[Test],
    reaching: &HashMap<u32, Vec<usize>>,
    budget: Duration,
    jobs: usize,
    scratch: &Path,
    results: &File,
) -> Vec<Value> {
    let at = AtomicUsize::new(0);
    let done: Mutex<Vec<Value>> = Mutex::default();
    let mut noticed_before = Noticed::default();
    for (change, by) in before {
        if let Some(by) = tests.iter().position(|test| test.full == *by) {
            noticed_before.note(change, by, &tests[by]);
        }
    }
    let noticed_by = Mutex::new(noticed_before);
    std::thread::scope(|scope| {
        for job in 0..jobs {
            let (at, done, noticed_by) = (&at, &done, &noticed_by);
            scope.spawn(move || {
                let bench = Bench::new(scratch.join(format!("{job}"))).expect("a folder for scratch files");
                loop {
                    let next = at.fetch_add(1, Ordering::Relaxed);
                    let Some(change) = changes.get(next) else { break };
                    let begun = Instant::now();
                    let none = Vec::new();
                    let reached_by = reaching.get(&change.number).unwrap_or(&none);
                    let order = noticed_by.lock().expect("nobody panics").order(change, reached_by, tests);
                    let (came, by) = try_one(&bench, change, tests, &order, budget);
                    if let Some(by) = by {
                        noticed_by.lock().expect("nobody panics").note(change, by, &tests[by]);
                    }
                    let result = json!({
                        "change": change.name, "number": change.number, "line": change.line, "file": change.file,
                        "came": came, "by": by.map(|by| &tests[by].full), "reached_by": reached_by.len(),
                        "milliseconds": begun.elapsed().as_millis() as u64,
                    });
                    if let Err(error) = (&*results).write_all(format!("{result}\n").as_bytes()) {
                        eprintln!("the results cannot be written: {error}");
                    }
                    let mut done = done.lock().expect("nobody panics");
                    done.push(result);
                    if done.len() % 100 == 0 {
                        eprintln!("{} of {}", done.len(), changes.len());
                    }
                }
            });
        }
    });
    done.into_inner().unwrap_or_default()
}

/// What noticed the changes so far.
#[derive(Default)]
struct Noticed {
    /// The last tests, by function and by file.
    last: HashMap<String, VecDeque<usize>>,
    /// How many changes of a file the tests of a module noticed.
    modules: HashMap<(String, String), u128>,
}

impl Noticed {
    fn keys(change: &Change) -> [String; 2] {
        [format!("{}: {}", change.file, change.function), change.file.clone()]
    }

    fn note(&mut self, change: &Change, by: usize, test: &Test) {
        for key in Self::keys(change) {
            let last = self.last.entry(key).or_default();
            last.retain(|other| *other != by);
            last.push_front(by);
            last.truncate(NEIGHBOURS);
        }
        *self.modules.entry((change.file.clone(), test.module().to_owned())).or_default() += 1;
    }

    /// First what noticed changes of the same function, then of the same file, then the others: the less one takes for what
    /// its module noticed in this file, the earlier.
    fn order(&self, change: &Change, reached_by: &[usize], tests: &[Test]) -> Vec<usize> {
        let mut order: Vec<usize> = Vec::new();
        for key in Self::keys(change) {
            for neighbour in self.last.get(&key).into_iter().flatten() {
                let is_quick = tests[*neighbour].takes < QUICK * 3;
                if is_quick && reached_by.contains(neighbour) && !order.contains(neighbour) {
                    order.push(*neighbour);
                }
            }
        }
        let mut others: Vec<usize> =
            reached_by.iter().filter(|test| !order.contains(test)).copied().collect();
        others.sort_by_cached_key(|test| {
            let key = (change.file.clone(), tests[*test].module().to_owned());
            let noticed = self.modules.get(&key).copied().unwrap_or_default();
            (tests[*test].takes.as_micros().max(10_000) / (1 + noticed), tests[*test].reaches.len())
        });
        order.extend(others);
        order
    }
}

fn try_one(
    bench: &Bench,
    change: &Change,
    tests: &[Test],
    order: &[usize],
    budget: Duration,
) -> (&'static str, Option<usize>) {
    if order.is_empty() {
        return ("not reached", None);
    }
    let begun = Instant::now();
    let mut at = 0;
    while at < order.len() {
        if begun.elapsed() > budget {
            bench.clear();
            return ("missed within the budget", None);
        }
        // One at a time those that noticed neighbours, and then some of one program together.
        let first = &tests[order[at]];
        let mut together = vec![order[at]];
        if at >= NEIGHBOURS {
            let same = order[at + 1..].iter().take_while(|other| {
                tests[**other].program == first.program
                    && tests[**other].takes < QUICK
                    && first.takes < QUICK
            });
            together.extend(same.take(TOGETHER - 1));
        }
        at += together.len();
        let group: Vec<&Test> = together.iter().map(|test| &tests[*test]).collect();
        match bench.run(&group, Some(change.number), None, limit(&group)) {
            Ok(End::Passed) => {}
            Ok(End::TookTooLong) => {
                bench.clear();
                return ("took too long", Some(together[0]));
            }
            Ok(End::Failed(names)) => {
                let failed = together
                    .iter()
                    .find(|test| names.contains(&tests[**test].name))
                    .unwrap_or(&together[0]);
                // What fails once may fail for the machine's sake.
                let again = &tests[*failed];
                bench.clear();
                match bench.run(&[again], Some(change.number), None, limit(&[again])) {
                    Ok(End::Passed) => eprintln!(
                        "failed once and passed once, with {}: {}",
                        change.name, again.full
                    ),
                    _ => return ("noticed", Some(*failed)),
                }
            }
            Err(error) => eprintln!("{}: {error}", first.full),
        }
    }
    bench.clear();
    ("missed", None)
}
