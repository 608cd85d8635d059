//! `hardtack init`: the folder of a server, made, interrupted, made again, and used as its last lines say.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use hardtack_testkit::command::{Serving, Shell, text};

use crate::HARDTACK;

const PARTS: [&str; 7] = [
    ".gitignore",
    "hardtack.store",
    "policies/tools.datalog",
    "policies/cases/tools.toml",
    "hardtack.toml",
    "root.key",
    "root.pub",
];

/// What is done to a part, whose path it is given.
type Spoil = fn(&Path);

/// Every file below a folder, with its bytes.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => drop(found.insert(path.clone(), fs::read(&path).unwrap())),
            }
        }
    }
    found
}

/// What `bash` runs, in the shell's folder, with the command in its path.
fn bash(shell: &Shell, script: &str) -> Command {
    let folder = Path::new(HARDTACK).parent().unwrap();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let mut bash = Command::new("bash");
    bash.args(["-c", script]).env("PATH", path).current_dir(shell.path());
    bash.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    bash
}

/// The lines that are to be pasted, under each heading.
fn steps(said: &str) -> Vec<String> {
    let mut steps = Vec::new();
    for part in said.split("\n\n").skip(1) {
        let lines: Vec<&str> =
            part.lines().skip(1).take_while(|line| line.starts_with("  ")).collect();
        steps.push(lines.join("\n"));
    }
    steps.retain(|step| !step.is_empty());
    steps
}

