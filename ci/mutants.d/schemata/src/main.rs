//! Changes the source in all places at once, each change behind a switch, and sees which of them a test notices.
//!
//! `ci/mutants` says how it is used.

mod attempt;
mod compile;
mod find;
mod place;
mod syntax;
mod tests;
mod tree;
mod tried;
mod values;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::place::Change;
use crate::tree::Tree;
use crate::tried::Tried;

/// What `ci/mutants` hands over.
struct Asked {
    list: bool,
    goes_on: bool,
    /// Not what was missed the last time by all tests that reach it.
    rest: bool,
    /// Not the files that are, byte for byte, what they were when all their changes were tried.
    changed: bool,
    jobs: usize,
    budget: Duration,
    longest: Duration,
    /// The files that are changed.
    all: Vec<String>,
    /// Those of them whose changes are tried.
    only: BTreeMap<String, usize>,
}

fn asked() -> Result<Asked, String> {
    let mut asked = Asked {
        list: false,
        goes_on: false,
        rest: false,
        changed: false,
        jobs: 2,
        budget: Duration::from_secs(60),
        longest: Duration::from_secs(20),
        all: Vec::new(),
        only: BTreeMap::new(),
    };
    let mut is_only = false;
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut number = || {
            args.next()
                .and_then(|value| value.parse::<u64>().ok())
                .ok_or(format!("{arg} takes a number"))
        };
        match arg.as_str() {
            "--list" => asked.list = true,
            "--continue" => (asked.goes_on, asked.rest) = (true, true),
            "--again" => asked.goes_on = true,
            "--changed" => asked.changed = true,
            "--jobs" => asked.jobs = number()? as usize,
            "--budget" => asked.budget = Duration::from_secs(number()?),
            "--longest" => asked.longest = Duration::from_secs(number()?),
            "--only" => is_only = true,
            unknown if unknown.starts_with("--") => {
                return Err(format!("{unknown} is not known; see the top of ci/mutants"));
            }
            file if is_only => {
                let order = asked.only.len();
                asked.only.entry(file.to_owned()).or_insert(order);
            }
            file => asked.all.push(file.to_owned()),
        }
    }
    Ok(asked)
}

fn main() -> ExitCode {
    match asked().and_then(run) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::from(2)
        }
    }
}

