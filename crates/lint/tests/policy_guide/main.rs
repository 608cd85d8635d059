//! The pages for people who write policies and constraints: each recipe, mistake, constraint and function on them is tried.

mod constraints;
mod mistakes;

use std::fs;

use hardtack::*;
use hardtack_testkit::*;

/// The pages, each read on its own by people and as one by the tests.
const PAGES: [&str; 6] = ["policies", "recipes", "mistakes", "constraints", "functions", "tenuo"];

fn page() -> String {
    PAGES.map(|name| fs::read_to_string(format!("../../docs/{name}.md")).unwrap()).join("\n")
}

/// A fenced block, with the heading above it and the comment that says what it is.
#[derive(Debug, Clone)]
struct Block {
    heading: String,
    mark: String,
    language: String,
    text: String,
}

fn blocks() -> Vec<Block> {
    let (mut heading, mut mark, mut blocks) = (String::new(), String::new(), Vec::new());
    let page = page();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(title) = line.strip_prefix("#") {
            heading = title.trim_matches(['#', ' ']).to_owned();
        } else if let Some(comment) = line.strip_prefix("<!-- ") {
            mark = comment.strip_suffix(" -->").unwrap().to_owned();
        } else if let Some(language) = line.strip_prefix("```") {
            let text: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            let text = text.join("\n") + "\n";
            let (heading, language) = (heading.clone(), language.to_owned());
            blocks.push(Block { heading, mark: std::mem::take(&mut mark), language, text });
        }
    }
    blocks
}

/// The rows of the table whose head begins so, as cells of code spans.
fn table(head: &str) -> Vec<Vec<Vec<String>>> {
    let page = page();
    let (_, table) = page.split_once(&format!("\n| {head} |")).unwrap();
    let spans = |cell: &str| -> Vec<String> {
        cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    };
    let width = table.lines().next().unwrap().matches('|').count() + 1;
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(spans).collect();
        assert_eq!(cells.len(), width, "{row}");
        cells
    })
    .collect()
}

/// A session of an agent whose hop has these constraints.
fn verified(constraints: &[String]) -> VerifiedCapability {
    let cast = Cast::new();
    let hop = Delegation::to("agent.payer")
        .scope("tools:call:*")
        .reason("a constraint")
        .holder(cast.researcher.public());
    let hop = constraints.iter().fold(hop, Delegation::allow);
    let capability = cast.grant().delegate(hop, &cast.orchestrator, NOW).unwrap();
    let bearer = capability.present(Presenting::to(AUDIENCE), &cast.researcher, NOW).unwrap();
    cast.verifier().verify(bearer.bearer(), NOW).unwrap()
}
