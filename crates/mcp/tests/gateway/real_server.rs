//! A real server (rmcp) behind and a real client (rmcp) in front, in both protocols.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{
    CallToolRequestParams, CallToolResult, ProtocolVersion, ServerCapabilities, ServerConfig,
};
use rmcp::service::{ClientLifecycleMode, ClientServiceExt, RunningService};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{RoleClient, ServerHandler, object, schemars, tool, tool_router};
use tokio::net::TcpListener;

use crate::stage::{Stage, client, start};

#[derive(Clone, Default)]
struct Pages(Arc<AtomicUsize>);

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Query {
    query: String,
}

#[tool_router(server_handler = false)]
impl Pages {
    #[tool(description = "Search")]
    fn search(&self, Parameters(Query { query }): Parameters<Query>) -> String {
        format!("found {query}")
    }

    #[tool(description = "Delete")]
    fn delete_page(&self) -> String {
        self.0.fetch_add(1, Ordering::SeqCst);
        "gone".to_owned()
    }
}

#[rmcp::tool_handler]
impl ServerHandler for Pages {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }
}

async fn connect(
    stage: &Stage,
    bearer: &str,
    lifecycle: ClientLifecycleMode,
) -> Result<RunningService<RoleClient, ()>, String> {
    client();
    let config = StreamableHttpClientTransportConfig::with_uri(stage.url()).auth_header(bearer);
    let transport = StreamableHttpClientTransport::from_config(config);
    ().serve_with_lifecycle(transport, lifecycle).await.map_err(|error| error.to_string())
}

fn text(result: &CallToolResult) -> &str {
    &result.content[0].as_text().unwrap().text
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_rust_client_and_server_work_through_the_gateway() {
    let modern =
        ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] };
    for (stateful, json, lifecycle) in [
        (true, false, ClientLifecycleMode::Initialize),
        (false, false, ClientLifecycleMode::Initialize),
        (false, true, ClientLifecycleMode::Initialize),
        (true, false, modern.clone()),
        (false, true, modern),
    ] {
        let pages = Pages::default();
        let config = StreamableHttpServerConfig::default()
            .with_legacy_session_mode(stateful)
            .with_json_response(json);
        let served = pages.clone();
        let service = StreamableHttpService::new(
            move || Ok(served.clone()),
            Arc::new(LocalSessionManager::default()),
            config,
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        start(listener, axum::Router::new().nest_service("/mcp", service), Default::default());
        let stage = Stage::set_in_front_of(&url, Duration::from_secs(10)).await;
        let (_, bearer) = stage.researcher();

        assert!(connect(&stage, "garbage", lifecycle.clone()).await.is_err());
        let client = connect(&stage, &bearer, lifecycle).await.unwrap();
        let tools = client.list_all_tools().await.unwrap();
        let names: Vec<&str> = tools.iter().map(|tool| &*tool.name).collect();
        assert_eq!(names, ["search"]);
        let search = || {
            let request = CallToolRequestParams::new("search");
            client.call_tool(request.with_arguments(object!({"query": "x"})))
        };
        assert_eq!(text(&search().await.unwrap()), "found x");
        let refused = client.call_tool(CallToolRequestParams::new("delete_page")).await.unwrap();
        assert_eq!(refused.is_error, Some(true));
        assert!(text(&refused).contains("tools:call:delete_page"));
        assert_eq!(text(&search().await.unwrap()), "found x");
        client.cancel().await.unwrap();
        assert_eq!(pages.0.load(Ordering::SeqCst), 0);
    }
}
