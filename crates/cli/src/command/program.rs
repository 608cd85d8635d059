//! Program: which program is the gateway's server, and how is it started?

use std::error::Error;
use std::path::{Path, PathBuf};

use hardtack_mcp::{DEFAULT_IDLE, STARTS_PROCESSES, ServerCommand};

use crate::args::server::ServerSettings;
use crate::command::gateway::{time, wrong};
use crate::reading::{self, MAX_CREDENTIAL_BYTES};

/// This process's own program, also after another one was put in its place on the disk.
const OWN_PROGRAM: &str = "/proc/self/exe";

/// The program that the settings name, if they name one.
pub(super) fn of(settings: &ServerSettings) -> Result<Option<ServerCommand>, Box<dyn Error>> {
    let Some(line) = &settings.upstream_command else {
        for (key, is_given) in [
            ("upstream-env", !settings.upstream_env.is_empty()),
            ("upstream-folder", settings.upstream_folder.is_some()),
            ("upstream-idle", settings.upstream_idle.is_some()),
        ] {
            if is_given {
                return Err(wrong(key, "it is for a program; give it with upstream-command"));
            }
        }
        return Ok(None);
    };
    refuse_other_upstreams(settings)?;
    refuse_unstartable("upstream-command")?;
    let problem =
        "a quote has no end; write it as for a shell, such as: npx -y server '/srv/my data'";
    if let Some(comment) = comment_in(line) {
        let problem = format!(
            "{comment:?} begins with #, where a shell reads a comment; write it in quotes, or leave it out"
        );
        return Err(wrong("upstream-command", problem));
    }
    let words = shlex::split(line).ok_or_else(|| wrong("upstream-command", problem))?;
    let mut words = words.into_iter();
    let program = words.next().filter(|program| !program.is_empty());
    let program = program.ok_or_else(|| wrong("upstream-command", "it names no program"))?;
    let mut server = ServerCommand::new(program, words, supervisor()?);
    for variable in &settings.upstream_env {
        let (name, value) = variable_of(variable)?;
        server = server.env(name, value);
    }
    if let Some(folder) = &settings.upstream_folder {
        if !folder.is_dir() {
            return Err(wrong("upstream-folder", format!("{} is no folder", folder.display())));
        }
        server = server.folder(folder);
    }
    let idle = time("upstream-idle", settings.upstream_idle.as_deref())?.unwrap_or(DEFAULT_IDLE);
    if idle.is_zero() {
        return Err(wrong("upstream-idle", "every process is idle for a moment"));
    }
    Ok(Some(server.idle(idle)))
}

/// Says so at the start where no program can be started later.
pub(crate) fn refuse_unstartable(key: &str) -> Result<(), Box<dyn Error>> {
    match STARTS_PROCESSES {
        true => Ok(()),
        false => Err(wrong(
            key,
            "programs are started on Linux and macOS only, where all that they start ends with them; name a server over HTTP",
        )),
    }
}

/// The first word that begins with an unquoted #: it would be dropped, with all that stands behind it in its line.
fn comment_in(line: &str) -> Option<&str> {
    let (mut quote, mut begins_word) = (None, true);
    let mut characters = line.char_indices();
    while let Some((at, character)) = characters.next() {
        match (quote, character) {
            (None, '#') if begins_word => return line[at..].split_whitespace().next(),
            (None, '\'' | '"') => quote = Some(character),
            (Some(open), _) if open == character => quote = None,
            (None | Some('"'), '\\') => drop(characters.next()),
            _ => {}
        }
        begins_word = quote.is_none() && matches!(character, ' ' | '\t' | '\n');
    }
    None
}

fn refuse_other_upstreams(settings: &ServerSettings) -> Result<(), Box<dyn Error>> {
    if settings.upstream.is_some() {
        return Err(wrong("upstream-command", "give either it or upstream"));
    }
    let credentials = [
        ("upstream-authorization-file", settings.upstream_authorization_file.is_some()),
        ("upstream-authorization-env", settings.upstream_authorization_env.is_some()),
        ("upstream-header", !settings.upstream_header.is_empty()),
        ("upstream-header-kept", settings.upstream_header_kept.is_some()),
        ("upstream-oauth", settings.upstream_oauth.is_some()),
        ("upstream-ca", settings.upstream_ca.is_some()),
        ("upstream-cert", settings.upstream_cert.is_some()),
        ("upstream-key", settings.upstream_key.is_some()),
        ("allow-plain-http", settings.allow_plain_http.is_some()),
    ];
    if let Some((key, _)) = credentials.iter().find(|(_, is_given)| *is_given) {
        let problem = "a program takes no headers and no TLS; give it what it needs by upstream-env NAME=@FILE";
        return Err(wrong(key, problem));
    }
    Ok(())
}

/// A variable by its name, or from a file. Never from the command line, where every process list shows it.
fn variable_of(written: &str) -> Result<(String, String), Box<dyn Error>> {
    let wrong = |problem: String| wrong("upstream-env", problem);
    let (name, file) = match written.split_once('=') {
        None => (written, None),
        Some((name, value)) => match value.strip_prefix('@') {
            Some(file) => (name, Some(file)),
            None => {
                return Err(wrong(
                    "write NAME, or NAME=@FILE: what stands on a command line, every process list shows".to_owned(),
                ));
            }
        },
    };
    let is_name = !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !is_name {
        return Err(wrong(
            "a name has letters, digits and _, and begins with no digit; write NAME, or NAME=@FILE"
                .to_owned(),
        ));
    }
    let value = match file {
        Some(file) => {
            let text = reading::regular(Path::new(file), MAX_CREDENTIAL_BYTES)
                .map_err(|error| wrong(error.to_string()))?;
            let text = text.trim_start_matches(reading::BYTE_ORDER_MARK);
            text.strip_suffix('\n').unwrap_or(text).trim_end_matches('\r').to_owned()
        }
        None => std::env::var(name).map_err(|_| {
            wrong(format!("{name} is not set to a text; set it, or write {name}=@FILE"))
        })?,
    };
    if value.contains('\0') {
        return Err(wrong(format!("{name} has a zero byte, which no variable can hold")));
    }
    Ok((name.to_owned(), value))
}

/// This command itself, executed again.
fn supervisor() -> Result<(PathBuf, Vec<std::ffi::OsString>), Box<dyn Error>> {
    let own = PathBuf::from(OWN_PROGRAM);
    let own = if own.exists() { own } else { std::env::current_exe()? };
    Ok((own, vec![crate::SUPERVISE.into()]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_a_shell_drops_is_found_and_no_other_one() {
        for (line, found) in [
            ("npx server #1 two", Some("#1")),
            ("npx\n# two", Some("#")),
            ("#", Some("#")),
            ("a '' #b", Some("#b")),
            ("a b#c '#d' \"#e\" \\#f ''#g", None),
            ("a ' #b' \" \\\" #c\"", None),
        ] {
            assert_eq!(comment_in(line), found, "{line}");
            // What is not found is read whole.
            let read = shlex::split(line).unwrap().concat();
            assert_eq!(read.matches('#').count() == line.matches('#').count(), found.is_none());
        }
    }
}
