//! Server tools: which tools does an MCP server list, when it is asked?

use std::collections::BTreeSet;
use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hardtack_mcp::Upstream;
use rmcp::ServiceExt;
use rmcp::model::{PaginatedRequestParams, Tool};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::common::client_side_sse::NeverRetry;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;

use crate::reading::{self, MAX_CREDENTIAL_BYTES};
use crate::terminal::without_query;

/// How long a server may take to list its tools.
const LISTING: Duration = Duration::from_secs(30);

/// The most tools that are taken: more than any server has.
pub(super) const MAX_TOOLS: usize = 10_000;

/// The most pages of a server's list of tools: as many as that takes with ten of them on each.
const MAX_PAGES: usize = MAX_TOOLS / 10;

/// The most bytes of all pages: as many as a file with them may have.
const MAX_LISTED_BYTES: usize = reading::MAX_OPERATIONS_BYTES as usize;

/// The token that a file has for the server, which is sent to it over TLS, on loopback, or to the host that is named.
pub(super) fn authorization(
    url: &str,
    file: Option<&Path>,
    plain_http_to: Option<&str>,
) -> Result<Option<String>, Box<dyn Error>> {
    let server = Upstream::at(url)?;
    let Some(file) = file else { return Ok(None) };
    match plain_http_to {
        Some(host) => server.accept_plain_http_to(host).check_privacy()?,
        None => server.check_privacy()?,
    }
    let failed = |error| format!("the authorization {error}");
    let value = reading::once(file, MAX_CREDENTIAL_BYTES).map_err(failed)?;
    let value = value.trim();
    let token = value.strip_prefix("Bearer ").unwrap_or(value);
    Ok(Some(token.to_owned()))
}

/// The tools that an MCP server lists.
pub(super) fn listed(
    url: &str,
    authorization: Option<String>,
) -> Result<Vec<Tool>, Box<dyn Error>> {
    // The client needs one, whether or not the server is spoken to over TLS.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listed = runtime.block_on(async {
        match tokio::time::timeout(LISTING, list(url, authorization)).await {
            Ok(listed) => listed,
            Err(_) => Err(format!("no answer within {} s", LISTING.as_secs())),
        }
    });
    // What looks up a name on a thread of its own may hang.
    runtime.shutdown_background();
    let failed =
        |error| format!("the tools of {} cannot be listed: {error}", without_query(url)).into();
    listed.map_err(failed)
}

/// All pages of the list. Where a server says that more follow, it must have said something new.
async fn list(url: &str, authorization: Option<String>) -> Result<Vec<Tool>, String> {
    let mut config = StreamableHttpClientTransportConfig::with_uri(url);
    config.retry_config = Arc::new(NeverRetry::default());
    if let Some(authorization) = authorization {
        config = config.auth_header(authorization);
    }
    // It follows ten redirects at most, all at the same origin, and reads answers of bounded size.
    let transport = StreamableHttpClientTransport::from_config(config);
    let client = ().serve(transport).await.map_err(|error| unlisted(&error))?;
    let (mut tools, mut cursors, mut bytes) = (Vec::new(), BTreeSet::new(), 0);
    let mut cursor = None;
    for _ in 0..MAX_PAGES {
        let asked = PaginatedRequestParams::default().with_cursor(cursor.take());
        let page = client.list_tools(Some(asked)).await.map_err(|error| unlisted(&error))?;
        bytes += serde_json::to_vec(&page.tools).map_or(0, |page| page.len());
        tools.extend(page.tools);
        if bytes > MAX_LISTED_BYTES {
            return Err(format!("its list has more than {} MiB", MAX_LISTED_BYTES / 1024 / 1024));
        }
        if tools.len() > MAX_TOOLS {
            return Err(format!("it lists more than {MAX_TOOLS}"));
        }
        // Many servers say so that nothing follows.
        let Some(next) = page.next_cursor.filter(|next| !next.is_empty()) else {
            // The list is there; whether the goodbye arrives is no matter.
            let _ = client.cancel().await;
            return Ok(tools);
        };
        if !cursors.insert(next.clone()) {
            return Err("it says again and again that the same page follows".to_owned());
        }
        cursor = Some(next);
    }
    Err(format!("its list has more than {MAX_PAGES} pages"))
}

/// Why nothing is listed, in our words: the client's are for whoever writes clients.
fn unlisted(error: &dyn Error) -> String {
    let text = crate::terminal::with_causes(error);
    let status = text.split("HTTP ").nth(1).and_then(|rest| rest.get(..3));
    let status = status.filter(|status| status.bytes().all(|byte| byte.is_ascii_digit()));
    match status {
        Some("401" | "403") => {
            "it wants an Authorization, or another one: --authorization-file FILE".to_owned()
        }
        Some(status) => format!(
            "it answers HTTP {status}, as no MCP endpoint does; is the path right, which often is /mcp?"
        ),
        None if text.contains("Auth required") || text.contains("Auth error") => {
            "it wants an Authorization, or another one: --authorization-file FILE".to_owned()
        }
        None if text.contains("error sending request") => {
            "it does not answer; is the URL right, and does the server run?".to_owned()
        }
        None => "what answers there does not speak MCP as this client does; is the URL right?"
            .to_owned(),
    }
}
