//! Scene: a chain of capabilities, a server, and a gateway in front of it.

use std::process::Command;

use hardtack_testkit::command::{Serving, Shell};

use crate::client::Client;
use crate::server::Pages;

pub(crate) struct Scene {
    pub(crate) shell: Shell,
    pub(crate) pages: Pages,
    upstream: String,
    root: String,
}

const SCOPES: [&str; 4] =
    ["tools:call:search", "tools:call:slow", "tools:call:ask", "tools:call:large"];

impl Scene {
    pub(crate) fn set() -> Scene {
        let shell = Shell::new(env!("CARGO_BIN_EXE_hardtack"));
        let root = shell.ok("keygen --out root.key", "").trim().to_owned();
        shell.write("researcher.pub", &shell.ok("keygen --out researcher.key", ""));
        let grant = shell.ok(
            "mint --key root.key --subject user:alice --scope tools:call:* --new-holder alice.key",
            "",
        );
        shell.write("grant.token", &grant);
        shell.ok("store create hardtack.store", "");
        let pages = Pages::default();
        let scene = Scene { shell, upstream: pages.serve(), pages, root };
        scene.delegate("15m");
        scene
    }

    /// Puts a capability into its file that lives for so long.
    pub(crate) fn delegate(&self, ttl: &str) {
        let mut words = vec!["delegate", "--key", "alice.key", "--to", "agent.researcher"];
        words.extend(["--reason", "find the roadmap page", "--holder", "@researcher.pub"]);
        words.extend(["--ttl", ttl, "--scope"]);
        words.extend(SCOPES);
        let token = self.shell.ok(&words, &self.shell.read("grant.token"));
        self.shell.write("researcher.token.new", &token);
        let path = self.shell.path();
        std::fs::rename(path.join("researcher.token.new"), path.join("researcher.token")).unwrap();
    }

    pub(crate) fn gateway(&self) -> Serving {
        self.gateway_at("127.0.0.1:0")
    }

    pub(crate) fn gateway_at(&self, listen: &str) -> Serving {
        let mut words = vec!["gateway", "--listen", listen, "--upstream", &self.upstream];
        words.extend([
            "--audience",
            "notion.mcp",
            "--root",
            &self.root,
            "--store",
            "hardtack.store",
        ]);
        Serving::start(self.shell.command(&words))
    }

    pub(crate) fn agent(&self, url: &str, more: &[&str]) -> Command {
        let mut words = vec!["agent", "--stdio", "--key", "researcher.key"];
        words.extend(["--capability", "researcher.token", "--audience", "notion.mcp", "--to", url]);
        words.extend(more);
        self.shell.command(&words)
    }

    /// A client that has opened a session.
    pub(crate) fn client(&self, url: &str, more: &[&str]) -> Client {
        let mut client = Client::start(self.agent(url, more));
        assert_eq!(client.initialize()["result"]["protocolVersion"], "2025-11-25");
        client
    }

    /// A client of 2026-07-28, which opens none.
    pub(crate) fn modern(&self, url: &str, more: &[&str]) -> Client {
        let mut client = Client::start(self.agent(url, more));
        client.is_modern = true;
        client
    }
}
