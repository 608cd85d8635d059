//! `hardtack revoke --at`, whose answer is lost on the way.

use hardtack_testkit::command::{Serving, Shell, text, upstream};
use hardtack_testkit::losing_answers;

#[test]
fn a_revocation_whose_answer_was_lost_is_asked_for_again_and_made_once() {
    let (shell, upstream) = (Shell::new(env!("CARGO_BIN_EXE_hardtack")), upstream());
    let root = shell.ok("keygen --out root.key", "");
    let grant = shell.ok(
        "mint --key root.key --subject user:alice --scope hardtack:* --new-holder alice.key",
        "",
    );
    shell.write("grant.token", &grant);
    shell.ok("store create hardtack.store", "");
    let root = root.trim();
    let line = format!(
        "gateway --listen 127.0.0.1:0 --upstream {upstream} --audience notion.mcp --root {root} --store hardtack.store"
    );
    let gateway = Serving::start(shell.command(&line));
    let revoke = |at: &str, agent: &str| {
        let line = format!(
            "revoke --at {at} --audience notion.mcp/hardtack --key alice.key --capability grant.token --agent {agent} --reason lost"
        );
        shell.run(&line, "")
    };
    let address = gateway.base().trim_start_matches("http://").to_owned();
    let done = revoke(&losing_answers(&address, 2), "agent.helper");
    assert!(done.status.success(), "{}", text(&done.stderr));
    let said = text(&done.stdout);
    assert!(said.starts_with("revoked: "), "not that it was revoked already: {said}");
    assert!(text(&done.stderr).contains("is asked the same again"));
    // It is not asked for ever.
    let given_up = revoke(&losing_answers(&address, 9), "agent.other");
    assert_eq!(given_up.status.code(), Some(2));
    let said = text(&given_up.stderr);
    assert!(said.contains("whether it has revoked is not known, so ask again"), "{said}");
    assert!(gateway.ends());
    let listed = shell.ok("revocations --store hardtack.store", "");
    assert_eq!(listed.matches("agent.helper").count(), 1, "{listed}");
    assert_eq!(listed.matches("agent.other").count(), 1, "{listed}");
}
