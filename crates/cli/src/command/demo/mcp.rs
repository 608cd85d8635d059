//! `hardtack demo --mcp`: the seed chain, through a real client and a gateway, to a real tool server.

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use hardtack::{
    Capability, Delegation, Grant, Guard, Issuer, Policy, Presenting, PrivateKey, Revocation,
    Revoking, RootKeys, Store, Verifier,
};
use hardtack_mcp::{CapabilitySource, Drain, Gateway, Holder, Upstream, serve};
use rmcp::model::{CallToolRequestParams, CallToolResult, ProtocolVersion};
use rmcp::service::{ClientLifecycleMode, ClientServiceExt, RunningService};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::{RoleClient, object};
use tokio::net::TcpListener;

use super::tools::Pages;
use super::{AUDIENCE, BLOCKS, CHAINS, refused, title};
use crate::command::{audit, serving, snippets, token_tree};
use crate::terminal::{BOLD, Done, FAINT, GOOD, NAME, TEXT, now, say_lines};

/// The audience for requests to revoke.
const REVOCATIONS: &str = "notion.mcp/hardtack";

/// A presentation lives ten minutes at most, so that what is printed with `--keep` is good for as long.
const LONGEST_PRESENTATION: Duration = Duration::from_secs(600);

/// How long the researcher's hop lives with `--keep`: as long as a hop may.
const KEPT: Duration = Duration::from_secs(3600);

pub(crate) fn run(keep: bool) -> Done {
    // The client asks for one, although nothing here is encrypted; that there is one already is as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let scratch = tempfile::tempdir()?;
    let runtime = serving::runtime()?;
    let done = runtime.block_on(async {
        let scene = Scene::set(scratch.path(), keep).await?;
        scene.walk().await?;
        match keep {
            true => scene.keep(scratch.path()).await,
            false => scene.end().await,
        }
    });
    // Streams that are still open are of no interest to anybody now.
    runtime.shutdown_timeout(Duration::from_millis(200));
    done
}

struct Scene {
    pages: Pages,
    store: Store,
    orchestrators: Capability,
    researchers: Capability,
    researcher: PrivateKey,
    url: String,
}

type Client = RunningService<RoleClient, ()>;

impl Scene {
    async fn set(folder: &Path, keep: bool) -> Result<Scene, Box<dyn Error>> {
        title("A tool server (rmcp), a gateway in front of it, both on loopback")?;
        let now = now();
        let issuer = Issuer::new(PrivateKey::generate());
        let (alice, orchestrator) = (PrivateKey::generate(), PrivateKey::generate());
        let key = folder.join("researcher.key");
        PrivateKey::generate().save(&key)?;
        let researcher = PrivateKey::load(&key)?;
        let grant = issuer.mint(Grant::to("user:alice").scope("*").holder(alice.public()), now)?;
        let orchestrators = grant.delegate(
            Delegation::to("agent.orchestrator")
                .scope("tools:call:*")
                .reason("prepare the release notes")
                .holder(orchestrator.public())
                .ttl(Duration::from_secs(3600)),
            &alice,
            now,
        )?;
        let mut part = Delegation::to("agent.researcher")
            .scope("tools:call:search")
            .audience(AUDIENCE)
            .reason("find the roadmap page")
            .holder(researcher.public());
        if keep {
            part = part.ttl(KEPT);
        }
        let researchers = orchestrators.delegate(part, &orchestrator, now)?;

        let pages = Pages::default();
        let behind = TcpListener::bind("127.0.0.1:0").await?;
        let upstream = format!("http://{}/mcp", behind.local_addr()?);
        pages.serve(behind);

        let store = Store::create(folder.join("hardtack.store"))?;
        let roots = RootKeys::of(issuer.public()).named("acme");
        let verifier = Verifier::new(roots, AUDIENCE, store.revocations())?;
        let guard = Guard::new(verifier, Policy::builtin(), store.clone());
        let roots = RootKeys::of(issuer.public()).named("acme");
        let revoker = Verifier::new(roots, REVOCATIONS, store.revocations())?;
        let revoker = Guard::new(revoker, Policy::builtin(), store.clone());
        let gateway = Gateway::new(guard, Upstream::at(&upstream)?)
            .ready_while({
                let store = store.clone();
                move || store.ready()
            })
            .revocations(revoker, Arc::new(store.clone()), Arc::new(store.clone()));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/mcp", listener.local_addr()?);
        let (drain, grace) = (gateway.drain(), Duration::ZERO);
        tokio::spawn(serve(listener, gateway.router(), std::future::pending(), grace, drain));
        say_lines(format_args!("  tools    {TEXT}{upstream}\n  gateway  {TEXT}{url}"))?;
        Ok(Scene { pages, store, orchestrators, researchers, researcher, url })
    }

