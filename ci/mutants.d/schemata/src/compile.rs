//! Compiles the copy, and leaves out the changes that do not compile.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::place::Written;
use crate::tree::Tree;

/// A program with tests.
#[derive(Debug, Clone)]
pub struct Program {
    pub name: String,
    pub path: PathBuf,
    /// The folder of its package.
    pub package: PathBuf,
}

/// Compiles until it works. Returns why each change was left out, and the programs.
pub fn compile(
    tree: &mut Tree,
    target: &str,
) -> Result<(BTreeMap<u32, String>, Vec<Program>), String> {
    let mut why = BTreeMap::new();
    // First the libraries with their own tests: an error in one ends all.
    let steps: [&[&str]; 2] = [&["--lib"], &["--lib", "--tests"]];
    let mut programs = Vec::new();
    for step in steps {
        loop {
            tree.write().map_err(|error| error.to_string())?;
            let (errors, built) = cargo(tree, target, step)?;
            programs = built;
            if errors.is_empty() {
                break;
            }
            let before = tree.left_out.len();
            for error in &errors {
                let message = error["message"].as_str().unwrap_or_default();
                if message.contains("`mutated`") {
                    // The fault is the copy's, and no change's.
                    return Err(error["rendered"].as_str().unwrap_or(message).to_owned());
                }
                for number in blamed(tree, error) {
                    tree.left_out.insert(number);
                    why.insert(number, error["message"].as_str().unwrap_or_default().to_owned());
                }
            }
            eprintln!("{} errors; {} changes left out", errors.len(), tree.left_out.len() - before);
            if tree.left_out.len() == before {
                let rendered = errors.iter().filter_map(|error| error["rendered"].as_str());
                return Err(rendered.collect::<Vec<_>>().join("\n"));
            }
        }
    }
    Ok((why, programs))
}

fn cargo(tree: &Tree, target: &str, args: &[&str]) -> Result<(Vec<Value>, Vec<Program>), String> {
    let mut child = Command::new("cargo")
        .args(["test", "--no-run", "--locked", "--workspace", "--message-format=json"])
        .args(args)
        .current_dir(&tree.root)
        .env("CARGO_TARGET_DIR", target)
        .env_remove("CARGO")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    let stderr = child.stderr.take();
    let heard = std::thread::spawn(move || stderr.map(std::io::read_to_string));
    let (mut errors, mut programs) = (Vec::new(), Vec::new());
    for line in BufReader::new(child.stdout.take().expect("it is piped")).lines() {
        let Ok(message) = serde_json::from_str::<Value>(&line.map_err(|error| error.to_string())?)
        else {
            continue;
        };
        let inner = &message["message"];
        if inner["level"] == "error" && !inner["spans"].as_array().is_none_or(Vec::is_empty) {
            errors.push(inner.clone());
        }
        if let (Some(path), true) =
            (message["executable"].as_str(), message["profile"]["test"] == true)
        {
            let name = message["target"]["name"].as_str().unwrap_or_default();
            let kind = message["target"]["kind"][0].as_str().unwrap_or_default();
            let manifest = Path::new(message["manifest_path"].as_str().unwrap_or_default());
            let package = manifest.parent().unwrap_or(&tree.root).to_owned();
            programs.push(Program { name: format!("{kind}:{name}"), path: path.into(), package });
        }
    }
    let is_done = child.wait().map_err(|error| error.to_string())?.success();
    if !is_done && errors.is_empty() {
        let said = heard.join().ok().flatten().and_then(Result::ok);
        return Err(said.unwrap_or_default());
    }
    Ok((errors, programs))
}

/// The changes that an error is about.
fn blamed(tree: &Tree, error: &Value) -> BTreeSet<u32> {
    let spans = |is_primary: bool| {
        let all = error["spans"].as_array().into_iter().flatten();
        let some = all.filter(move |span| span["is_primary"] == is_primary);
        some.filter_map(|span| place_of(tree, span)).collect::<Vec<_>>()
    };
    let (primary, others) = (spans(true), spans(false));
    let within = |spans: &[(&[Written], Range<usize>)]| {
        let found = spans.iter().flat_map(|(written, span)| {
            written.iter().filter(|one| one.own.start <= span.start && span.end <= one.own.end)
        });
        found.map(|one| one.number).collect::<BTreeSet<_>>()
    };
    let mut found = within(&primary);
    if found.is_empty() {
        found = within(&others);
    }
    for spans in [primary, others] {
        for (written, span) in spans {
            if !found.is_empty() {
                break;
            }
            // The innermost place around it, or what is inside.
            let around = written
                .iter()
                .filter(|one| one.whole.start <= span.start && span.end <= one.whole.end);
            let least = around.min_by_key(|one| one.whole.len()).map(|one| one.whole.clone());
            let same = written.iter().filter(|one| Some(&one.whole) == least.as_ref());
            found.extend(same.map(|one| one.number));
            if found.is_empty() {
                let inside = written
                    .iter()
                    .filter(|one| span.start <= one.own.start && one.own.end <= span.end);
                found.extend(inside.map(|one| one.number));
            }
        }
    }
    found
}

/// Where in a changed file a message points to; of what a macro made, where it is called.
fn place_of<'a>(tree: &'a Tree, mut span: &Value) -> Option<(&'a [Written], Range<usize>)> {
    loop {
        if let Some(written) = tree.written.get(span["file_name"].as_str()?) {
            let offset = |name: &str| span[name].as_u64().map(|offset| offset as usize);
            return Some((written, offset("byte_start")?..offset("byte_end")?));
        }
        span = span.get("expansion").filter(|expansion| !expansion.is_null())?.get("span")?;
    }
}
