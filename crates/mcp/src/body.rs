//! Body: a message, whole and within bounds, or what its sender is told.

use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderValue, StatusCode, header};
use http_body::Body as _;
use http_body_util::BodyExt;
use tokio::sync::Semaphore;

use crate::answer::{self, INVALID_REQUEST};
use crate::budget::{EXCHANGE_BYTES, MAX_HELD_BYTES_EACH, Share};
use hardtack::call::ArgumentProblem;
use hardtack::internal::JsonSize;
use hardtack::mcp::{Message, MessageError};

/// The most bytes in a message, 4 MiB, unless [`Upstream::message_limit`](crate::Upstream::message_limit) says otherwise: what the
/// official Rust server takes, too.
pub const MAX_MESSAGE_BYTES: usize = 4 * 1024 * 1024;

/// The most bytes that can be allowed in a message, 8 MiB: read and judged, one takes most of what is held for a subject.
pub const MOST_MESSAGE_BYTES: usize = hardtack::internal::MOST_ARGUMENT_BYTES;

/// How much of a body is passed over to keep a connection: what comes with a head in one or two packets.
const MAX_PASSED_OVER: usize = 64 * 1024;

/// How long a message may take to arrive.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(30);

/// Up to how many bytes a message is read where the connection is served. A larger one with 200,000 values takes a tenth of a second, in
/// which that thread would serve nobody else.
const READ_IN_PLACE: usize = 64 * 1024;

/// How many larger ones are read at once, whatever becomes of those who sent them: one takes up to [`MAX_HELD_BYTES_EACH`] until it is judged.
static LARGE_READS: Semaphore = Semaphore::const_new(LARGE_AT_ONCE as usize);
const LARGE_AT_ONCE: u32 = 4;

/// Up to how many bytes a message is covered by what an exchange costs at the least.
const SMALL_BYTES: usize = EXCHANGE_BYTES / 4;

/// Reads a body, and pays for it: until it is judged by `share`, and for its bytes until nobody holds them.
/// It has at most `most` bytes.
pub(crate) async fn read(body: Body, share: &mut Share, most: usize) -> Result<Bytes, Response> {
    let refuse = |status, problem: &str| answer::error(status, None, INVALID_REQUEST, problem);
    match tokio::time::timeout(MESSAGE_TIMEOUT, read_whole(body, share, most)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(Unread::TooLarge)) => {
            let problem = format!("the message has more than {most} bytes");
            Err(refuse(StatusCode::PAYLOAD_TOO_LARGE, &problem))
        }
        Ok(Err(Unread::TooManyValues)) => {
            Err(refuse(StatusCode::PAYLOAD_TOO_LARGE, TOO_MANY_VALUES))
        }
        Ok(Err(Unread::TooMuch)) => Err(refuse(StatusCode::SERVICE_UNAVAILABLE, OVERLOADED)),
        Ok(Err(Unread::Incomplete)) => {
            Err(refuse(StatusCode::BAD_REQUEST, "the message did not arrive whole"))
        }
        Err(_) => Err(refuse(StatusCode::REQUEST_TIMEOUT, "the message did not arrive in time")),
    }
}

/// The message that a body is, as [`Message::read`] says, which must not carry the bearer; for an upstream that takes them, with large
/// integers. The thread of the runtime goes on meanwhile, if it is large.
pub(crate) async fn message(
    body: &Bytes,
    bearer: Option<&str>,
    large_integers: bool,
) -> Result<Message, MessageError> {
    let read = match large_integers {
        true => Message::read_with_large_integers,
        false => Message::read,
    };
    if body.len() <= READ_IN_PLACE {
        return read(body, bearer);
    }
    const UNFINISHED: MessageError = MessageError::Form("it was not read to its end");
    let place = LARGE_READS.acquire().await.map_err(|_| UNFINISHED)?;
    let (body, bearer) = (body.clone(), bearer.map(str::to_owned));
    let read = move || {
        let _place = place;
        read(&body, bearer.as_deref())
    };
    tokio::task::spawn_blocking(read).await.unwrap_or(Err(UNFINISHED))
}

/// A model that sends what cannot be read is told so in the way that its session survives.
pub(crate) fn unread(body: &[u8], error: &MessageError) -> Response {
    match Message::sender_of(body) {
        Some((id, method)) if method == "tools/call" && is_a_slip(error) => {
            answer::unforwarded(Some(&id), true, &format!("not called: {error}."))
        }
        sender => {
            let id = sender.map(|(id, _)| id);
            answer::bad_request(INVALID_REQUEST, id.as_ref(), &error.to_string())
        }
    }
}

/// Whether a model may have meant well.
fn is_a_slip(error: &MessageError) -> bool {
    matches!(
        error,
        MessageError::Json(
            ArgumentProblem::UnsafeInteger
                | ArgumentProblem::InexactInteger
                | ArgumentProblem::NotJson
        )
    )
}

/// What is told of a request that is one too many.
pub(crate) const OVERLOADED: &str =
    "too much is held for this subject, or for all, that is under way; try again later";

/// What is told of an answer that is one too many: what was asked for is not undone.
pub(crate) const UNDELIVERED: &str = "the answer is not handed on, since too much is held for this subject, or for all, that is under way; what was asked for may have been done";

/// What is told of a message for which there would never be room.
const TOO_MANY_VALUES: &str = "the message has so many objects and values that reading it takes more than the 64 MiB that one subject has; send it in parts";

