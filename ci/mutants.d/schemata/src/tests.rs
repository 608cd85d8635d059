//! The tests: which there are, what each reaches, and whether one notices a change.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::compile::Program;

/// What a test may take with a change in it: so much, and so many times what it takes without.
const GRACE: Duration = Duration::from_secs(10);
const TIMES: u32 = 8;

#[derive(Debug)]
pub struct Test {
    pub program: PathBuf,
    pub package: PathBuf,
    pub name: String,
    /// The program's name and the test's.
    pub full: String,
    pub takes: Duration,
    pub reaches: BTreeSet<u32>,
}

impl Test {
    /// The program's name and the module's.
    pub fn module(&self) -> &str {
        self.full.rsplit_once("::").map_or(&self.full, |(module, _)| module)
    }
}

/// How a run ended.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    Passed,
    /// The tests that failed, as far as they are known.
    Failed(Vec<String>),
    TookTooLong,
}

/// A folder of its own for each who runs tests.
pub struct Bench {
    folder: PathBuf,
}

impl Bench {
    pub fn new(folder: PathBuf) -> std::io::Result<Bench> {
        fs::create_dir_all(&folder)?;
        Ok(Bench { folder })
    }

    /// Empties the folder.
    pub fn clear(&self) {
        let _ = fs::remove_dir_all(&self.folder);
        let _ = fs::create_dir_all(&self.folder);
    }

    /// Runs tests of one program in one process.
    pub fn run(
        &self,
        tests: &[&Test],
        change: Option<u32>,
        reached: Option<&Path>,
        limit: Duration,
    ) -> std::io::Result<End> {
        let out = self.folder.join("out");
        let mut command = Command::new(&tests[0].program);
        command
            .args(["--exact", "--test-threads=1"])
            .args(tests.iter().map(|test| &test.name))
            .current_dir(&tests[0].package)
            .env("CARGO_MANIFEST_DIR", &tests[0].package)
            .env("TMPDIR", &self.folder)
            .env("RUST_BACKTRACE", "0")
            .env_remove("HARDTACK_MUTANT")
            .stdin(Stdio::null())
            .stdout(File::create(&out)?)
            .stderr(Stdio::null())
            .process_group(0);
        if let Some(change) = change {
            command.env("HARDTACK_MUTANT", change.to_string());
        }
        if let Some(reached) = reached {
            command.env("HARDTACK_MUTANT_REACHED", reached);
        }
        let mut child = command.spawn()?;
        let group = rustix::process::Pid::from_child(&child);
        let begun = Instant::now();
        let status: Option<ExitStatus> = loop {
            if let Some(status) = child.try_wait()? {
                break Some(status);
            }
            if begun.elapsed() > limit {
                break None;
            }
            let naps = if begun.elapsed() < Duration::from_millis(50) { 1 } else { 5 };
            std::thread::sleep(Duration::from_millis(naps));
        };
        // With all that it started.
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        match status {
            None => {
                child.wait()?;
                Ok(End::TookTooLong)
            }
            Some(status) if status.success() => Ok(End::Passed),
            Some(_) => {
                let said = fs::read_to_string(&out).unwrap_or_default();
                let failed = said
                    .lines()
                    .filter_map(|line| line.strip_suffix(" ... FAILED")?.strip_prefix("test "));
                Ok(End::Failed(
                    failed
                        .map(|name| name.trim_end_matches(" - should panic").to_owned())
                        .collect(),
                ))
            }
        }
    }
}

/// What these tests may take together.
pub fn limit(tests: &[&Test]) -> Duration {
    GRACE + tests.iter().map(|test| test.takes).sum::<Duration>() * TIMES
}

