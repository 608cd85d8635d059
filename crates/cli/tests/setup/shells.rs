//! `hardtack completions` and `hardtack man`: bash completes what it sourced, and groff finds nothing wrong.

use std::fs;
use std::process::Command;

use hardtack_testkit::command::{Shell, text};

use crate::HARDTACK;

fn is_there(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}

/// What bash offers for a line that ends with an unfinished word.
fn offered(shell: &Shell, words: &[&str]) -> Vec<String> {
    shell.write("completions.bash", &shell.ok("completions bash", ""));
    let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    let script = format!(
        "source ./completions.bash
COMP_WORDS=({words}); COMP_CWORD={last}
_hardtack hardtack '{current}' '{before}'
printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        words = quoted.join(" "),
        last = words.len() - 1,
        current = words[words.len() - 1],
        before = words[words.len() - 2],
    );
    let mut bash = Command::new("bash");
    let output = bash.args(["-c", &script]).current_dir(shell.path()).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_verbs_and_their_options() {
    let shell = Shell::new(HARDTACK);
    assert_eq!(offered(&shell, &["hardtack", "dele"]), ["delegate"]);
    assert_eq!(offered(&shell, &["hardtack", "revo"]), ["revoke", "revocations"]);
    assert_eq!(offered(&shell, &["hardtack", "store", "rec"]), ["recover"]);
    assert_eq!(offered(&shell, &["hardtack", "mint", "--sub"]), ["--subject"]);
    assert!(!offered(&shell, &["hardtack", ""]).iter().any(|verb| verb == "supervise-server"));
}

#[test]
fn every_shell_gets_a_script_of_its_own_and_another_is_refused() {
    let shell = Shell::new(HARDTACK);
    for (name, sign) in [
        ("bash", "complete -F _hardtack"),
        ("zsh", "#compdef hardtack"),
        ("fish", "complete -c hardtack"),
        ("elvish", "edit:completion"),
        ("powershell", "Register-ArgumentCompleter"),
    ] {
        let script = shell.ok(&format!("completions {name}"), "");
        assert!(script.contains(sign) && script.contains("delegate"), "{name}");
    }
    assert!(shell.fails("completions tcsh", "").contains("tcsh"));
}

#[test]
fn every_verb_has_a_page_in_which_groff_finds_nothing_wrong() {
    let shell = Shell::new(HARDTACK);
    fs::create_dir(shell.path().join("man1")).unwrap();
    shell.write("man1/other.1", "kept");
    shell.ok("man --to man1", "");
    // Again, as at an upgrade.
    shell.ok("man --to man1", "");
    assert_eq!(shell.read("man1/other.1"), "kept");
    let has_groff = is_there("groff");
    for verb in
        ["", "-init", "-doctor", "-mint", "-store", "-store-create", "-gateway", "-audit-verify"]
    {
        let page = shell.read(&format!("man1/hardtack{verb}.1"));
        assert!(page.contains(".TH hardtack"), "{verb}");
        assert!(page.contains("EXAMPLES AND NOTES"), "{verb}");
    }
    let pages: Vec<_> = fs::read_dir(shell.path().join("man1")).unwrap().collect();
    assert!(pages.len() > 30, "{}", pages.len());
    for page in pages.into_iter().map(|page| page.unwrap().path()) {
        if page.ends_with("other.1") || !has_groff {
            continue;
        }
        let mut groff = Command::new("groff");
        groff.args(["-man", "-Tutf8", "-ww", "-z"]).arg(&page);
        let output = groff.output().unwrap();
        let said = text(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "{}: {said}", page.display());
    }
    assert_eq!(shell.ok("man", ""), shell.read("man1/hardtack.1"));
}

#[test]
fn a_link_in_the_place_of_a_page_is_replaced_and_not_followed() {
    let shell = Shell::new(HARDTACK);
    fs::create_dir(shell.path().join("man1")).unwrap();
    shell.write("victim", "kept");
    let page = shell.path().join("man1/hardtack-mint.1");
    std::os::unix::fs::symlink("../victim", &page).unwrap();
    shell.ok("man --to man1", "");
    assert_eq!(shell.read("victim"), "kept");
    assert!(fs::symlink_metadata(&page).unwrap().is_file());
    assert!(shell.read("man1/hardtack-mint.1").contains(".TH hardtack"));
    let mut names = fs::read_dir(shell.path().join("man1")).unwrap();
    assert!(names.all(|name| !name.unwrap().file_name().to_string_lossy().contains("-new-")));
}

#[test]
fn a_page_shows_the_examples_as_they_are_typed() {
    let shell = Shell::new(HARDTACK);
    shell.ok("man --to man1", "");
    if !is_there("groff") {
        return;
    }
    let mut groff = Command::new("groff");
    groff.args(["-man", "-Tascii", "-P-c", "-P-b", "-P-u", "-rLL=100n", "man1/hardtack-keygen.1"]);
    let page = text(&groff.current_dir(shell.path()).output().unwrap().stdout);
    let lines: Vec<&str> = page.lines().map(str::trim).collect();
    assert!(lines.contains(&"hardtack keygen --out root.key \\"), "{page}");
    assert!(lines.contains(&"&& hardtack pubkey root.key > root.pub"), "{page}");
}
