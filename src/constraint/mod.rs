//! Constraint: what a delegator demands of a call's arguments, in one line and without Datalog.
//!
//! `docs/constraints.md` lists the forms. How a line is read is `parse`'s business, what becomes of it in a
//! token `check`'s.

mod check;
mod error;
mod example;
mod hint;
mod parse;
#[cfg(test)]
mod written;

use std::fmt;

use biscuit_auth::builder::Check;

use crate::call::MAX_SAFE_INTEGER;
use crate::function::Function;

pub use error::ConstraintError;
pub(crate) use example::texts_like;

/// What stands for "only those arguments that the other constraints speak of".
const NO_OTHERS: &str = "no other arguments";

/// A condition of a delegator on one argument of a call, or on which arguments there may be.
///
/// It is read from text and written as such: `amount <= 100`, `path within /srv/data`,
/// `currency in ["EUR", "USD"]`. Each becomes one check of the hop's block. An argument that is spoken of must be
/// there, unless its name is followed by `?`.
///
/// ```
/// use hardtack::Constraint;
///
/// let ceiling: Constraint = "amount <= 100".parse()?;
/// assert_eq!(ceiling.to_string(), "amount <= 100");
/// assert_eq!(ceiling.argument(), Some("amount"));
/// assert!("amount <= a lot".parse::<Constraint>().is_err());
/// # Ok::<(), hardtack::constraint::ConstraintError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Constraint(pub(crate) Form);

impl Constraint {
    /// Returns the name of the argument that the constraint is about; `None` if it is about the call's resource or
    /// about several arguments.
    pub fn argument(&self) -> Option<&str> {
        match &self.0 {
            Form::Demanded { of, .. } | Form::Absent(of) => of.argument(),
            Form::Only(_) | Form::AnyOf(_) => None,
        }
    }

    /// All arguments that it speaks of.
    pub(crate) fn arguments(&self) -> Vec<String> {
        match &self.0 {
            Form::Demanded { of, .. } => of.argument().map(str::to_owned).into_iter().collect(),
            Form::Absent(_) => Vec::new(),
            Form::Only(names) => names.clone(),
            Form::AnyOf(alternatives) => {
                let names = alternatives.iter().filter_map(|(of, _)| of.argument());
                names.map(str::to_owned).collect()
            }
        }
    }

    /// Makes the constraint that a call has no other arguments than those of which `others` speak.
    pub fn no_other_arguments(others: &[Constraint]) -> Constraint {
        let mut names: Vec<String> = others.iter().flat_map(Constraint::arguments).collect();
        names.sort();
        names.dedup();
        Constraint(Form::Only(names))
    }
}

/// The checks of all that one hop or grant demands of arguments, each as text.
pub(crate) fn checks(demands: &[String]) -> Result<Vec<Check>, ConstraintError> {
    let (closing, demands): (Vec<&String>, Vec<&String>) =
        demands.iter().partition(|text| text.trim() == NO_OTHERS);
    let mut constraints =
        demands.into_iter().map(|text| text.parse()).collect::<Result<Vec<Constraint>, _>>()?;
    if !closing.is_empty() {
        constraints.push(Constraint::no_other_arguments(&constraints));
    }
    Ok(constraints.iter().map(Constraint::to_check).collect())
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Form {
    /// Something of one argument, or of the resource.
    Demanded {
        of: Subject,
        /// It may also be absent.
        optional: bool,
        demand: Demand,
    },
    /// The argument or resource may not be there.
    Absent(Subject),
    /// These arguments and no others.
    Only(Vec<String>),
    /// One of several demands holds.
    AnyOf(Vec<(Subject, Demand)>),
}

/// Of what something is demanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Subject {
    /// The argument of this name.
    Argument(String),
    /// The call's resource, which is no argument: one may be called `resource`, too.
    Resource,
}

impl Subject {
    pub(crate) fn argument(&self) -> Option<&str> {
        match self {
            Subject::Argument(name) => Some(name),
            Subject::Resource => None,
        }
    }
}

/// How the call's resource is written. No argument is written so: a name of two words stands in quotes.
const THE_RESOURCE: &str = "the resource";

/// What is demanded of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Demand {
    Present,
    Equal(Value),
    OneOf(Vec<Value>),
    NoneOf(Vec<Value>),
    /// A whole number.
    Number(Range),
    StartsWith(String),
    EndsWith(String),
    Contains(String),
    /// The bytes of a text.
    Length(Range),
    /// The items of an array.
    Items(Range),
    /// The array has this item.
    Includes(Value),
    Judged(Function, String),
    /// Every item of the array; never itself of a kind that looks into arrays.
    Each(Box<Demand>),
}