/// All tests of these programs but those left out and those that take longer than `longest`, with what each reaches. What did not change since the last time is taken from there.
pub fn learn(
    programs: &[Program],
    left_out: &[String],
    remembered: &Path,
    longest: Duration,
    jobs: usize,
    scratch: &Path,
) -> Result<Vec<Test>, String> {
    let known: Value = fs::read(remembered)
        .ok()
        .and_then(|known| serde_json::from_slice(&known).ok())
        .unwrap_or(json!({}));
    let mut asked: Vec<(Test, String)> = Vec::new();
    for program in programs {
        let list = Command::new(&program.path)
            .args(["--list", "--format", "terse"])
            .current_dir(&program.package)
            .output()
            .map_err(|error| error.to_string())?;
        let stamp = fs::metadata(&program.path)
            .and_then(|there| there.modified())
            .map_err(|error| error.to_string())?;
        let stamp = format!("{stamp:?}");
        for name in String::from_utf8_lossy(&list.stdout)
            .lines()
            .filter_map(|line| line.strip_suffix(": test"))
        {
            let full = format!("{}::{name}", program.name);
            if left_out.iter().any(|left_out| full.contains(left_out)) {
                continue;
            }
            let test = Test {
                program: program.path.clone(),
                package: program.package.clone(),
                name: name.to_owned(),
                full,
                takes: Duration::ZERO,
                reaches: BTreeSet::new(),
            };
            asked.push((test, stamp.clone()));
        }
    }
    let at = AtomicUsize::new(0);
    let learnt: Mutex<BTreeMap<usize, Option<(Duration, BTreeSet<u32>)>>> = Mutex::default();
    std::thread::scope(|scope| {
        for job in 0..jobs {
            let (at, learnt, asked, known) = (&at, &learnt, &asked, &known);
            scope.spawn(move || {
                let bench =
                    Bench::new(scratch.join(format!("{job}"))).expect("a folder for scratch files");
                let notes = scratch.join(format!("reached-{job}"));
                loop {
                    let next = at.fetch_add(1, Ordering::Relaxed);
                    let Some((test, stamp)) = asked.get(next) else { break };
                    if next % 100 == 0 {
                        eprintln!("test {next} of {}", asked.len());
                    }
                    let before = &known[&test.full];
                    let result = if before["stamp"] == **stamp {
                        (!before["reaches"].is_null()).then(|| {
                            let reaches = before["reaches"].as_array().into_iter().flatten();
                            (
                                Duration::from_millis(before["takes"].as_u64().unwrap_or_default()),
                                reaches
                                    .filter_map(Value::as_u64)
                                    .map(|number| number as u32)
                                    .collect(),
                            )
                        })
                    } else {
                        let _ = fs::remove_file(&notes);
                        let begun = Instant::now();
                        let end = bench.run(&[test], None, Some(&notes), longest);
                        let takes = begun.elapsed();
                        bench.clear();
                        match end {
                            Ok(End::Passed) => {
                                let noted = fs::read_to_string(&notes).unwrap_or_default();
                                Some((
                                    takes,
                                    noted.lines().filter_map(|line| line.parse().ok()).collect(),
                                ))
                            }
                            end => {
                                eprintln!(
                                    "left out, since unchanged it ends with {end:?}: {}",
                                    test.full
                                );
                                None
                            }
                        }
                    };
                    learnt.lock().expect("nobody panics").insert(next, result);
                }
            });
        }
    });
    let learnt = learnt.into_inner().map_err(|error| error.to_string())?;
    let mut tests = Vec::new();
    let mut remembering = serde_json::Map::new();
    for ((at, result), (mut test, stamp)) in learnt.into_iter().zip(asked) {
        let _ = at;
        let entry = match &result {
            Some((takes, reaches)) => {
                json!({ "stamp": stamp, "takes": takes.as_millis() as u64, "reaches": reaches })
            }
            None => json!({ "stamp": stamp, "reaches": null }),
        };
        remembering.insert(test.full.clone(), entry);
        if let Some((takes, reaches)) = result {
            (test.takes, test.reaches) = (takes, reaches);
            tests.push(test);
        }
    }
    fs::write(remembered, Value::Object(remembering).to_string())
        .map_err(|error| error.to_string())?;
    Ok(tests)
}

/// For each change the tests that reach it, the quickest first, and of those the ones that reach least.
pub fn by_change(tests: &[Test]) -> HashMap<u32, Vec<usize>> {
    let mut by_change: HashMap<u32, Vec<usize>> = HashMap::new();
    for (at, test) in tests.iter().enumerate() {
        for number in &test.reaches {
            by_change.entry(*number).or_default().push(at);
        }
    }
    for reaching in by_change.values_mut() {
        reaching.sort_by_key(|at| (tests[*at].takes.as_millis() / 20, tests[*at].reaches.len()));
    }
    by_change
}
