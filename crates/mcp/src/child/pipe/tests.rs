//! Bounds of a pipe, and what its ids come to.

use super::*;
use hardtack::cause::Cause;

fn request(id: &str, token: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"_meta":{{"progressToken":{token}}}}}}}"#
    )
}

fn ask(pipe: &Arc<Pipe>, id: &str) -> Waiting {
    let text = request(id, id);
    pipe.ask(&Spans::read(&text).unwrap(), true).unwrap()
}

fn progress(number: u64, bytes: usize) -> String {
    let text = "p".repeat(bytes);
    format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{number},"message":"{text}"}}}}"#
    )
}

fn answer(number: u64) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{number},"result":{{}}}}"#)
}

#[tokio::test]
async fn a_client_that_does_not_read_is_let_go_and_others_get_their_answers() {
    let (pipe, _input) = Pipe::new("server".into(), Era::Legacy);
    let (slow, quick) = (ask(&pipe, "1"), ask(&pipe, "2"));
    for _ in 0..2 {
        assert!(pipe.said(&progress(slow.number, MAX_EVENT_BYTES - 200)).await);
    }
    assert!(pipe.said(&answer(quick.number)).await);
    assert_eq!(quick.mailbox.next().await.unwrap().text, answer(2));
    // What does not fit waits; then the one that holds it up is let go.
    let patience = Duration::from_millis(50);
    let one_more = progress(slow.number, 1024 * 1024);
    let waits = pipe.said_within(&one_more, patience);
    assert!(tokio::time::timeout(DELIVERY_PATIENCE, waits).await.unwrap());
    assert_eq!(slow.mailbox.next().await.unwrap_err(), Closed::Undelivered);
    assert_eq!(pipe.output_bytes.available_permits(), MAX_OUTPUT_BYTES);
}