/// From one whole number to another, both included; at least one of them is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) least: Option<i64>,
    pub(crate) most: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Value {
    Text(String),
    Number(i64),
    Bool(bool),
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Form::Demanded { of, optional, demand } => {
                let mark = if *optional { "?" } else { "" };
                write_demand(f, of, mark, demand)
            }
            Form::Absent(of) => write!(f, "{of} absent"),
            Form::Only(names) if names.is_empty() => f.write_str("no arguments"),
            Form::Only(names) => {
                let names: Vec<String> = names.iter().map(|name| Name(name).to_string()).collect();
                write!(f, "only {}", names.join(", "))
            }
            Form::AnyOf(alternatives) => {
                for (index, (of, demand)) in alternatives.iter().enumerate() {
                    if index > 0 {
                        f.write_str(" or ")?;
                    }
                    write_demand(f, of, "", demand)?;
                }
                Ok(())
            }
        }
    }
}

fn write_demand(
    f: &mut fmt::Formatter<'_>,
    of: &Subject,
    mark: &str,
    demand: &Demand,
) -> fmt::Result {
    match demand {
        Demand::Each(demand) => write!(f, "each {of}{mark} {demand}"),
        demand => write!(f, "{of}{mark} {demand}"),
    }
}

impl fmt::Display for Demand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Demand::Present => f.write_str("required"),
            Demand::Equal(value) => write!(f, "== {value}"),
            Demand::OneOf(values) => write!(f, "in [{}]", joined(values)),
            Demand::NoneOf(values) => write!(f, "not in [{}]", joined(values)),
            Demand::Number(range) => write!(f, "{range}"),
            Demand::StartsWith(text) => write!(f, "starts with {}", quoted(text)),
            Demand::EndsWith(text) => write!(f, "ends with {}", quoted(text)),
            Demand::Contains(text) => write!(f, "contains {}", quoted(text)),
            Demand::Length(range) => write!(f, "length {range}"),
            Demand::Items(range) => write!(f, "items {range}"),
            Demand::Includes(value) => write!(f, "includes {value}"),
            Demand::Judged(Function::Path, root) => write!(f, "within {}", operand(root)),
            Demand::Judged(Function::Url, site) => write!(f, "url {}", operand(site)),
            Demand::Judged(Function::Network, network) => write!(f, "network {}", operand(network)),
            Demand::Judged(Function::Glob, pattern) => write!(f, "like {}", quoted(pattern)),
            Demand::Each(demand) => write!(f, "{demand}"),
        }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.least, self.most) {
            (Some(least), Some(most)) => write!(f, "between {least} and {most}"),
            (Some(least), None) => write!(f, ">= {least}"),
            (None, Some(most)) => write!(f, "<= {most}"),
            (None, None) => write!(f, ">= {}", -MAX_SAFE_INTEGER),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Text(text) => f.write_str(&quoted(text)),
            Value::Number(number) => write!(f, "{number}"),
            Value::Bool(held) => write!(f, "{held}"),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Argument(name) => Name(name).fmt(f),
            Subject::Resource => f.write_str(THE_RESOURCE),
        }
    }
}

/// An argument's name: bare if it can be read so, else as JSON text.
struct Name<'a>(&'a str);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match parse::is_bare_name(self.0) {
            true => f.write_str(self.0),
            false => f.write_str(&quoted(self.0)),
        }
    }
}

