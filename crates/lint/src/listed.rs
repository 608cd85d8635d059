//! Listed: which tools does a server list? An answer to `tools/list`, read.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Deserialize;
use serde_json::Value as Json;
use serde_json::value::RawValue;

use crate::schema::{self, Shape};
use hardtack::internal::syntax::Query;

use crate::set::equality;

/// The most tools of a server: more than any has.
const MAX_TOOLS: usize = 10_000;

/// The most schemas that are looked at in all tools of a server. Of tools beyond that, the arguments are not known.
const MAX_SCHEMAS: usize = 200_000;

/// The most bytes of one schema that are read: a hundred times what large tools have. Parsed, it takes about a hundred times as many.
const MAX_SCHEMA_BYTES: usize = 1024 * 1024;

/// The longest name of a tool or argument that is shown and compared, in bytes: what an operation may have in a segment.
pub(super) const MAX_NAME: usize = 128;

/// The tools that a server lists, with what each takes.
#[derive(Debug, Clone)]
pub struct ServerTools {
    audience: Option<String>,
    tools: BTreeMap<String, Shape>,
    unread: BTreeSet<String>,
}

/// Why a text is no list of tools.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ToolsError {
    /// It is not JSON, or none of the forms.
    NoList,
    /// It is an error's answer.
    Refusal,
    /// It is one page of several.
    OnePage,
    /// An element of the list is no tool.
    NoTool {
        /// Which, counted from 1.
        number: usize,
    },
    /// There are more than a server has.
    TooMany,
}

impl fmt::Display for ToolsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ToolsError::NoList => f.write_str(
                "it is no list of tools; write the result of tools/list as JSON: {\"tools\": […]}, the whole answer, or the array",
            ),
            ToolsError::Refusal => f.write_str("it is an answer with an error and no list"),
            ToolsError::OnePage => f.write_str(
                "it is one page of several (nextCursor): put the tools of all pages into one array",
            ),
            ToolsError::NoTool { number } => {
                write!(f, "element {number} of the list is no tool with a name")
            }
            ToolsError::TooMany => write!(f, "it has more than {MAX_TOOLS} tools"),
        }
    }
}

impl std::error::Error for ToolsError {}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'t> {
    #[serde(borrow)]
    tools: Option<Vec<&'t RawValue>>,
    #[serde(borrow)]
    result: Option<&'t RawValue>,
    #[serde(borrow)]
    error: Option<&'t RawValue>,
    next_cursor: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'t> {
    name: String,
    #[serde(borrow)]
    input_schema: Option<&'t RawValue>,
}

impl ServerTools {
    /// Reads a server's answer to `tools/list`: the result, a whole JSON-RPC response, or the array of tools. `audience` is the server's
    /// name, if policies for several servers ask for it by `verifier("…")`.
    ///
    /// # Errors
    ///
    /// [`ToolsError`] for what is no such list, or only a page of one.
    ///
    /// ```
    /// use hardtack_lint::{Code, Options, ServerTools, lint_texts};
    ///
    /// let tools = ServerTools::read(None, r#"{"tools": [{"name": "search"}]}"#)?;
    /// let file = ("tools.datalog".to_owned(), "allow if tool(\"serach\"), granted($op);".to_owned());
    /// let report = lint_texts(vec![file], &Options { tools: vec![tools], ..Options::default() });
    /// assert_eq!(report.findings[0].code, Code::UnknownTool);
    /// # Ok::<(), hardtack_lint::ToolsError>(())
    /// ```
    pub fn read(audience: Option<String>, listed: &str) -> Result<ServerTools, ToolsError> {
        let mut server = ServerTools { audience, tools: BTreeMap::new(), unread: BTreeSet::new() };
        let mut left = MAX_SCHEMAS;
        for (index, entry) in entries(listed)?.into_iter().enumerate() {
            let entry: Entry<'_> = serde_json::from_str(entry.get())
                .map_err(|_| ToolsError::NoTool { number: index + 1 })?;
            server.take(entry, &mut left);
        }
        Ok(server)
    }

