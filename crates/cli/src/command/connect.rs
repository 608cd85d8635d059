//! `hardtack connect`: what to paste into a client's settings.
//!
//! What is pasted is written by the serializer of its form, so that paths with spaces, quotes and backslashes arrive as they are.

use std::error::Error;
use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;

use clap::ValueEnum;
use serde_json::{Value, json};

use crate::args::connect::{Client, Connect};
use crate::command::{serving, snippets};
use crate::terminal::{Done, TEXT, say, say_exactly, warn};

/// What a client connects to.
enum Server {
    /// A command that it starts.
    Command(String, Vec<String>),
    Url(String),
}

pub(crate) fn run(arguments: &Connect) -> Done {
    let Some(client) = arguments.client else { return list() };
    let name = name(arguments)?;
    let server = match &arguments.url {
        Some(url) => Server::Url(url_of(url)?),
        None => command(arguments)?,
    };
    say_exactly(&pasted(client, &name, &server)?)?;
    warn(client.place());
    Ok(ExitCode::SUCCESS)
}

fn list() -> Done {
    for client in Client::value_variants() {
        say(format_args!("{:<18}{TEXT}{}", client.word(), client.place()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What the client calls the server.
fn name(arguments: &Connect) -> Result<String, Box<dyn Error>> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    match (&arguments.name, &arguments.audience) {
        // A client's own command would take one with a hyphen before it for an option.
        (Some(name), _) if name.starts_with('-') => {
            Err("--name: it begins with -, which a client takes for an option".into())
        }
        (Some(name), _) if !name.is_empty() && name.chars().all(fits) => Ok(name.clone()),
        (Some(_), _) => Err("--name: clients take letters, digits, _ and - in a name".into()),
        (None, audience) => {
            let audience = audience.as_deref().unwrap_or_default();
            let name: String = audience.chars().map(|c| if fits(c) { c } else { '-' }).collect();
            match name.trim_start_matches('-') {
                "" => Err("--audience: there is no letter or digit in it; give --name, too".into()),
                name => Ok(name.to_owned()),
            }
        }
    }
}

fn url_of(written: &str) -> Result<String, Box<dyn Error>> {
    let url = serving::endpoint(written);
    hardtack_mcp::Upstream::at(&url)?;
    Ok(url)
}

/// `hardtack agent --stdio`, wherever it is started.
fn command(arguments: &Connect) -> Result<Server, Box<dyn Error>> {
    let own = std::env::current_exe()?;
    let given = |path: &Option<std::path::PathBuf>| path.clone().unwrap_or_default();
    let audience = arguments.audience.clone();
    let audience = audience.ok_or("--audience: say to which server the capability is presented")?;
    let mut words: Vec<String> = ["agent", "--stdio", "--key"].map(str::to_owned).into();
    words.push(absolute("--key", &given(&arguments.key))?);
    words.push("--capability".to_owned());
    words.push(absolute("--capability", &given(&arguments.capability))?);
    // Joined, so that what begins with a hyphen is taken for what it is.
    words.push(format!("--audience={audience}"));
    words.push(format!("--to={}", url_of(arguments.to.as_deref().unwrap_or_default())?));
    if arguments.call_bound {
        words.push("--call-bound".to_owned());
    }
    let own =
        own.to_str().ok_or("the path of this command is no UTF-8, which settings cannot hold")?;
    Ok(Server::Command(own.to_owned(), words))
}

fn absolute(flag: &str, path: &Path) -> Result<String, Box<dyn Error>> {
    let absolute = std::path::absolute(path)?;
    if !absolute.is_file() {
        return Err(format!("{flag}: {} is no file", absolute.display()).into());
    }
    let text = absolute.to_str();
    let text =
        text.ok_or_else(|| format!("{flag}: the path is no UTF-8, which settings cannot hold"))?;
    Ok(text.to_owned())
}

fn pasted(client: Client, name: &str, server: &Server) -> Result<String, Box<dyn Error>> {
    let entry = match server {
        Server::Command(command, words) => json!({"command": command, "args": words}),
        Server::Url(url) => json!({"url": url}),
    };
    let typed = |mut entry: Value| {
        let kind = if matches!(server, Server::Url(_)) { "http" } else { "stdio" };
        entry["type"] = kind.into();
        entry
    };
    let in_json = |member: &str, entry: Value| {
        Ok(serde_json::to_string_pretty(&json!({member: {name: entry}}))?)
    };
    match (client, server) {
        (Client::ClaudeCode, _) => for_shell(name, server),
        (Client::ClaudeDesktop, Server::Url(_)) => {
            Err("Claude Desktop's file takes commands alone; leave --url out, and give --key, --capability and --to".into())
        }
        (Client::ClaudeDesktop | Client::Cursor, _) => in_json("mcpServers", entry),
        (Client::Vscode, _) => in_json("servers", typed(entry)),
        (Client::Zed, _) => in_json("context_servers", entry),
        (Client::Codex, _) => Ok(toml::to_string(&json!({"mcp_servers": {name: entry}}))?.trim_end().to_owned()),
        (_, Server::Url(url)) => for_runtime(client, url),
        (_, Server::Command(..)) => Err(format!(
            "{} is a program of yours, which is given a URL: start `hardtack agent` beside it, and give --url instead of --key, --capability and --to; or start the command of `hardtack connect claude-desktop` by its own client for standard input and output",
            client.word()
        )
        .into()),
    }
}

/// A line for a shell of POSIX.
fn for_shell(name: &str, server: &Server) -> Result<String, Box<dyn Error>> {
    let words: Vec<&str> = match server {
        Server::Command(command, words) => {
            let before = ["claude", "mcp", "add", name, "--", command];
            before.into_iter().chain(words.iter().map(String::as_str)).collect()
        }
        Server::Url(url) => vec!["claude", "mcp", "add", "--transport", "http", name, url],
    };
    Ok(shlex::try_join(words)?)
}

fn for_runtime(client: Client, url: &str) -> Result<String, Box<dyn Error>> {
    let snippet = snippets::of(&client.word()).ok_or("there is no snippet for it")?;
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = writeln!(text, "# export HARDTACK_URL={}", shlex::try_quote(url)?);
    text.push_str(snippet);
    Ok(text)
}

impl Client {
    fn word(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// Where it belongs.
    fn place(self) -> &'static str {
        match self {
            Client::ClaudeCode => {
                "type it into a shell; for all projects: claude mcp add --scope user"
            }
            Client::ClaudeDesktop => {
                "into claude_desktop_config.json: macOS ~/Library/Application Support/Claude/, Windows %APPDATA%\\Claude\\; then start Claude Desktop again"
            }
            Client::Cursor => {
                "into .cursor/mcp.json of a project, or ~/.cursor/mcp.json for all of them"
            }
            Client::Vscode => {
                "into .vscode/mcp.json of a workspace, or the user's own by the command \"MCP: Open User Configuration\""
            }
            Client::Zed => {
                "into settings.json: Linux and macOS ~/.config/zed/, Windows %APPDATA%\\Zed\\; merge it with what is there"
            }
            Client::Codex => "into ~/.codex/config.toml",
            Client::Temporal => {
                "into the activity: no history keeps the token; docs/runtimes.md has the whole program"
            }
            _ => {
                "into your program, with --url alone: leave the header out where a `hardtack agent` signs; docs/runtimes.md has the whole program"
            }
        }
    }
}