fn run(asked: Asked) -> Result<bool, String> {
    let begun = Instant::now();
    let said = |error: std::io::Error| error.to_string();
    let here = std::env::current_dir().map_err(said)?;
    let folder = here.join("target/mutants");
    fs::create_dir_all(&folder).map_err(said)?;
    let folder = folder.canonicalize().map_err(said)?;
    let mut tree = Tree::find(folder.join("tree"), &asked.all)?;
    let mut mine: Vec<Change> = tree
        .changes
        .iter()
        .filter(|change| asked.only.contains_key(&change.file))
        .cloned()
        .collect();
    mine.sort_by_key(|change| asked.only.get(&change.file));
    let record = Tried::read(Path::new("ci/mutants.d/tried"))?;
    if asked.changed {
        mine.retain(|change| !record.knows(&change.file));
    }
    if asked.list {
        let mut count: BTreeMap<&str, usize> = BTreeMap::new();
        for change in &mine {
            *count.entry(&change.file).or_default() += 1;
        }
        count.iter().for_each(|(file, count)| println!("{count:7} {file}"));
        println!("{:7} in all", mine.len());
        println!("{}", record.summary(&asked.all));
        return Ok(true);
    }

    tree.copy().map_err(said)?;
    // What did not compile the last time is not tried again.
    let unviable = folder.join("unviable.json");
    let mut why: BTreeMap<String, String> = fs::read(&unviable)
        .ok()
        .and_then(|known| serde_json::from_slice(&known).ok())
        .unwrap_or_default();
    tree.left_out = tree
        .changes
        .iter()
        .filter(|change| why.contains_key(&change.name))
        .map(|change| change.number)
        .collect();
    let target = folder.join("build");
    let compiled = compile::compile(&mut tree, &target.to_string_lossy());
    let (errors, programs) = compiled?;
    for (number, error) in errors {
        why.insert(tree.changes[number as usize].name.clone(), error);
    }
    fs::write(&unviable, json!(why).to_string()).map_err(said)?;
    println!(
        "{} changes; {} of them do not compile ({} minutes)",
        tree.changes.len(),
        tree.left_out.len(),
        minutes(begun)
    );

    let left_out = fs::read_to_string("ci/mutants.d/left-out").map_err(said)?;
    let left_out: Vec<String> = left_out
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(str::to_owned)
        .collect();
    let scratch = match Path::new("/dev/shm").is_dir() {
        true => PathBuf::from(format!("/dev/shm/mutants-{}", std::process::id())),
        false => folder.join("scratch"),
    };
    fs::create_dir_all(&scratch).map_err(said)?;
    let tests = tests::learn(
        &programs,
        &left_out,
        &folder.join("reached.json"),
        asked.longest,
        asked.jobs,
        &scratch,
    )?;
    let reaching = tests::by_change(&tests);
    let takes: Duration = tests.iter().map(|test| test.takes).sum();
    println!(
        "{} tests, which take {} s one after another ({} minutes)",
        tests.len(),
        takes.as_secs(),
        minutes(begun)
    );

    let results = folder.join("results.jsonl");
    let mut known: BTreeMap<String, Value> = BTreeMap::new();
    if asked.goes_on {
        let lines = fs::read_to_string(&results).unwrap_or_default();
        for result in lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
            known.insert(result["change"].as_str().unwrap_or_default().to_owned(), result);
        }
    } else {
        let _ = fs::remove_file(&results);
    }
    let file = File::options().append(true).create(true).open(&results).map_err(said)?;
    mine.retain(|change| !tree.left_out.contains(&change.number));
    let came = |change: &Change| known.get(&change.name).and_then(|result| result["came"].as_str());
    let mut trying: Vec<&Change> = mine
        .iter()
        .filter(|change| match came(change) {
            Some("noticed" | "took too long") => false,
            Some("missed" | "not reached") => !asked.rest,
            _ => true,
        })
        .collect();
    // First what was not tried at all.
    trying.sort_by_key(|change| came(change).is_some());
    let before: Vec<(&Change, String)> = mine
        .iter()
        .filter_map(|change| Some((change, known.get(&change.name)?["by"].as_str()?.to_owned())))
        .collect();
    let (budget, jobs) = (asked.budget, asked.jobs);
    let tried =
        attempt::attempt(&trying, &before, &tests, &reaching, budget, jobs, &scratch, &file);
    let _ = fs::remove_dir_all(&scratch);
    for result in tried {
        known.insert(result["change"].as_str().unwrap_or_default().to_owned(), result);
    }
    let record = record.with(&mine, &known);
    record.write()?;
    println!("{}", record.summary(&asked.all));
    judge(&mine, &known, begun)
}

fn minutes(begun: Instant) -> u64 {
    begun.elapsed().as_secs().div_ceil(60)
}

/// Whether enough was noticed, and what was not is known with its reason.
fn judge(mine: &[Change], known: &BTreeMap<String, Value>, begun: Instant) -> Result<bool, String> {
    let survivors =
        fs::read_to_string("ci/mutants.d/survivors").map_err(|error| error.to_string())?;
    let survivors: BTreeSet<&str> =
        survivors.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
    let mut count: HashMap<&str, usize> = HashMap::new();
    let mut missed = Vec::new();
    for change in mine {
        let came = known
            .get(&change.name)
            .and_then(|result| result["came"].as_str())
            .unwrap_or("not tried");
        *count.entry(came).or_default() += 1;
        if !matches!(came, "noticed" | "took too long") {
            missed.push((change, came));
        }
    }
    let noticed = mine.len() - missed.len();
    println!(
        "{noticed} of {} changes were noticed ({} minutes): {count:?}",
        mine.len(),
        minutes(begun)
    );
    let files: BTreeSet<&str> = mine.iter().map(|change| change.file.as_str()).collect();
    let names: BTreeSet<&str> = missed.iter().map(|(change, _)| change.name.as_str()).collect();
    for survivor in &survivors {
        if files.iter().any(|file| survivor.starts_with(&format!("{file}: ")))
            && !names.contains(survivor)
        {
            println!("noticed by now, or gone, and still in ci/mutants.d/survivors: {survivor}");
        }
    }
    let unknown: Vec<_> =
        missed.iter().filter(|(change, _)| !survivors.contains(change.name.as_str())).collect();
    if !unknown.is_empty() {
        println!("no test notices these, and ci/mutants.d/survivors gives no reason:");
        unknown
            .iter()
            .for_each(|(change, came)| println!("{} [{came}, line {}]", change.name, change.line));
    }
    Ok(unknown.is_empty() && noticed * 10 >= mine.len() * 9)
}