    async fn walk(&self) -> Result<(), Box<dyn Error>> {
        title("The chain, as the gateway will see it")?;
        let bearer = self.bearer()?;
        let chain = Capability::parse(&bearer)?;
        say_lines(format_args!("\n{}", token_tree::draw(chain.chain(), &[], now()).trim_end()))?;
        say_lines(format_args!("\n{BLOCKS}"))?;
        for (era, lifecycle) in [
            ("with a session, as up to 2025-11-25", ClientLifecycleMode::Initialize),
            (
                "without, as since 2026-07-28",
                ClientLifecycleMode::Discover {
                    preferred_versions: vec![ProtocolVersion::V_2026_07_28],
                },
            ),
        ] {
            title(&format!("A real client (rmcp), given the URL and the bearer: {era}"))?;
            self.use_tools(&bearer, lifecycle).await?;
        }
        self.revoke(&bearer).await?;
        let (searched, deleted) = self.pages.done();
        say_lines(format_args!(
            "\n  {FAINT}the tool server was asked to search {searched} times and to delete {deleted} times{FAINT:#}"
        ))?;
        match deleted {
            0 => Ok(()),
            _ => Err("a refused call reached the tool server".into()),
        }
    }

    async fn use_tools(
        &self,
        bearer: &str,
        lifecycle: ClientLifecycleMode,
    ) -> Result<(), Box<dyn Error>> {
        let client = self.connect(bearer, lifecycle).await?;
        let tools = client.list_all_tools().await?;
        let names: Vec<&str> = tools.iter().map(|tool| &*tool.name).collect();
        say_lines(format_args!(
            "  {GOOD}listed{GOOD:#}  {TEXT}{BOLD}{}{BOLD:#}",
            names.join(", ")
        ))?;
        say_lines("          what the token may use; the tool server has delete_page, too")?;
        let query = object!({"query": "roadmap"});
        let found = call(&client, "search", query.clone()).await?;
        say_lines(format_args!(
            "  {GOOD}allowed{GOOD:#} {TEXT}{BOLD}search{BOLD:#}\n          {}",
            text(&found)
        ))?;
        let denied = call(&client, "delete_page", object!({"id": "roadmap"})).await?;
        if denied.is_error != Some(true) {
            return Err("delete_page was allowed".into());
        }
        refused("delete_page, which the list did not show", &text(&denied))?;
        let found = call(&client, "search", query).await?;
        say_lines(format_args!(
            "  {GOOD}allowed{GOOD:#} {TEXT}{BOLD}search again: the session has survived the refusal{BOLD:#}\n          {}",
            text(&found)
        ))?;
        client.cancel().await?;
        Ok(())
    }