#[test]
fn a_new_folder_has_all_that_a_gateway_needs_and_no_secret_that_others_can_read() {
    let shell = Shell::new(HARDTACK);
    let said = shell.ok("init tools", "");
    let folder = shell.path().join("tools");
    for part in PARTS {
        assert!(said.contains(&format!("made     {part}\n")), "{part}: {said}");
        assert!(folder.join(part).is_file(), "{part}");
    }
    for part in ["root.key", "hardtack.store", "hardtack.store.journal"] {
        let mode = fs::metadata(folder.join(part)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{part}");
    }
    assert_eq!(
        shell.ok("pubkey tools/root.key", ""),
        fs::read_to_string(folder.join("root.pub")).unwrap()
    );
    let private = fs::read_to_string(folder.join("root.key")).unwrap();
    assert!(!said.contains(private.trim().rsplit('/').next().unwrap()));
    let tested = shell.ok("policy test tools/policies", "");
    assert!(tested.contains("passed") && tested.contains("4 as expected"), "{tested}");
    assert!(!tested.contains("no case uses"), "{tested}");
    assert!(shell.ok("policy lint tools/policies", "").contains("no finding"));
    assert!(files(&folder).keys().all(|path| !path.to_string_lossy().contains("-new-")));
}

#[test]
fn what_git_would_take_has_no_secret() {
    let shell = Shell::new(HARDTACK);
    shell.ok("init .", "");
    shell.ok("mint --key root.key --subject user:a --scope a:b --new-holder a.key", "");
    shell.write("a.token", "x");
    let script = "git init -q . && git add . && git ls-files";
    let output = bash(&shell, script).output().unwrap();
    let listed = text(&output.stdout);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let mut taken: Vec<&str> = listed.lines().collect();
    taken.sort_unstable();
    assert_eq!(
        taken,
        [
            ".gitignore",
            "hardtack.toml",
            "policies/cases/tools.toml",
            "policies/tools.datalog",
            "root.pub"
        ]
    );
}

#[test]
fn the_printed_steps_work_as_they_stand() {
    let shell = Shell::new(HARDTACK);
    let folder = "my tools; it's here";
    let said = text(
        &shell
            .run(
                &[
                    "init",
                    folder,
                    "--audience",
                    "notion.mcp",
                    "--upstream",
                    "http://127.0.0.1:9/mcp",
                ],
                "",
            )
            .stdout,
    );
    let steps = steps(&said);
    assert_eq!(steps.len(), 3, "{said}");
    for line in steps.iter().flat_map(|step| step.lines()) {
        assert!(line.len() <= 80, "{line}");
    }
    let output = bash(&shell, &format!("set -euo pipefail\n{}", steps[0])).output().unwrap();
    assert!(output.status.success(), "{}\n{}", steps[0], text(&output.stderr));
    assert!(text(&output.stdout).contains("allowed"), "{}", text(&output.stdout));

    // A free port instead of the usual one, which another test may have.
    let settings = shell.path().join(folder).join("hardtack.toml");
    let written = fs::read_to_string(&settings).unwrap();
    let other = written.replace("127.0.0.1:8080", "127.0.0.1:0");
    assert_ne!(written, other);
    fs::write(&settings, other).unwrap();
    let cd = steps[0].lines().next().unwrap();
    let tested = steps[1].lines().next().unwrap();
    let output = bash(&shell, &format!("set -e\n{cd}\n{tested}")).output().unwrap();
    assert!(output.status.success(), "{tested}: {}", text(&output.stderr));
    let gateway = steps[2].trim();
    let serving = Serving::start(bash(&shell, &format!("{cd}\nexec {gateway}")));
    assert!(serving.url.starts_with("http://127.0.0.1:"), "{}", serving.url);
}

#[test]
fn a_second_run_changes_nothing_and_says_so() {
    let shell = Shell::new(HARDTACK);
    shell.ok("init tools --audience notion.mcp", "");
    let before = files(&shell.path().join("tools"));
    let said = shell.ok("init tools --audience other.mcp", "");
    assert_eq!(files(&shell.path().join("tools")), before);
    for part in PARTS {
        assert!(said.contains(&format!("is there {part}\n")), "{part}: {said}");
    }
    assert!(said.contains("--audience notion.mcp") && !said.contains("other.mcp"), "{said}");
    assert!(said.contains("note     --audience was not heeded: hardtack.toml was there"), "{said}");
    for line in ["init tools", "init tools --audience notion.mcp"] {
        let said = shell.ok(line, "");
        assert!(!said.contains("not heeded"), "{line}: {said}");
    }
}

#[test]
fn what_was_there_before_is_kept_and_an_interrupted_run_is_finished() {
    for kept in 0..PARTS.len() {
        let shell = Shell::new(HARDTACK);
        shell.ok("init tools", "");
        let folder = shell.path().join("tools");
        // As if it had been interrupted before the last of them.
        for part in &PARTS[kept..] {
            fs::remove_file(folder.join(part)).unwrap();
            if *part == "hardtack.store" {
                fs::remove_file(folder.join("hardtack.store.journal")).unwrap();
                fs::remove_file(folder.join("hardtack.store.checkpoint")).unwrap();
            }
        }
        let before = files(&folder);
        let said = shell.ok("init tools", "");
        for (number, part) in PARTS.iter().enumerate() {
            let word = if number < kept { "is there" } else { "made    " };
            assert!(said.contains(&format!("{word} {part}\n")), "{kept} {part}: {said}");
        }
        let after = files(&folder);
        for (path, bytes) in
            before.iter().filter(|(path, _)| !path.ends_with("hardtack.store.journal"))
        {
            assert_eq!(after.get(path), Some(bytes), "{kept} {}", path.display());
        }
    }
}

#[test]
fn a_lost_store_is_not_replaced_by_one_that_knows_no_revocation() {
    let shell = Shell::new(HARDTACK);
    shell.ok("init tools", "");
    for part in ["hardtack.store", "hardtack.store.journal", "hardtack.store.checkpoint"] {
        fs::remove_file(shell.path().join("tools").join(part)).unwrap();
    }
    let before = files(&shell.path().join("tools"));
    let output = shell.run("init tools", "");
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("missing  hardtack.store: a new store would have forgotten"), "{said}");
    assert_eq!(files(&shell.path().join("tools")), before);
}

#[test]
fn a_root_key_that_is_kept_elsewhere_is_not_replaced() {
    let shell = Shell::new(HARDTACK);
    shell.ok("init tools", "");
    fs::rename(shell.path().join("tools/root.key"), shell.path().join("kept.key")).unwrap();
    let output = shell.run("init tools", "");
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stdout));
    assert!(text(&output.stdout).contains("missing  root.key: only its public half is here"));
    assert!(!shell.path().join("tools/root.key").exists());
    // Another root beside the old one's public half is found.
    shell.ok("keygen --out tools/root.key", "");
    let output = shell.run("init tools", "");
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stdout).contains("root.pub is not the public half of root.key"));
}

#[test]
fn a_link_is_neither_followed_nor_replaced() {
    let shell = Shell::new(HARDTACK);
    fs::create_dir(shell.path().join("tools")).unwrap();
    std::os::unix::fs::symlink("../victim", shell.path().join("tools/hardtack.toml")).unwrap();
    let output = shell.run("init tools", "");
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("wrong    hardtack.toml: is a link to nothing"), "{said}");
    assert!(steps(&said).is_empty(), "{said}");
    assert!(!shell.path().join("victim").exists());
}