    /// Takes one tool. A schema that is missing or cannot be read, or of two tools of one name, says nothing.
    fn take(&mut self, entry: Entry<'_>, left: &mut usize) {
        let schema = entry.input_schema.map(RawValue::get);
        let schema = schema.filter(|text| *left > 0 && text.len() <= MAX_SCHEMA_BYTES);
        // What nests too deep for the parser is no JSON for it.
        let schema: Option<Json> = schema.and_then(|text| serde_json::from_str(text).ok());
        let schema = schema.filter(|schema| schema.is_object() || schema.is_boolean());
        let schema = schema.and_then(|schema| {
            let (shape, seen) = schema::read(&schema);
            *left = left.saturating_sub(seen);
            shape
        });
        if schema.is_none() || self.tools.contains_key(&entry.name) {
            self.unread.insert(entry.name.clone());
            self.tools.insert(entry.name, Shape::any());
        } else if let Some(shape) = schema {
            self.tools.insert(entry.name, shape);
        }
    }

    /// The tools of whose arguments nothing is known, since they have no `inputSchema`, or one that is too deep or too large, or the
    /// name stands twice.
    pub fn unread(&self) -> impl Iterator<Item = &str> {
        self.unread.iter().map(String::as_str)
    }

    pub(super) fn tool(&self, name: &str) -> Option<&Shape> {
        self.tools.get(name)
    }

    /// Whether the name of some tool begins so.
    pub(super) fn begins_one(&self, beginning: &str) -> bool {
        let from = self.tools.range(beginning.to_owned()..);
        from.take(1).any(|(name, _)| name.starts_with(beginning))
    }

    /// Names that can be shown.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.tools.keys().map(String::as_str).filter(|name| name.len() <= MAX_NAME)
    }

    /// What the server is called in messages.
    pub(super) fn called(&self) -> String {
        match &self.audience {
            Some(audience) => format!("the server {audience}"),
            None => "the server".to_owned(),
        }
    }
}

/// The elements of the list, in whichever form.
fn entries(listed: &str) -> Result<Vec<&RawValue>, ToolsError> {
    let no_list = |_| ToolsError::NoList;
    let listed = listed.trim_start_matches('\u{feff}').trim();
    let tools = match listed.starts_with('[') {
        true => serde_json::from_str(listed).map_err(no_list)?,
        false => {
            let mut answer: Answer<'_> = serde_json::from_str(listed).map_err(no_list)?;
            if answer.error.is_some() {
                return Err(ToolsError::Refusal);
            }
            if let Some(result) = answer.result.filter(|_| answer.tools.is_none()) {
                answer = serde_json::from_str(result.get()).map_err(no_list)?;
            }
            if answer.next_cursor.is_some_and(|cursor| !cursor.is_empty()) {
                return Err(ToolsError::OnePage);
            }
            answer.tools.ok_or(ToolsError::NoList)?
        }
    };
    match tools.len() > MAX_TOOLS {
        true => Err(ToolsError::TooMany),
        false => Ok(tools),
    }
}

/// The servers of which a question may be asked: those of the name that it demands, or all.
pub(super) fn asked_of<'o>(servers: &'o [ServerTools], query: &Query) -> Vec<&'o ServerTools> {
    let wanted = query.atoms.iter().find(|atom| atom.name == "verifier");
    let wanted = wanted.and_then(|atom| atom.terms.first()).and_then(|term| {
        let Some(name) = term.variable() else { return term.text() };
        query.conditions.iter().flat_map(|condition| condition.parts()).find_map(|part| {
            let (left, right) = equality(part)?;
            match (left.variable() == Some(name), right.variable() == Some(name)) {
                (true, _) => right.constant()?.text(),
                (_, true) => left.constant()?.text(),
                _ => None,
            }
        })
    });
    let may_be = |server: &&ServerTools| match (&server.audience, wanted) {
        (Some(audience), Some(wanted)) => audience == wanted,
        _ => true,
    };
    servers.iter().filter(may_be).collect()
}
