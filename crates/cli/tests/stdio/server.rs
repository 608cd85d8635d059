//! A real server (rmcp): tools that answer, take their time, ask back, and answer much.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{ProgressNotificationParam, ServerCapabilities, ServerConfig};
use rmcp::service::RequestContext;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{RoleServer, ServerHandler, schemars, tool, tool_router};

/// What the server was asked to do.
#[derive(Clone, Default)]
pub(crate) struct Pages {
    searched: Arc<AtomicUsize>,
    deleted: Arc<AtomicUsize>,
    began: Arc<AtomicUsize>,
    cancelled: Arc<AtomicUsize>,
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Search {
    query: String,
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Slow {
    milliseconds: u64,
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Large {
    bytes: usize,
}

#[tool_router(server_handler = false)]
impl Pages {
    #[tool(description = "Search the pages")]
    fn search(&self, Parameters(Search { query }): Parameters<Search>) -> String {
        self.searched.fetch_add(1, Ordering::SeqCst);
        format!("found {query}")
    }

    #[tool(description = "Delete a page")]
    fn delete_page(&self) -> String {
        self.deleted.fetch_add(1, Ordering::SeqCst);
        "gone".to_owned()
    }

    #[tool(description = "Takes its time, and says how far it is")]
    async fn slow(
        &self,
        Parameters(Slow { milliseconds }): Parameters<Slow>,
        context: RequestContext<RoleServer>,
    ) -> String {
        self.began.fetch_add(1, Ordering::SeqCst);
        let noted = Noted(Arc::clone(&self.cancelled), true);
        for step in 1..=2_u32 {
            if let Some(token) = context.meta.get_progress_token() {
                let progress = ProgressNotificationParam::new(token, step.into());
                let _ = context.peer.notify_progress(progress).await;
            }
            tokio::select! {
                () = context.ct.cancelled() => return "cancelled".to_owned(),
                () = tokio::time::sleep(Duration::from_millis(milliseconds / 2)) => {}
            }
        }
        noted.ended();
        "done".to_owned()
    }

    #[tool(description = "Asks the client for its roots")]
    async fn ask(&self, context: RequestContext<RoleServer>) -> String {
        #[allow(deprecated, reason = "the older protocol has it")]
        match context.peer.list_roots().await {
            Ok(found) => format!("roots: {}", found.roots.len()),
            Err(error) => format!("no roots: {error}"),
        }
    }

    #[tool(description = "Answers with this many bytes")]
    fn large(&self, Parameters(Large { bytes }): Parameters<Large>) -> String {
        "a".repeat(bytes)
    }
}

/// Counts a call that was given up, in whichever way.
struct Noted(Arc<AtomicUsize>, bool);

impl Noted {
    fn ended(mut self) {
        self.1 = false;
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        if self.1 {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
}

#[rmcp::tool_handler]
impl ServerHandler for Pages {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }
}

impl Pages {
    pub(crate) fn searched(&self) -> usize {
        self.searched.load(Ordering::SeqCst)
    }

    pub(crate) fn deleted(&self) -> usize {
        self.deleted.load(Ordering::SeqCst)
    }

    pub(crate) fn began(&self) -> usize {
        self.began.load(Ordering::SeqCst)
    }

    pub(crate) fn cancelled(&self) -> usize {
        self.cancelled.load(Ordering::SeqCst)
    }

    /// Serves it on a thread of its own until the test ends, and returns its URL.
    pub(crate) fn serve(&self) -> String {
        let pages = self.clone();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        listener.set_nonblocking(true).unwrap();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let service = StreamableHttpService::new(
                    move || Ok(pages.clone()),
                    Arc::new(LocalSessionManager::default()),
                    StreamableHttpServerConfig::default(),
                );
                let router = axum::Router::new().nest_service("/mcp", service);
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                let drain = hardtack_mcp::Drain::default();
                let end = std::future::pending();
                hardtack_mcp::serve(listener, router, end, Duration::ZERO, drain).await.unwrap();
            });
        });
        url
    }
}
