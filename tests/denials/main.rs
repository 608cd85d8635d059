//! Denials: is what is said of a denied call what a person would say, and does the remedy help and is it the least?
//!
//! Three sets of policies as somebody writes them from prose, and calls by chains of up to four hops. For each: the cause,
//! the hop or the statement that is nearest, and the remedy. The remedy is carried out, and then the call is allowed; a
//! part of it, or a smaller change that the explanation names as well, is not enough.

mod github;
mod payments;
mod scene;
mod sql;

use hardtack::explain::{Change, Explanation, Remedy};
use hardtack::{Cause, Guard};

use scene::{Denial, Near, Scene, named};

/// How much somebody has to do for a change, and how much more it lets through.
fn size(change: &Change) -> usize {
    match change {
        Change::Argument { .. }
        | Change::NoArgument { .. }
        | Change::Resource { .. }
        | Change::Operation { .. } => 1,
        Change::Present { .. } | Change::Wait { .. } => 2,
        Change::Caller { .. } | Change::Delegation { .. } | Change::Renew { .. } => 3,
        Change::Scope { .. } | Change::Check { .. } => 4,
        Change::Fact { .. } => 5,
        Change::Policy { .. } => 6,
        _ => 7,
    }
}

fn first(remedy: &Remedy) -> &Change {
    remedy.changes.first().unwrap_or_else(|| panic!("no change for {}", remedy.obstacle))
}

/// What is said after these changes; an error if the chain cannot be made so.
fn with<'a>(
    scene: &Scene,
    changes: impl IntoIterator<Item = &'a Change>,
) -> Result<Explanation, String> {
    let mut scene = scene.clone();
    changes.into_iter().for_each(|change| scene.apply(change));
    scene.explained(|guard| guard)
}

fn is_allowed(explanation: &Result<Explanation, String>) -> bool {
    explanation.as_ref().is_ok_and(|explanation| explanation.ruling.cause.is_none())
}

/// What is wrong with the explanation of a denial; nothing, if all of it is right.
fn faults(denial: &Denial) -> Vec<String> {
    let mut faults = Vec::new();
    let mut fault = |text: String| faults.push(format!("{}: {text}", denial.name));
    let explanation = denial.scene.explain();
    let found = (explanation.ruling.cause.map(Cause::as_str), explanation.ruling.hop);
    if found != (Some(denial.cause), denial.hop) {
        fault(format!("refused for {found:?}: {}", explanation.ruling.message));
    }
    let remedies = &explanation.remedies;
    let Some(nearest) = remedies.first() else {
        fault("no remedy".to_owned());
        return faults;
    };
    let place = || nearest.policy.as_deref().and_then(|at| at.rsplit(':').next()?.parse().ok());
    let right = match denial.near {
        Near::Hop(block, text) => nearest.block == Some(block) && nearest.summary.contains(text),
        Near::Policy(start) => {
            let line: Option<usize> = place();
            let line = line.and_then(|line| denial.scene.policy.lines().nth(line - 1));
            line.is_some_and(|line| line.starts_with(start))
        }
        Near::Nothing => nearest.block.is_none() && nearest.policy.is_none(),
    };
    if !right {
        fault(format!("nearest is {}: {}", nearest.obstacle, nearest.summary));
    }
    let chosen: Vec<&Change> = remedies.iter().map(first).collect();
    let words: Vec<String> = chosen.iter().map(|change| named(change)).collect();
    if words != denial.helps {
        fault(format!("helps: {words:?}, not {:?}", denial.helps));
    }
    for text in denial.says {
        let obstacles: Vec<&str> = remedies.iter().map(|remedy| remedy.summary.as_str()).collect();
        let helps: Vec<&str> = chosen.iter().map(|change| change.text()).collect();
        let times =
            [&obstacles, &helps].map(|said| said.iter().filter(|said| said.contains(text)).count());
        if !matches!(times, [1, 0] | [0, 1] | [1, 1]) {
            fault(format!("`{text}` is said {times:?} times: {obstacles:#?} {helps:#?}"));
        }
    }
    for change in remedies.iter().flat_map(|remedy| &remedy.changes) {
        let text = change.text();
        let blanket = text.ends_with("granted($op);");
        if text.contains("call it such that") || blanket || text.contains("depth") {
            fault(format!("says {text}"));
        }
    }
    if !denial.carried_out {
        return faults;
    }
    let after = with(&denial.scene, chosen.iter().copied());
    if !is_allowed(&after) {
        let after = after.map(|after| after.ruling.message);
        fault(format!("not true: {after:?}; {chosen:#?}"));
    }
    // A part of it is not enough.
    for left_out in 0..chosen.len() {
        let part = chosen.iter().enumerate().filter(|(index, _)| *index != left_out);
        let part = with(&denial.scene, part.map(|(_, change)| *change));
        if is_allowed(&part) && !is_presented_anew(chosen[left_out]) {
            fault(format!("not needed: {}", chosen[left_out].text()));
        }
    }
    // Nor is a smaller change that is named as well.
    let needed = chosen.iter().filter(|change| !is_presented_anew(change));
    let whole: usize = needed.map(|change| size(change)).sum();
    for change in remedies.iter().flat_map(|remedy| &remedy.changes) {
        let open = matches!(
            change,
            Change::Argument { example: None, .. }
                | Change::Resource { .. }
                | Change::Policy { add: None, remove: None, .. }
        );
        if !open && size(change) < whole && is_allowed(&with(&denial.scene, [change])) {
            fault(format!("not the least: {}", change.text()));
        }
    }
    // An example of a step satisfies that step, whatever else is in the way.
    for remedy in remedies {
        if let change @ Change::Argument { argument, example: Some(_), .. } = first(remedy) {
            let after = with(&denial.scene, [change]).unwrap();
            let again = after.remedies.iter().any(|other| {
                let same = (&other.policy, other.block) == (&remedy.policy, remedy.block);
                let about = matches!(other.changes.first(), Some(Change::Argument { argument: other, .. }) if other == argument);
                same && about
            });
            if again {
                fault(format!("no example of its step: {}", change.text()));
            }
        }
    }
    faults
}