#[tokio::test]
async fn so_many_requests_and_bytes_wait_for_a_process_and_then_no_more() {
    let (pipe, mut input) = Pipe::new("server".into(), Era::Legacy);
    let waiting: Vec<Waiting> = (0..MAX_PENDING).map(|_| ask(&pipe, "1")).collect();
    let text = request("1", "1");
    let spans = Spans::read(&text).unwrap();
    assert_eq!(pipe.ask(&spans, true).unwrap_err(), Unsent::Full);
    drop(waiting);
    let large = format!(r#"{{"jsonrpc":"2.0","method":"{}"}}"#, "m".repeat(7 * 1024 * 1024));
    let spans = Spans::read(&large).unwrap();
    assert_eq!((pipe.tell(&spans), pipe.tell(&spans)), (Ok(()), Ok(())));
    assert_eq!(pipe.tell(&spans), Err(Unsent::Full));
    while input.try_recv().is_ok() {}
    assert_eq!(pipe.tell(&spans), Ok(()), "it has read");
    pipe.ended();
    drop(input);
    assert_eq!(pipe.tell(&spans), Err(Unsent::Ended));
    assert_eq!(pipe.ask(&Spans::read(&text).unwrap(), true).unwrap_err(), Unsent::Ended);
}

#[tokio::test]
async fn a_server_asks_so_much_and_what_waits_for_a_stream_is_bounded() {
    let (pipe, mut input) = Pipe::new("server".into(), Era::Legacy);
    for number in 0..MAX_WAITING + 5 {
        let asked = format!(r#"{{"jsonrpc":"2.0","id":"s{number}","method":"roots/list"}}"#);
        assert!(pipe.said(&asked).await);
    }
    let mut refused = 0;
    while let Ok((line, _)) = input.try_recv() {
        assert!(line.contains("too many requests wait"), "{line}");
        refused += 1;
    }
    assert_eq!(refused, 5);
    let general = pipe.listen().unwrap();
    assert!(pipe.listen().is_none(), "one stream at a time");
    for number in 0..MAX_WAITING {
        let said = general.mailbox.next().await.unwrap();
        assert!(said.text.contains(&format!("\"s{number}\"")), "{}", said.text);
    }
    drop(general);
    assert!(pipe.listen().is_some());
}

#[tokio::test]
async fn a_server_asks_under_short_ids() {
    let (pipe, mut input) = Pipe::new("server".into(), Era::Legacy);
    for (bytes, passes) in [(MAX_TEXT_BYTES - 2, true), (MAX_TEXT_BYTES - 1, false)] {
        let id = "i".repeat(bytes);
        let asked = format!(r#"{{"jsonrpc":"2.0","id":"{id}","method":"roots/list"}}"#);
        assert!(pipe.said(&asked).await);
        let told = input.try_recv().ok().map(|(line, _)| line);
        assert_eq!(told.is_none(), passes, "{told:?}");
        assert!(told.is_none_or(|told| told.contains("a shorter one")));
    }
    assert_eq!(pipe.kept().asked.len(), 1);
}

#[tokio::test]
async fn progress_of_a_task_is_told_after_its_answer() {
    let (pipe, _input) = Pipe::new("server".into(), Era::Legacy);
    let text = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"task":{},"_meta":{"progressToken":"mine"}}}"#;
    let waiting = pipe.ask(&Spans::read(text).unwrap(), true).unwrap();
    assert!(pipe.said(&answer(waiting.number)).await);
    let general = pipe.listen().unwrap();
    assert!(pipe.said(&progress(waiting.number, 1)).await);
    let told = general.mailbox.next().await.unwrap().text;
    assert!(told.contains(r#""progressToken":"mine""#), "{told}");
    assert!(pipe.said(&progress(77, 1)).await, "of no task");
    assert!(!general.mailbox.has_waiting());
}

#[tokio::test]
async fn a_server_of_2026_07_28_ends_listening_and_asks_nothing() {
    let (pipe, mut input) = Pipe::new("server".into(), Era::Modern);
    let text = r#"{"jsonrpc":"2.0","id":"l","method":"subscriptions/listen","params":{}}"#;
    let waiting = pipe.ask(&Spans::read(text).unwrap(), true).unwrap();
    assert!(input.try_recv().is_ok());
    let cancelled =
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#;
    assert!(pipe.said(cancelled).await);
    let told = waiting.mailbox.next().await.unwrap();
    assert_eq!(told.text, cancelled.replace(":1}", r#":"l"}"#));
    assert!(pipe.said(r#"{"jsonrpc":"2.0","id":"s","method":"roots/list"}"#).await);
    assert!(input.try_recv().unwrap().0.contains("this client is asked nothing"));
    drop(waiting);
    let told = input.try_recv().unwrap().0;
    assert!(told.contains("notifications/cancelled") && told.contains(r#""requestId":1"#));
}

#[tokio::test]
async fn a_server_hears_that_a_token_no_longer_holds_and_ends_if_it_is_revoked() {
    for (cause, ends) in
        [(None, false), (Some(Cause::Expired), false), (Some(Cause::Revoked), true)]
    {
        let (pipe, mut input) = Pipe::new("server".into(), Era::Legacy);
        let (mut one, mut other) = (ask(&pipe, "1"), ask(&pipe, "2"));
        while input.try_recv().is_ok() {}
        let ended = Ended::default();
        (one.ended, other.ended) = (Arc::clone(&ended), Arc::clone(&ended));
        if let Some(cause) = cause {
            ended.set(cause).unwrap();
        }
        for (waiting, is_last) in [(one, false), (other, true)] {
            drop(waiting);
            let why = cause.map_or("", Cause::as_str);
            let told = input.try_recv().is_ok_and(|(line, _)| line.contains(why));
            assert_eq!(told, cause.is_some(), "a lost connection cancels nothing: {cause:?}");
            assert_eq!(pipe.has_ended(), ends && is_last, "{cause:?}");
        }
    }
    let (pipe, _input) = Pipe::new("server".into(), Era::Legacy);
    let mut general = pipe.listen().unwrap();
    general.ended = Ended::from(std::sync::OnceLock::from(Cause::Revoked));
    drop(general);
    assert!(pipe.has_ended());
}

#[tokio::test]
async fn what_a_server_asks_is_answered_by_its_id_however_that_is_written() {
    let (pipe, mut input) = Pipe::new("server".into(), Era::Legacy);
    for (asked, answered) in [(r#""\u00e9""#, r#""é""#), ("1.0", "1"), ("2", "2e0")] {
        let text = format!(r#"{{"jsonrpc":"2.0","id":{asked},"method":"roots/list"}}"#);
        assert!(pipe.said(&text).await);
        let text = format!(r#"{{"jsonrpc":"2.0","id":{answered},"result":{{}}}}"#);
        pipe.tell(&Spans::read(&text).unwrap()).unwrap();
        assert!(input.try_recv().is_ok(), "{answered} answers {asked}");
        pipe.tell(&Spans::read(&text).unwrap()).unwrap();
        assert!(input.try_recv().is_err(), "once");
        // What the server cancels itself needs no answer any more.
        let text = format!(r#"{{"jsonrpc":"2.0","id":{asked},"method":"roots/list"}}"#);
        assert!(pipe.said(&text).await);
        let cancel = format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{answered}}}}}"#
        );
        assert!(pipe.said(&cancel).await);
        assert!(pipe.kept().asked.is_empty());
        pipe.kept().waiting.clear();
    }
}

#[tokio::test]
async fn an_answer_for_which_there_is_no_room_can_be_sent_again() {
    let (pipe, mut input) = Pipe::new("server".into(), Era::Legacy);
    assert!(pipe.said(r#"{"jsonrpc":"2.0","id":"s","method":"roots/list"}"#).await);
    let large = format!(r#"{{"jsonrpc":"2.0","method":"{}"}}"#, "m".repeat(MAX_INPUT_BYTES - 500));
    pipe.tell(&Spans::read(&large).unwrap()).unwrap();
    let text = r#"{"jsonrpc":"2.0","id":"s","result":{}}"#;
    let spans = Spans::read(text).unwrap();
    assert_eq!(pipe.tell(&spans), Err(Unsent::Full));
    assert!(input.try_recv().is_ok(), "it has read");
    assert_eq!(pipe.tell(&spans), Ok(()));
    assert_eq!(input.try_recv().unwrap().0.trim_end(), text);
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_ends_the_waiting_at_once() {
    let (pipe, _input) = Pipe::new("server".into(), Era::Legacy);
    let (one, other) = (ask(&pipe, "1"), ask(&pipe, "2"));
    let text = format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{"\ud800":1}}}}"#, one.number);
    assert!(!pipe.said(&text).await);
    assert_eq!(one.mailbox.next().await.unwrap_err(), Closed::Unreadable);
    assert!(pipe.said(&answer(other.number)).await);
    assert_eq!(other.mailbox.next().await.unwrap().text, answer(2));
}

#[tokio::test]
async fn a_process_is_kept_for_an_answer_that_opens_a_session_alone() {
    for (answer, keeps) in [
        (r#""result":{}"#, true),
        (r#""error":{"code":-32602,"message":"no such version"}"#, false),
    ] {
        let (pipe, _input) = Pipe::new("server".into(), Era::Legacy);
        let mut waiting = ask(&pipe, "0").opening(pipe.end.clone().drop_guard());
        assert!(pipe.said(&progress(waiting.number, 1)).await);
        let text = format!(r#"{{"jsonrpc":"2.0","id":{},{answer}}}"#, waiting.number);
        assert!(pipe.said(&text).await);
        for _ in 0..2 {
            let said = waiting.mailbox.next().await.unwrap();
            waiting.was_answered(&said);
        }
        drop(waiting);
        assert_eq!(!pipe.has_ended(), keeps, "{answer}");
    }
}

#[tokio::test]
async fn a_process_that_others_ask_is_not_ended_for_one_of_them() {
    let (pipe, _input) = Pipe::new("server".into(), Era::Modern);
    let waiting = ask(&pipe, "1");
    assert!(!pipe.end_if_unused() && !pipe.has_ended());
    drop(waiting);
    assert!(pipe.end_if_unused() && pipe.has_ended());
}
