//! `hardtack doctor`: who else can read or change what a gateway needs?

use crate::doctor::{Scene, seen};

#[test]
fn secrets_that_others_can_read_are_found() {
    let scene = Scene::set();
    scene.mode("root.key", 0o640);
    scene.found(
        "",
        "keys",
        &["root.key can be read or changed by others (mode 640)", "chmod 600 root.key"],
    );
    let (code, all) =
        seen(scene.command("doctor --json").env("HARDTACK_ACCEPT_EXPOSED_KEY", "true"));
    assert_eq!(code, 0, "{all:?}");
    scene.mode("root.key", 0o600);
    // Those that the settings name, and those that are typed.
    scene.write("token.txt", "Bearer aB3aB3aB3aB3aB3");
    scene.mode("token.txt", 0o644);
    scene.change("listen =", "upstream-authorization-file = \"token.txt\"\nlisten =");
    scene.found("", "keys", &["token.txt can be read"]);
    scene.mode("token.txt", 0o400);
    scene.write("elsewhere", "x");
    scene.mode("elsewhere", 0o604);
    scene.found("--key elsewhere", "keys", &["elsewhere can be read", "mode 604"]);
    scene.found("--key nowhere", "keys", &["nowhere is not there"]);
    scene.mode(".", 0o777);
    let (code, all) = scene.seen("");
    assert_eq!(code, 1);
    assert!(all.iter().any(|(_, says)| says.contains("everybody can put files")), "{all:?}");
}

#[test]
fn files_of_another_user_are_found() {
    let scene = Scene::set();
    if std::os::unix::fs::chown(scene.path().join("root.key"), Some(12_345), None).is_err() {
        return;
    }
    scene.found("", "keys", &["root.key belongs to another user (user id 12345)", "chown"]);
}

#[test]
fn what_everybody_can_change_of_settings_roots_and_policies_is_found() {
    let scene = Scene::set();
    for (name, usual) in [
        ("hardtack.toml", 0o644),
        ("root.pub", 0o644),
        ("policies", 0o755),
        ("policies/tools.datalog", 0o644),
        ("policies/cases", 0o755),
        ("policies/cases/tools.toml", 0o644),
    ] {
        scene.mode(name, usual | 0o002);
        let [says, mend] = [format!("everybody can change {name} "), format!("chmod o-w {name}")];
        scene.found("", "files", &[&says, &mend]);
        scene.mode(name, usual);
    }
    // The sticky bit keeps nobody from adding a policy.
    scene.mode("policies", 0o1777);
    scene.found("", "files", &["everybody can change policies "]);
    scene.mode("policies", 0o755);
    let (code, all) = scene.seen("");
    assert_eq!(code, 0, "{all:?}");
    if std::os::unix::fs::chown(scene.path().join("root.pub"), Some(12_345), None).is_err() {
        return;
    }
    let (_, all) = scene.seen("");
    let is_told = |(state, says): &(String, String)| {
        state == "note" && says.contains("root.pub belongs to another user (user id 12345)")
    };
    assert!(all.iter().any(is_told), "{all:?}");
}

#[test]
fn a_store_of_another_user_is_to_be_looked_at_as_that_user() {
    let scene = Scene::set();
    for part in ["hardtack.store", "hardtack.store.journal", "hardtack.store.checkpoint"] {
        let path = scene.path().join(part);
        if std::os::unix::fs::chown(path, Some(12_345), None).is_err() {
            return;
        }
    }
    let (code, all) = scene.seen("");
    let is_told = |(state, says): &(String, String)| {
        state == "note" && says.contains("hardtack.store belongs") && says.contains("sudo -u USER")
    };
    assert!(code == 0 && all.iter().any(is_told), "{all:?}");
    assert!(all.iter().all(|(_, says)| !says.contains("chmod")), "{all:?}");
}
