//! `hardtack wrap`: a client's own server, called only as a capability allows. The server is a command that speaks MCP by lines: here
//! another `hardtack agent`, behind which a real server is.

use serde_json::json;

use crate::client::{Client, text};
use crate::scene::Scene;

#[test]
fn a_wrapped_server_is_called_only_as_the_capability_allows_and_it_is_recorded() {
    let scene = Scene::set();
    let gateway = scene.gateway();
    let shell = &scene.shell;
    let narrow = "delegate --key alice.key --to agent.desk --scope tools:call:search --reason 'read the pages' --holder @researcher.pub";
    shell.write("narrow.token", &shell.ok(narrow, &shell.read("grant.token")));
    shell.write("root.pub", &shell.ok("pubkey root.key", ""));
    shell.ok("store create wrap.store", "");
    let wrap = "wrap --key researcher.key --capability narrow.token --audience desk.mcp --root @root.pub --store wrap.store --";
    let inner = scene.agent(&gateway.url, &[]);
    for is_modern in [false, true] {
        let mut words: Vec<&str> = wrap.split(' ').collect();
        words.push(inner.get_program().to_str().unwrap());
        words.extend(inner.get_args().map(|word| word.to_str().unwrap()));
        let mut client = Client::start(shell.command(&words));
        client.is_modern = is_modern;
        if !is_modern {
            let opened = client.initialize();
            assert_eq!(opened["result"]["protocolVersion"], "2025-11-25", "{opened}");
        }
        let listed = client.request("tools/list", json!({}));
        let tools = listed["result"]["tools"].as_array().unwrap();
        assert!(tools.len() == 1 && tools[0]["name"] == "search", "{listed}");
        assert_eq!(client.search("roadmap"), "found roadmap");
        let refused = client.call("large", &json!({"bytes": 1}));
        assert_eq!(refused["result"]["isError"], true);
        assert!(text(&refused).contains("does not grant tools:call:large"), "{refused}");
        assert_eq!(client.search("again"), "found again");
        assert!(client.ends().success());
    }
    let records = shell.ok("audit --store wrap.store", "");
    assert!(records.contains("tools:call:large") && records.contains("agent.desk"), "{records}");
}