/// That a changed call is presented anew is done with it here.
fn is_presented_anew(change: &Change) -> bool {
    matches!(change, Change::Present { kind: Some("call"), audience: Some(_), .. })
}

fn hold(denials: &[Denial]) {
    let faults: Vec<String> = denials.iter().flat_map(faults).collect();
    assert!(faults.is_empty(), "{} faults\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn denials_of_a_github_server_are_explained_as_a_person_would() {
    hold(&github::denials());
}

#[test]
fn denials_of_a_sql_server_are_explained_as_a_person_would() {
    hold(&sql::denials());
}

#[test]
fn denials_of_payments_are_explained_as_a_person_would() {
    hold(&payments::denials());
}

/// The texts and numbers that only the arguments of a denied call have.
fn own_values(denial: &Denial) -> Vec<String> {
    fn leaves(value: &serde_json::Value, found: &mut Vec<String>) {
        match value {
            serde_json::Value::Array(items) => items.iter().for_each(|item| leaves(item, found)),
            serde_json::Value::String(text) => found.push(text.clone()),
            value => found.push(value.to_string()),
        }
    }
    let mut found = Vec::new();
    denial.scene.arguments.values().for_each(|value| leaves(value, &mut found));
    let known = denial.scene.said_by_others();
    found.retain(|value| value.len() > 2 && !known.contains(value.as_str()));
    found
}

#[test]
fn an_explanation_for_a_ticket_has_no_value_of_an_argument_and_names_the_same() {
    let mut values = 0;
    for denial in [github::denials(), sql::denials(), payments::denials()].concat() {
        let shown = denial.scene.explain();
        let ticket = denial.scene.explained(Guard::explain_without_arguments).unwrap();
        let text = serde_json::to_string(&ticket).unwrap();
        for value in own_values(&denial) {
            values += 1;
            assert!(!text.contains(&value), "{}: {value} is in {text}", denial.name);
        }
        assert_eq!(ticket.ruling, shown.ruling);
        let place = |explanation: &Explanation| {
            let nearest = explanation.remedies.first().unwrap();
            (nearest.policy.clone(), nearest.block)
        };
        assert_eq!(place(&ticket), place(&shown), "{}", denial.name);
    }
    assert!(values > 40, "{values}");
}

#[test]
fn there_are_at_least_sixty_denials_of_chains_of_up_to_four_hops() {
    let all = [github::denials(), sql::denials(), payments::denials()].concat();
    assert!(all.len() >= 60, "{}", all.len());
    for hops in 0..=4 {
        assert!(all.iter().any(|denial| denial.scene.hops.len() == hops), "{hops}");
    }
    // Each is carried out, but for the few that only people can do.
    assert!(all.iter().filter(|denial| !denial.carried_out).count() * 10 < all.len());
}