    async fn revoke(&self, bearer: &str) -> Result<(), Box<dyn Error>> {
        title("Revoked from above, while a client is connected")?;
        let client = self.connect(bearer, ClientLifecycleMode::Initialize).await?;
        let hop = &self.orchestrators.chain().hops[0];
        let revocation = Revocation::Id { id: hop.revocation_id };
        let store = self.store.clone();
        let revoking = Revoking::new(revocation, "user:alice", "laptop stolen")?;
        tokio::task::spawn_blocking(move || store.revoke(revoking, now())).await??;
        say_lines(format_args!(
            "  {FAINT}revoked the hop to{FAINT:#} {NAME}agent.orchestrator{NAME:#}{FAINT}: laptop stolen{FAINT:#}"
        ))?;
        match call(&client, "search", object!({"query": "roadmap"})).await {
            Ok(_) => Err("a revoked token was let in".into()),
            Err(error) => refused(
                "the researcher's next call",
                &format!("HTTP 401; the client says: {}", last_words(&error.to_string())),
            ),
        }
    }

    async fn end(&self) -> Done {
        title("The records: each was on disk before its answer was given")?;
        say_lines(format_args!("\n{FAINT}{CHAINS}{FAINT:#}\n"))?;
        let mut said = Ok(());
        self.store.each_record(|record| {
            if said.is_ok() {
                said = audit::print(&record);
            }
        })?;
        said?;
        say_lines(format_args!(
            "\n{FAINT}Next: `hardtack demo --mcp --keep`, for your own agent to try; `hardtack gateway --help`{FAINT:#}"
        ))?;
        Ok(ExitCode::SUCCESS)
    }

    /// A chain that is not revoked, and where to use it.
    async fn keep(&self, folder: &Path) -> Done {
        let fresh = Scene::set(&fresh_folder(folder)?, true).await?;
        let folder = folder.join("kept");
        let capability = folder.join("researcher.token");
        std::fs::write(&capability, fresh.researchers.to_base64())?;
        let key = PrivateKey::load(folder.join("researcher.key"))?;
        let source = CapabilitySource::File(capability);
        let holder = Holder::new(source, key, AUDIENCE, Upstream::at(&fresh.url)?)?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let agent = format!("http://{}/mcp", listener.local_addr()?);
        let drain = Drain::default();
        tokio::spawn(serve(
            listener,
            holder.router(),
            std::future::pending(),
            Duration::ZERO,
            drain,
        ));

        title("For your own agent: search is allowed, delete_page is not")?;
        say_lines(snippets::all(&fresh.url, &fresh.bearer()?, &agent))?;
        say_lines(format_args!("{FAINT}Ctrl-C ends it.{FAINT:#}"))?;
        serving::stop()?.await;
        Ok(ExitCode::SUCCESS)
    }

    async fn connect(
        &self,
        bearer: &str,
        lifecycle: ClientLifecycleMode,
    ) -> Result<Client, Box<dyn Error>> {
        let config = StreamableHttpClientTransportConfig::with_uri(self.url.as_str());
        let transport = StreamableHttpClientTransport::from_config(config.auth_header(bearer));
        Ok(().serve_with_lifecycle(transport, lifecycle).await?)
    }

    fn bearer(&self) -> Result<String, Box<dyn Error>> {
        let presenting = Presenting::to(AUDIENCE).ttl(LONGEST_PRESENTATION);
        let presented = self.researchers.present(presenting, &self.researcher, now())?;
        Ok(presented.bearer().to_owned())
    }
}

fn fresh_folder(folder: &Path) -> Result<std::path::PathBuf, Box<dyn Error>> {
    let folder = folder.join("kept");
    std::fs::create_dir(&folder)?;
    Ok(folder)
}

async fn call(
    client: &Client,
    tool: &'static str,
    arguments: rmcp::model::JsonObject,
) -> Result<CallToolResult, Box<dyn Error>> {
    let request = CallToolRequestParams::new(tool).with_arguments(arguments);
    Ok(client.call_tool(request).await?)
}

fn text(result: &CallToolResult) -> String {
    let parts = result.content.iter().filter_map(|part| part.as_text());
    parts.map(|part| part.text.as_str()).collect::<Vec<_>>().join(" ")
}

/// What an error says behind all that it passed through.
fn last_words(error: &str) -> &str {
    error.rsplit("error: ").next().unwrap_or(error)
}