fn joined(values: &[Value]) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A folder or site: bare where it has no blanks or quotes, which is nearly always.
fn operand(text: &str) -> String {
    let bare = text.chars().all(|c| c.is_ascii_alphanumeric() || "_.@/+-:*".contains(c));
    if bare { text.to_owned() } else { quoted(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMS: [&str; 43] = [
        "amount == 5",
        "currency == \"EUR\"",
        "force == true",
        "currency in [\"EUR\", \"USD\"]",
        "level in [1, 2]",
        "user not in [\"root\"]",
        "amount <= 100",
        "amount >= -5",
        "amount between 1 and 100",
        "a starts with \"x y\"",
        "a ends with \".pdf\"",
        "a contains \"x\"",
        "a length <= 5",
        "a length between 5 and 5",
        "a length <= 4096",
        "a length <= 4097",
        "a length >= 5",
        "a? length between 5 and 100000",
        "each a length <= 100000",
        "a length <= 5 or a length >= 5000",
        "a items >= 1",
        "a includes \"x\"",
        "a within /srv/data",
        "a url https://*.example.com:8443/v1",
        "a network 10.0.0.0/8",
        "a like \"*.pdf\"",
        "each a in [\"x\"]",
        "each a between 1 and 5",
        "each a within /srv",
        "a required",
        "a absent",
        "a? <= 5",
        "each a? in [\"x\"]",
        "only a, b",
        "no arguments",
        "a <= 5 or b == true or \"only\" == \"x or y\"",
        "a within file:///srv",
        "the resource within file:///srv/data",
        "the resource url https://*.example.com/v1",
        "the resource? within \"file:///srv/my%20data\"",
        "the resource in [\"https://a.example/\", \"https://b.example/\"]",
        "the resource absent",
        "the resource within file:///srv or resource == \"x\" or \"the resource\" == \"y\"",
    ];

    #[test]
    fn every_form_is_read_from_the_check_that_was_made_of_it() {
        for text in FORMS {
            let constraint: Constraint = text.parse().unwrap();
            assert_eq!(constraint.to_string(), text);
            assert_eq!(Constraint::of_check(&constraint.to_check()), Some(constraint), "{text}");
        }
    }

    #[test]
    fn other_checks_are_taken_for_none() {
        for text in [
            r#"check if arg("a", $a), $a <= 5"#,
            r#"check all arg("a", $a), $a.type() == "integer", $a < 5"#,
            r#"check all arg("a", $a), arg("b", $b)"#,
            r#"reject if arg("a", $a), $a == 5"#,
            r#"check all operation($operation), {"x"}.contains($operation)"#,
            "check if true",
        ] {
            let check = crate::block::parse_check(text).unwrap();
            assert_eq!(Constraint::of_check(&check), None, "{text}");
        }
    }

    /// Which form a constraint has, without what it compares with.
    fn shape(constraint: &Constraint) -> (std::mem::Discriminant<Form>, String) {
        let demand = |demand: &Demand| match demand {
            Demand::Each(inner) => format!("each {:?}", std::mem::discriminant(&**inner)),
            Demand::Judged(function, _) => function.name().to_owned(),
            demand => format!("{:?}", std::mem::discriminant(demand)),
        };
        let inner = match &constraint.0 {
            Form::Demanded { of: Subject::Resource, .. } => "resource".to_owned(),
            Form::Demanded { optional: true, .. } => "optional".to_owned(),
            Form::Demanded { demand: Demand::Each(_), .. } => "each".to_owned(),
            Form::Demanded { demand: one, .. } => demand(one),
            Form::Only(names) => names.is_empty().to_string(),
            Form::Absent(_) | Form::AnyOf(_) => String::new(),
        };
        (std::mem::discriminant(&constraint.0), inner)
    }

    #[test]
    fn the_page_has_every_form() {
        let page = include_str!("../../docs/constraints.md");
        let (_, table) = page.split_once("| form |").unwrap();
        let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
        let examples = rows.flat_map(|row| row.split('|').nth(2).unwrap().split('`'));
        let shown: Vec<_> = examples.filter_map(|text| Some(shape(&text.parse().ok()?))).collect();
        for text in FORMS {
            assert!(shown.contains(&shape(&text.parse().unwrap())), "{text}");
        }
    }

    #[test]
    fn the_page_shows_what_becomes_of_constraints() {
        let page = include_str!("../../docs/constraints.md");
        let (_, table) = page.split_once("| constraint | check |").unwrap();
        let rows: Vec<_> = table.lines().skip(2).take_while(|line| line.starts_with('|')).collect();
        assert!(rows.len() > 3);
        for row in rows {
            let mut spans = row.split('`').skip(1).step_by(2);
            let constraint: Constraint = spans.next().unwrap().parse().unwrap();
            // In a table, Markdown has a sign before each of these.
            let written = constraint.to_check().to_string().replace('|', "\\|");
            assert_eq!(spans.next(), Some(written.as_str()));
        }
    }

    #[test]
    fn a_check_of_a_range_is_plain_datalog() {
        let check = |text: &str| text.parse::<Constraint>().unwrap().to_check().to_string();
        assert_eq!(
            check("amount <= 100"),
            r#"check all arg("amount", $arg), $arg.type() == "integer", $arg <= 100"#
        );
        assert_eq!(
            check("a within /srv"),
            r#"check all arg("a", $arg), $arg.type() == "string", $arg.extern::hardtack_path("/srv")"#
        );
        assert_eq!(
            check("the resource? within file:///srv"),
            r#"reject if resource($resource), !($resource.type() == "string" && $resource.extern::hardtack_path("file:///srv"))"#
        );
        assert_eq!(check("the resource absent"), "reject if resource($resource)");
    }

    #[test]
    fn an_argument_called_resource_is_not_the_resource() {
        let argument =
            |text: &str| text.parse::<Constraint>().unwrap().argument().map(str::to_owned);
        assert_eq!(argument("resource url https://a.example"), Some("resource".to_owned()));
        assert_eq!(argument("\"the resource\" required"), Some("the resource".to_owned()));
        assert_eq!(argument("the == x"), Some("the".to_owned()));
        assert_eq!(argument("the resource url https://a.example"), None);
        assert_eq!(argument("the resource absent"), None);
    }
}
