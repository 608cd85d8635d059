//! Memory: does a message take more than is counted for it while it arrives ([`JsonSize`])? A process of its own, one test at a time: all
//! that is allocated meanwhile is seen.

use std::sync::{Mutex, MutexGuard, PoisonError};

use hardtack::internal::JsonSize;
use hardtack::mcp::Message;
use hardtack::*;
use hardtack_testkit::{Cast, NOW};
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the harness of the tests may take besides, and whatever is no copy of a message.
const LITTLE: usize = 64 * 1024;

/// How much more may be counted than a message takes: whoever sends much pays for what its form could take at the most. The most is
/// counted for empty objects and lists.
const MOST_COUNTED: usize = 32;

fn list(piece: &str, count: usize) -> String {
    format!("[{}]", vec![piece; count].join(","))
}

fn object(count: usize, name: usize) -> String {
    let members: Vec<_> = (0..count).map(|number| format!("\"{number:0name$}\":1")).collect();
    format!("{{{}}}", members.join(","))
}

fn nested(open: &str, close: &str, levels: usize) -> String {
    format!("{}1{}", open.repeat(levels), close.repeat(levels))
}

/// Values in the forms that take the most for their bytes, values, members or objects.
fn forms() -> Vec<(&'static str, String)> {
    let mut forms = vec![
        ("numbers", list("1", 150_000)),
        ("short texts", list("\"a\"", 150_000)),
        ("empty lists", list("[]", 90_000)),
        ("lists of one", list("[1]", 90_000)),
        ("empty objects", list("{}", 90_000)),
        ("objects of one", list(r#"{"":1}"#, 40_000)),
        ("objects of a text", list(r#"{"a":"b"}"#, 40_000)),
        ("nested objects", list(&nested(r#"{"":"#, "}", 98), 400)),
        ("nested lists", list(&nested("[", "]", 98), 900)),
        ("an object", object(150_000, 6)),
        ("an object with long names", object(50_000, 60)),
        ("a text", format!("\"{}\"", "a".repeat(4_000_000))),
        ("a text with an escape", format!("\"\\n{}\"", "a".repeat((1 << 21) + 8))),
        ("a text of escapes", format!("\"{}\"", "\\u00e9".repeat(600_000))),
        ("a text of brackets", format!("\"{}\"", "{\\\"a\\\":[".repeat(400_000))),
    ];
    // At these, a node of a tree is full, or has just been parted.
    for members in [5, 6, 7, 11, 12, 13, 17, 18, 143, 144] {
        forms.push(("objects of some", list(&object(members, 3), 60_000 / members)));
    }
    forms
}

#[test]
fn what_is_decided_about_a_message_takes_no_more_than_is_counted() {
    let _turn = turn();
    let cast = Cast::new();
    let guard = cast.guard(&Store::in_memory().unwrap());
    let bearer = cast.presented().bearer().to_owned();
    guard.check(&bearer, &Call::tool("search").unwrap(), NOW).unwrap();
    let counted_by_form = forms().into_iter().map(|(form, value)| {
        let text = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"search","arguments":{{"x":{value}}}}}}}"#
        );
        drop(value);
        let before = MEMORY.current_usage();
        MEMORY.reset_peak_usage();
        let body = text.clone().into_bytes();
        let counted = JsonSize::of(&body).memory(body.len());
        let message = Message::read(&body, Some("a-token-of-somebody"));
        let calls = message.as_ref().unwrap_or_else(|error| panic!("{form}: {error}")).calls();
        let [call] = &calls.unwrap()[..] else { panic!("{form}: not one call") };
        // As one that waits until it is decided, which other calls are meanwhile.
        let waiting = call.clone();
        let permit = guard.check(&bearer, &waiting, NOW);
        let taken = MEMORY.peak_usage() - before;
        assert!(permit.is_ok(), "{form}: {permit:?}");
        assert!(taken <= counted + LITTLE, "{form}: {counted} counted, {taken} taken");
        assert!(counted <= MOST_COUNTED * taken, "{form}: {counted} counted, {taken} taken");
        (counted as f64 / taken as f64, form)
    });
    let (least, form) = counted_by_form.min_by(|one, other| one.0.total_cmp(&other.0)).unwrap();
    println!("the least that is counted: {least:.2} of what {form} take");
}

/// What is refused is read once more for whom to answer: also for that, nothing is built of a list or object that stands for the id.
#[test]
fn whom_to_answer_takes_no_more_than_the_bytes_of_a_message() {
    let _turn = turn();
    for id in [list("[]", 1_000_000), list(r#"{"":1}"#, 400_000), "\"a\"".to_owned()] {
        let body =
            format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping","params":{{"a":1,"a":1}}}}"#);
        assert!(Message::read(body.as_bytes(), None).is_err());
        let before = MEMORY.current_usage();
        MEMORY.reset_peak_usage();
        let sender = Message::sender_of(body.as_bytes());
        let taken = MEMORY.peak_usage() - before;
        assert_eq!(sender.is_some(), id.len() == 3);
        assert!(taken <= LITTLE, "{taken} bytes");
    }
}
