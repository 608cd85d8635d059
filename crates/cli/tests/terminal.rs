//! What people see: every verb on a terminal of 60, 80 and 120 columns, with and without colour.

#![cfg(unix)]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

const HARDTACK: &str = env!("CARGO_BIN_EXE_hardtack");

const WIDTHS: [u16; 3] = [60, 80, 120];

/// The widest line of an example: no help is narrower, so that none is broken.
const WIDEST_EXAMPLE: usize = 60;

/// What a command writes to a terminal of so many columns.
fn on_a_terminal(command: &mut Command, columns: u16) -> String {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let size = Winsize { ws_row: 50, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&ours, size).unwrap();
    let name = ptsname(&ours, Vec::new()).unwrap();
    let theirs = rustix::fs::open(&name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
    let mut child = command
        .env("TERM", "xterm")
        .env_remove("COLUMNS")
        .stdout(Stdio::from(theirs.try_clone().unwrap()))
        .stderr(Stdio::from(theirs))
        .spawn()
        .unwrap();
    // What holds the other end of the terminal goes, so that it ends when the command does.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut shown = Vec::new();
    let mut ours = File::from(ours);
    let mut part = [0; 4096];
    // Linux says EIO when nobody has the other end any more.
    while let Ok(read @ 1..) = ours.read(&mut part) {
        shown.extend(&part[..read]);
    }
    child.wait().unwrap();
    String::from_utf8(shown).unwrap().replace("\r\n", "\n")
}

fn hardtack(arguments: &[&str]) -> Command {
    let mut command = Command::new(HARDTACK);
    command.args(arguments).stdin(Stdio::null());
    command
}

fn piped(command: &mut Command) -> Output {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn help(verb: &[String], flag: &str) -> Command {
    let mut command = hardtack(&[]);
    command.args(verb).arg(flag).env("NO_COLOR", "1");
    command
}

/// The command itself and all that is below it.
fn verbs(verb: Vec<String>) -> Vec<Vec<String>> {
    let shown = text(&piped(&mut help(&verb, "--help")).stdout);
    let listed = shown.split_once("\nCommands:\n").map_or("", |(_, listed)| listed);
    let names = listed.lines().take_while(|line| !line.is_empty());
    let names = names.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names =
        names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help");
    let below = names.flat_map(|name| verbs([verb.clone(), vec![name.to_owned()]].concat()));
    let below: Vec<_> = below.collect();
    [vec![verb], below].concat()
}

/// The examples of a help, each with all its lines.
fn examples(shown: &str) -> Vec<Vec<&str>> {
    let mut examples: Vec<Vec<&str>> = Vec::new();
    let mut goes_on = false;
    for line in shown.lines() {
        if line.starts_with("  hardtack ") {
            examples.push(vec![line]);
        } else if goes_on {
            examples.last_mut().unwrap().push(line);
        }
        let example = examples.last().map_or(String::new(), |lines| lines.join("\n"));
        goes_on = line.ends_with('\\')
            || (goes_on || line.starts_with("  hardtack ")) && is_open(&example);
    }
    examples
}

/// Whether a quotation is not ended in it.
fn is_open(example: &str) -> bool {
    example.matches('\'').count() % 2 == 1
}

fn words(shown: &str) -> Vec<&str> {
    shown.split_whitespace().collect()
}

#[test]
fn no_help_is_wider_than_the_terminal_and_examples_can_be_pasted() {
    let verbs = verbs(Vec::new());
    assert!(verbs.len() > 25, "{verbs:?}");
    for verb in &verbs {
        for flag in ["--help", "-h"] {
            let plain = text(&piped(&mut help(verb, flag)).stdout);
            let given = examples(&plain);
            assert!(verb.is_empty() || !given.is_empty(), "{verb:?} has no example");
            for columns in WIDTHS {
                let shown = on_a_terminal(&mut help(verb, flag), columns);
                for line in shown.lines() {
                    let width = line.chars().count();
                    assert!(width <= columns.into(), "{verb:?} at {columns}: {line}\n{shown}");
                    let is_whole = line.matches('`').count() % 2 == 0;
                    assert!(is_whole, "{verb:?} at {columns} breaks a command: {line}");
                }
                // A usage is broken between what can be chosen, too.
                let [is, should] = [&shown, &plain].map(|text| text.replace('|', "| "));
                assert_eq!(words(&is), words(&should), "{verb:?} at {columns}");
                assert_eq!(examples(&shown), given, "{verb:?} at {columns}");
            }
            for example in &given {
                assert!(example.iter().all(|line| line.len() <= WIDEST_EXAMPLE), "{example:#?}");
                let first = example[0];
                // A shell that is given the first line alone waits for the rest.
                assert!(example.len() == 1 || first.ends_with('\\'), "{example:#?}");
                assert!(!is_open(&example.join("\n")), "{example:#?}");
            }
        }
    }
}

#[test]
fn an_example_does_not_empty_what_was_made_before() {
    for verb in verbs(Vec::new()) {
        let shown = text(&piped(&mut help(&verb, "--help")).stdout);
        for example in examples(&shown) {
            let example = example.join("\n");
            // Both refuse a file that is there, and the shell has emptied the other one by then.
            let refuses = example.contains("keygen --out") || example.contains("--new-holder");
            assert!(!refuses || !example.contains(" > ") || example.contains("&&"), "{example}");
        }
    }
}

/// A folder with a chain of two hops, a store that has seen it, and a set of policies.
struct Scene(tempfile::TempDir);

impl Scene {
    fn set() -> Scene {
        let scene = Scene(tempfile::tempdir().unwrap());
        scene.sh(
            r#"set -e
hardtack keygen --out root.key > root.pub
hardtack keygen --out a.key > a.pub
hardtack keygen --out b.key > b.pub
hardtack mint --key root.key --subject user:alice --scope 'tools:call:*' --holder @a.pub > grant.token
hardtack delegate --key a.key --to agent.researcher --scope tools:call:search tools:call:pay \
    --allow 'amount? <= 100' --reason 'find the roadmap page and pay for what stands on it' \
    --holder @b.pub < grant.token > researcher.token
hardtack delegate --key b.key --to agent.reader --scope tools:call:search \
    --reason 'read it aloud and sum it up in three sentences' --new-holder c.key < researcher.token > reader.token
hardtack present --key b.key --audience notion.mcp < researcher.token > bearer.token
hardtack present --key c.key --audience notion.mcp < reader.token > reader-bearer.token
hardtack store create hardtack.store
for token in bearer.token reader-bearer.token; do
    for operation in search pay; do
        hardtack check --root @root.pub --audience notion.mcp --store hardtack.store \
            --operation tools:call:$operation < $token || true
    done
done
hardtack check --root @root.pub --audience mail.mcp --store hardtack.store \
    --operation tools:call:search < bearer.token || true
hardtack revoke --store hardtack.store --holder @b.pub --reason 'laptop stolen at the airport' --by user:alice
mkdir set
cat > set/p.datalog <<'END'
allow if tool("search"), granted($op);
allow if tool("pay"), granted($op), role("clerk"), arg("amount", $a), $a.type() == "integer", $a >= 1, $a <= 500;
allow if tool("send"), granted($op), colleague($who), arg("to", $who), arg("subject", $s), $s.length() <= 80;
END
cat > operations <<'END'
tools:call:search
tools:call:pay
resources:read https://notion.example/workspace/a-page-with-a-long-name
END
"#,
        );
        scene
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn sh(&self, script: &str) -> Output {
        let output = shell(self.path(), script);
        assert!(output.status.success(), "{}", text(&output.stderr));
        output
    }

    fn typed(&self, line: &str, colour: bool) -> Command {
        let (line, input) = line.split_once(" < ").unwrap_or((line, "/dev/null"));
        let mut command = Command::new(HARDTACK);
        let words: Vec<&str> = line.split(' ').collect();
        command.args(words).current_dir(self.path());
        command.stdin(File::open(self.path().join(input)).unwrap());
        match colour {
            true => command.env_remove("NO_COLOR"),
            false => command.env("NO_COLOR", "1"),
        };
        command
    }
}

/// Runs a script in which `hardtack` is the command under test.
fn shell(folder: &Path, script: &str) -> Output {
    let commands = Path::new(HARDTACK).parent().unwrap();
    let path = std::env::join_paths(
        [commands.to_owned()]
            .into_iter()
            .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    );
    let mut command = Command::new("sh");
    command
        .args(["-c", script])
        .env("PATH", path.unwrap())
        .current_dir(folder)
        .stdin(Stdio::null());
    piped(&mut command)
}

fn unstyled(shown: &str) -> String {
    let mut parts = shown.split("\u{1b}[");
    let first = parts.next().unwrap().to_owned();
    parts.fold(first, |text, part| text + part.split_once('m').unwrap().1)
}

/// The words of what was shown, without guides of trees, and without what the clock changes.
fn lasting_words(shown: &str) -> Vec<&str> {
    let is_time = |word: &str| {
        let word = word.trim_start_matches(['(', '+']);
        let digits = word.trim_start_matches(|c: char| c.is_ascii_digit());
        digits.len() < word.len() && ["ms", "s", "m", "h"].contains(&digits)
            || word.parse::<u64>().is_ok()
            || word.starts_with("20") && word.contains('T')
    };
    // A usage is shorter in a pipe: it says which options are used already.
    let said = shown.split("\nUsage:").next().unwrap();
    words(said).into_iter().filter(|word| *word != "│" && !is_time(word)).collect()
}

/// What is wider than the terminal: a single word, which people copy.
fn assert_fits(what: &str, shown: &str, columns: u16) {
    for line in shown.lines() {
        let width = line.chars().count();
        let is_copied = words(line).len() == 1 && !line.starts_with(' ');
        assert!(width <= columns.into() || is_copied, "{what} at {columns}: {line}\n{shown}");
    }
}

#[test]
fn what_verbs_say_is_broken_between_words_and_says_the_same() {
    let scene = Scene::set();
    let deciding = "--root @root.pub --audience notion.mcp --policies set";
    let lines = [
        "inspect < reader-bearer.token".to_owned(),
        format!(
            "check {deciding} --operation tools:call:pay --arg amount=250 --explain < bearer.token"
        ),
        format!(
            "check {deciding} --operation tools:call:pay --arg amount=250 --explain=full < bearer.token"
        ),
        format!("check {deciding} --operation tools:call:delete_page < bearer.token"),
        format!("can {deciding} --operations operations < bearer.token"),
        "revocations --store hardtack.store".to_owned(),
        "revocations --store hardtack.store --tree".to_owned(),
        "revoke --store hardtack.store --agent agent.reader --reason lost --dry-run".to_owned(),
        "audit --store hardtack.store".to_owned(),
        "audit verify --store hardtack.store".to_owned(),
        "store check hardtack.store".to_owned(),
        "policy test set".to_owned(),
        // What is wrong is said by the width, too.
        "store create hardtack.store".to_owned(),
        "audit --store hardtack.store --since whenever".to_owned(),
        "revoke --store hardtack.store".to_owned(),
    ];
    for line in &lines {
        let output = piped(&mut scene.typed(line, false));
        let plain = text(&output.stderr) + &text(&output.stdout);
        for columns in WIDTHS {
            for colour in [false, true] {
                let shown = on_a_terminal(&mut scene.typed(line, colour), columns);
                assert_eq!(shown.contains('\u{1b}'), colour, "{line}: {shown:?}");
                let shown = unstyled(&shown);
                assert_fits(line, &shown, columns);
                assert_eq!(lasting_words(&shown), lasting_words(&plain), "{line} at {columns}");
            }
        }
    }
}

#[test]
fn a_line_of_a_policy_is_cut_rather_than_broken() {
    let scene = Scene::set();
    for columns in WIDTHS {
        let shown = on_a_terminal(&mut scene.typed("policy lint set", false), columns);
        assert_fits("policy lint", &shown, columns);
        // What it points at stands above the mark.
        let lines: Vec<&str> = shown.lines().collect();
        let mark = lines.iter().position(|line| line.contains("^^^")).unwrap();
        let at = lines[mark].find('^').unwrap();
        assert!(lines[mark - 1][at..].starts_with("colleague"), "{shown}");
    }
}

#[test]
fn the_demonstrations_fit_and_explain_their_words() {
    for line in ["demo", "demo --mcp"] {
        for (columns, colour) in [(60, true), (60, false), (80, true), (80, false), (120, false)] {
            let mut command = hardtack(&line.split(' ').collect::<Vec<_>>());
            match colour {
                true => command.env_remove("NO_COLOR"),
                false => command.env("NO_COLOR", "1"),
            };
            let shown = unstyled(&on_a_terminal(&mut command, columns));
            assert_fits(line, &shown, columns);
            let said = words(&shown).join(" ");
            let at = |text: &str| said.find(text).unwrap_or_else(|| panic!("{text}: {shown}"));
            // Each is explained where it comes first, and comes later.
            assert!(at("block 3 what is presented") < said.rfind("block ").unwrap());
            let explained =
                at("“(as the token says)”, the token was refused before all of it was verified");
            assert!(explained < said.rfind("(as the token says)").unwrap());
            if line == "demo" {
                at("the root of their tree is signed:");
                at("The root is one hash over all records.");
            }
        }
    }
}

#[test]
fn the_signs_of_an_explanation_are_said_on_one_line() {
    let scene = Scene::set();
    let line = "check --root @root.pub --audience notion.mcp --operation tools:call:pay --explain=full < bearer.token";
    let shown = on_a_terminal(&mut scene.typed(line, false), 60);
    let signs = "signs      + holds, x refuses, . has no say, ? not reached";
    assert!(shown.lines().any(|line| line == signs), "{shown}");
}

#[test]
fn a_pipe_and_a_terminal_without_a_width_get_whole_lines() {
    let scene = Scene::set();
    let line = "audit --store hardtack.store";
    let plain = text(&piped(&mut scene.typed(line, false)).stdout);
    assert!(plain.lines().any(|line| line.len() > 120), "{plain}");
    for columns in [0, 39] {
        assert_eq!(on_a_terminal(&mut scene.typed(line, false), columns), plain);
    }
    let narrow = on_a_terminal(&mut scene.typed(line, false), 40);
    assert_fits(line, &narrow, 40);
    // The terminal decides, and no variable.
    let shown = on_a_terminal(scene.typed(line, false).env("COLUMNS", "40"), 120);
    assert_ne!(shown, narrow);
    for line in ["audit --store hardtack.store --json", "inspect --json < bearer.token"] {
        let plain = text(&piped(&mut scene.typed(line, false)).stdout);
        assert_eq!(on_a_terminal(&mut scene.typed(line, false), 60), plain, "{line}");
    }
}

/// The files of a folder, by their names.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

#[test]
fn what_the_readme_types_can_be_typed_again() {
    let readme = fs::read_to_string(hardtack_testkit::repository("README.md")).unwrap();
    let (_, block) = readme.split_once("## On the command line\n\n```sh\n").unwrap();
    let (block, _) = block.split_once("```").unwrap();
    let block = block.strip_prefix("cargo install --path crates/cli\n").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let first = shell(folder.path(), &format!("set -e\n{block}"));
    assert!(first.status.success(), "{}", text(&first.stderr));
    let before = files(folder.path());
    shell(folder.path(), block);
    let after = files(folder.path());
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
    for (path, bytes) in &after {
        let name = path.file_name().unwrap().to_str().unwrap();
        if name.ends_with(".key") || name.ends_with(".pub") {
            assert_eq!(bytes, &before[path], "{name}");
        }
        assert!(!bytes.is_empty(), "{name} was emptied");
        if name.ends_with(".token") {
            let output = piped(&mut hardtack(&["inspect", path.to_str().unwrap()]));
            assert!(output.status.success(), "{name}: {}", text(&output.stderr));
        }
    }
}