enum Unread {
    TooLarge,
    TooManyValues,
    TooMuch,
    Incomplete,
}

async fn read_whole(mut body: Body, share: &mut Share, most: usize) -> Result<Bytes, Unread> {
    let declared = body.size_hint().exact().and_then(|length| usize::try_from(length).ok());
    let declared = declared.unwrap_or_default();
    if declared > most {
        pass_over(&mut body).await;
        return Err(Unread::TooLarge);
    }
    let mut whole = Vec::new();
    let mut size = JsonSize::default();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Unread::Incomplete)?;
        let Ok(data) = frame.into_data() else { continue };
        if whole.len() + data.len() > most {
            drop(whole);
            pass_over(&mut body).await;
            return Err(Unread::TooLarge);
        }
        size.add(&data);
        let length = whole.len() + data.len();
        // What is announced is believed of whoever has sent more than a little.
        let expected = if length > SMALL_BYTES { declared.max(length) } else { length };
        let memory = size.memory(expected);
        if !share.cover(memory) {
            drop(whole);
            pass_over(&mut body).await;
            return Err(match memory > MAX_HELD_BYTES_EACH {
                true => Unread::TooManyValues,
                false => Unread::TooMuch,
            });
        }
        if expected > length {
            whole.reserve_exact(expected - whole.len());
        }
        whole.extend_from_slice(&data);
    }
    whole.shrink_to_fit();
    Ok(match whole.len() {
        0..=SMALL_BYTES => whole.into(),
        _ => share.hold(whole),
    })
}

/// Takes as much of what comes as a message may have at any server, and keeps nothing of it: most clients read their answer only after they have
/// sent all, and would hear of a broken connection instead.
async fn pass_over(body: &mut Body) {
    let mut passed = 0;
    while passed <= MOST_MESSAGE_BYTES
        && let Some(Ok(frame)) = body.frame().await
    {
        passed += frame.data_ref().map_or(0, Bytes::len);
    }
}

/// A refusal of a request whose body was not read. If the body is there already, it is passed over and the
/// connection can be used again; else the client is told that it cannot.
pub(crate) fn with_the_rest_of(mut body: Body, mut refused: Response) -> Response {
    let mut passed = 0;
    while let Some(Some(Ok(frame))) = body.frame().now_or_never() {
        passed += frame.data_ref().map_or(0, Bytes::len);
        if passed > MAX_PASSED_OVER {
            break;
        }
    }
    if !body.is_end_stream() {
        refused.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    refused
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::stream;

    use super::*;

    #[test]
    fn of_a_refused_body_only_so_much_is_passed_over() {
        const CHUNK: usize = 1024;
        let read = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&read);
        let chunks = stream::iter((0..1000).map(move |_| {
            counter.fetch_add(CHUNK, Ordering::Relaxed);
            Ok::<_, std::io::Error>(Bytes::from(vec![b'a'; CHUNK]))
        }));
        let refused = with_the_rest_of(Body::from_stream(chunks), Response::new(Body::empty()));
        assert_eq!(refused.headers()[header::CONNECTION], "close");
        let read = read.load(Ordering::Relaxed);
        assert!((MAX_PASSED_OVER..=MAX_PASSED_OVER + CHUNK).contains(&read), "{read} bytes");
        let whole = with_the_rest_of(Body::from("{}"), Response::new(Body::empty()));
        assert!(!whole.headers().contains_key(header::CONNECTION));
    }

    #[tokio::test]
    async fn a_large_message_is_read_while_others_are_served_and_in_the_same_way() {
        const BEARER: &str = "secret-token-of-somebody";
        let called = |text: &str| {
            let params = format!(r#"{{"name":"a","arguments":{{"x":"{text}"}}}}"#);
            Bytes::from(format!(
                r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#
            ))
        };
        // More large ones than are read at once: each gives its place back.
        let large = [(READ_IN_PLACE, false); 6];
        for (bytes, in_place) in std::iter::once((10, true)).chain(large) {
            let body = called(&"x".repeat(bytes));
            let mut reading = std::pin::pin!(message(&body, Some(BEARER), false));
            // While others are read, so that it is seen who waits.
            let others = LARGE_READS.acquire_many(LARGE_AT_ONCE).await.unwrap();
            let now = reading.as_mut().now_or_never();
            assert_eq!(now.is_some(), in_place, "{bytes}");
            drop(others);
            let read = match now {
                Some(read) => read,
                None => reading.await,
            };
            assert_eq!(read.unwrap().method(), Some("tools/call"));
            let carries = called(&format!("{}{BEARER}", "x".repeat(bytes)));
            let refused = message(&carries, Some(BEARER), false).await.unwrap_err();
            assert_eq!(refused, MessageError::CarriesBearer);
        }
    }

    #[test]
    fn only_what_a_model_may_have_meant_well_is_a_slip() {
        assert!(is_a_slip(&MessageError::Json(ArgumentProblem::UnsafeInteger)));
        assert!(is_a_slip(&MessageError::Json(ArgumentProblem::NotJson)));
        for error in [
            MessageError::Json(ArgumentProblem::Repeated),
            MessageError::Json(ArgumentProblem::TooLarge),
            MessageError::Batch,
            MessageError::CarriesBearer,
        ] {
            assert!(!is_a_slip(&error), "{error}");
        }
    }
}
