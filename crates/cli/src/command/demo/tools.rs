//! A small MCP tool server: pages that can be searched, and deleted.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{ServerCapabilities, ServerConfig};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ServerHandler, schemars, tool, tool_router};
use tokio::net::TcpListener;

/// What the server was asked to do, for whoever looks that nothing else reached it.
#[derive(Debug, Clone, Default)]
pub(super) struct Pages {
    searched: Arc<AtomicUsize>,
    deleted: Arc<AtomicUsize>,
}

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
pub(super) struct Search {
    /// What to look for
    query: String,
}

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
pub(super) struct Delete {
    /// The page to delete
    id: String,
}

#[tool_router(server_handler = false)]
impl Pages {
    #[tool(description = "Search the pages")]
    fn search(&self, Parameters(Search { query }): Parameters<Search>) -> String {
        self.searched.fetch_add(1, Ordering::Relaxed);
        format!("1 page about {query}: Roadmap 2027")
    }

    #[tool(description = "Delete a page for good")]
    fn delete_page(&self, Parameters(Delete { id }): Parameters<Delete>) -> String {
        self.deleted.fetch_add(1, Ordering::Relaxed);
        format!("page {id} is gone")
    }
}

#[rmcp::tool_handler]
impl ServerHandler for Pages {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }
}

impl Pages {
    /// How often it searched and deleted.
    pub(super) fn done(&self) -> (usize, usize) {
        (self.searched.load(Ordering::Relaxed), self.deleted.load(Ordering::Relaxed))
    }

    /// Serves it until the runtime ends.
    pub(super) fn serve(&self, listener: TcpListener) {
        let pages = self.clone();
        let service = StreamableHttpService::new(
            move || Ok(pages.clone()),
            Arc::new(LocalSessionManager::default()),
            StreamableHttpServerConfig::default(),
        );
        let router = axum::Router::new().nest_service("/mcp", service);
        let drain = hardtack_mcp::Drain::default();
        let grace = std::time::Duration::ZERO;
        tokio::spawn(hardtack_mcp::serve(listener, router, std::future::pending(), grace, drain));
    }
}