#[test]
fn what_is_there_and_not_usable_is_said_to_be_wrong() {
    let cases: [(&str, Spoil, &str); 8] = [
        ("hardtack.toml", |path| fs::write(path, "no = settings").unwrap(), "no"),
        (
            "hardtack.toml",
            |path| drop((fs::remove_file(path), fs::create_dir(path))),
            "is a folder",
        ),
        (
            "policies/tools.datalog",
            |path| drop((fs::remove_file(path), fs::create_dir(path))),
            "is a folder",
        ),
        ("hardtack.store", |path| fs::write(path, "").unwrap(), "hardtack.store"),
        (
            "hardtack.store",
            |path| fs::remove_file(path.with_extension("store.journal")).unwrap(),
            "journal is missing",
        ),
        ("root.pub", |path| fs::write(path, "garbage").unwrap(), "it is no public key"),
        ("root.key", |path| fs::write(path, "garbage").unwrap(), "is no private key"),
        ("root.key", |path| drop((fs::remove_file(path), fs::create_dir(path))), "is a folder"),
    ];
    for (part, spoil, problem) in cases {
        let shell = Shell::new(HARDTACK);
        shell.ok("init tools", "");
        spoil(&shell.path().join("tools").join(part));
        let before = files(&shell.path().join("tools"));
        let output = shell.run("init tools", "");
        let said = text(&output.stdout);
        assert_eq!(output.status.code(), Some(2), "{part}: {said}");
        let line = said.lines().find(|line| line.starts_with(&format!("wrong    {part}: ")));
        assert!(line.is_some_and(|line| line.contains(problem)), "{part} {problem}: {said}");
        assert_eq!(said.matches("wrong  ").count(), 1, "{part}: {said}");
        assert!(!said.contains(&format!("is there {part}\n")) && steps(&said).is_empty(), "{said}");
        assert_eq!(files(&shell.path().join("tools")), before, "{part}");
    }
}

#[test]
fn policies_of_ones_own_are_not_widened_by_an_example() {
    let shell = Shell::new(HARDTACK);
    fs::create_dir_all(shell.path().join("tools/policies")).unwrap();
    shell.write("tools/policies/own.datalog", "allow if operation(\"a\", \"b\", $r);\n");
    for _ in 0..2 {
        let said = shell.ok("init tools", "");
        assert!(said.contains("is there policies\n") && !said.contains("tools.datalog"), "{said}");
        assert!(!shell.path().join("tools/policies/tools.datalog").exists());
        assert!(!shell.path().join("tools/policies/cases").exists());
    }
}

#[test]
fn a_key_file_that_cannot_be_read_is_named_with_its_cause() {
    let shell = Shell::new(HARDTACK);
    let said = shell.fails("pubkey nofile", "");
    assert_eq!(said.matches("No such file").count(), 1, "{said}");
}

#[test]
fn what_is_wrong_is_said_before_anything_is_made() {
    let shell = Shell::new(HARDTACK);
    for (line, problem) in [
        ("init tools --audience 'two words'", "audience"),
        ("init tools --upstream ftp://a", "upstream"),
        ("init tools --upstream http://user:hunter2@a.example/mcp", "upstream"),
        ("init tools --audience ''", "audience"),
    ] {
        let said = shell.fails(line, "");
        assert!(said.contains(problem) && !said.contains("hunter2"), "{line}: {said}");
        assert!(!shell.path().join("tools").exists(), "{line}");
    }
    shell.write("file", "");
    assert!(shell.fails("init file", "").contains("file is a file, and no folder"));
}

#[test]
fn a_run_that_is_killed_leaves_nothing_half_made() {
    for wait in (0..40).step_by(4) {
        let shell = Shell::new(HARDTACK);
        let mut child = shell.command("init tools").spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(wait));
        let _ = child.kill();
        child.wait().unwrap();
        let key = shell.path().join("tools/root.key");
        let before = fs::read(&key).ok();
        assert!(before.as_ref().is_none_or(|key| key.len() > 64), "{wait}");
        shell.ok("init tools", "");
        assert!(before.is_none() || before == fs::read(&key).ok(), "{wait}");
        assert_eq!(fs::metadata(&key).unwrap().mode() & 0o777, 0o600);
        shell.ok("store check tools/hardtack.store", "");
        shell.ok("policy test tools/policies", "");
    }
}
