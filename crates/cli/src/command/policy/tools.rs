//! Tools: which tools do the servers have that policies are for? Read from a file, or asked of the server.

use std::error::Error;
use std::path::Path;

use hardtack::names::check_audience;
use hardtack_lint::{ServerTools, ToolsError};

use crate::args::policy::Lint;
use crate::command::server_tools::{authorization, listed};
use crate::reading::{self, MAX_OPERATIONS_BYTES};
use crate::terminal::without_query;

/// What each `--tools` says.
pub(super) fn of_servers(arguments: &Lint) -> Result<Vec<ServerTools>, Box<dyn Error>> {
    let named: Vec<Named<'_>> = arguments.tools.iter().map(|text| Named::read(text)).collect();
    let asked = named.iter().filter(|one| is_url(one.from)).count();
    if arguments.authorization_file.is_some() && asked != 1 {
        return Err(format!(
            "--authorization-file is for one server, and --tools names {asked} URLs: save the other lists to files"
        )
        .into());
    }
    named.iter().map(|one| one.tools(arguments)).collect()
}

/// `FILE`, `URL`, `AUDIENCE=FILE` or `AUDIENCE=URL`.
#[derive(Debug, PartialEq, Eq)]
struct Named<'t> {
    audience: Option<&'t str>,
    from: &'t str,
}

impl<'t> Named<'t> {
    /// An audience and a URL can have a `=` in them: it is the first one behind which a URL or a file stands.
    fn read(text: &'t str) -> Named<'t> {
        let parts = || text.match_indices('=').filter_map(|(at, _)| split(text, at));
        let is_there = |from: &str| is_url(from) || Path::new(from).exists();
        let named = match Path::new(text).exists() {
            true => None,
            false => parts().find(|(_, from)| is_there(from)),
        };
        // A file that is missing is named without the audience.
        let named = named.or_else(|| parts().next().filter(|_| !is_there(text)));
        match named {
            Some((audience, from)) => Named { audience: Some(audience), from },
            None => Named { audience: None, from: text },
        }
    }

    fn tools(&self, arguments: &Lint) -> Result<ServerTools, Box<dyn Error>> {
        let audience = self.audience.map(str::to_owned);
        if let Some(audience) = &audience {
            check_audience(audience).map_err(|error| format!("--tools {audience}: {error}"))?;
        }
        let (text, shown) = match is_url(self.from) {
            true => (asked(self.from, arguments)?, without_query(self.from).to_owned()),
            false => {
                let failed = |error| format!("the tools {error}");
                let text = reading::once(Path::new(self.from), MAX_OPERATIONS_BYTES);
                (text.map_err(failed)?, self.from.to_owned())
            }
        };
        let failed = |error| match error {
            ToolsError::NoList => {
                format!("the tools {shown}: {error}; or name the server's URL, and it is asked")
            }
            error => format!("the tools {shown}: {error}"),
        };
        ServerTools::read(audience, &text).map_err(|error| failed(error).into())
    }
}

/// What stands before and behind a `=`.
fn split(text: &str, at: usize) -> Option<(&str, &str)> {
    let (audience, from) = (text.get(..at)?, text.get(at + 1..)?);
    (!audience.is_empty() && !from.is_empty()).then_some((audience, from))
}

fn is_url(text: &str) -> bool {
    text.starts_with("http://") || text.starts_with("https://")
}

/// The list of a server that is asked, as it would stand in a file.
fn asked(url: &str, arguments: &Lint) -> Result<String, Box<dyn Error>> {
    let file = arguments.authorization_file.as_deref();
    let token = authorization(url, file, arguments.allow_plain_http.as_deref())?;
    Ok(serde_json::to_string(&listed(url, token)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_audience_stands_before_the_sign_behind_which_a_url_or_file_is() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let file = file.path().to_str().unwrap();
        let with_file = format!("https://a.example=x={file}");
        for (text, audience, from) in [
            ("http://a.example/mcp", None, "http://a.example/mcp"),
            ("https://a.example/mcp?key=5", None, "https://a.example/mcp?key=5"),
            ("a.mcp=https://a.example/mcp?b=c", Some("a.mcp"), "https://a.example/mcp?b=c"),
            ("https://a.example=https://b.example", Some("https://a.example"), "https://b.example"),
            (with_file.as_str(), Some("https://a.example=x"), file),
            (file, None, file),
            ("a.mcp=missing.json", Some("a.mcp"), "missing.json"),
            ("missing.json", None, "missing.json"),
            ("=missing.json", None, "=missing.json"),
        ] {
            assert_eq!(Named::read(text), Named { audience, from }, "{text}");
        }
    }
}
