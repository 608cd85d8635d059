use axum::Router;
use axum::routing::get;
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::Instant;

use super::*;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const IDLE: Duration = Duration::from_secs(30);

/// Longer than anything here may take, of a clock that runs as fast as it can.
const LONG: Duration = Duration::from_secs(3600);

/// A connection whose places beyond its own are these, and the other end of it.
fn connection(places: usize) -> DuplexStream {
    let never = || async {
        tokio::time::sleep(2 * LONG).await;
        "never"
    };
    let router = Router::new()
        .route("/", get(|| async { "here" }))
        .route("/large", get(|| async { "0123456789".repeat(100_000) }))
        .route("/never", get(never));
    let (ours, theirs) = duplex(1024 * 1024);
    let places = Arc::new(Semaphore::new(places));
    tokio::spawn(converse(TokioIo::new(ours), router, IDLE, places, CancellationToken::new()));
    theirs
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// GET of this path (HPACK, without an index).
fn asks(stream: u32, path: &str) -> Vec<u8> {
    let mut head = vec![0x82, 0x87, 0x04, u8::try_from(path.len()).unwrap()];
    head.extend(path.as_bytes());
    head.extend([0x01, 9]);
    head.extend(b"localhost");
    frame(HEADERS, 0x05, stream, &head)
}

/// What comes until the end: the kinds of frames, each with the stream and the first bytes, and after how long it ends. Answers
/// pings, if it should.
async fn to_the_end(
    mut client: DuplexStream,
    answers_pings: bool,
) -> (Vec<(u8, u32, Vec<u8>)>, Duration) {
    let began = Instant::now();
    let mut frames = Vec::new();
    let reading = async {
        let mut head = [0; 9];
        while client.read_exact(&mut head).await.is_ok() {
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            let mut payload = vec![0; length];
            if client.read_exact(&mut payload).await.is_err() {
                break;
            }
            if head[3] == PING && head[4] == 0 && answers_pings {
                let _ = client.write_all(&frame(PING, 1, 0, &payload)).await;
            }
            let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            frames.push((head[3], stream, payload));
        }
    };
    tokio::time::timeout(LONG, reading).await.expect("it ends");
    (frames, began.elapsed())
}

async fn said(places: usize, what: &[Vec<u8>], settings: &[u8]) -> DuplexStream {
    let mut client = connection(places);
    let begin = [PREFACE.to_vec(), frame(SETTINGS, 0, 0, settings)].concat();
    client.write_all(&[begin, what.concat()].concat()).await.unwrap();
    client
}

#[tokio::test(start_paused = true)]
async fn a_client_that_asks_nothing_is_told_to_go_though_it_answers_pings() {
    let (_, took) = to_the_end(said(9, &[], &[]).await, true).await;
    assert!(took >= IDLE && took <= IDLE + 2 * LEAVE_TIMEOUT, "{took:?}");
    let (frames, took) = to_the_end(said(9, &[asks(1, "/")], &[]).await, true).await;
    assert!(frames.iter().any(|(_, _, said)| said == b"here"), "{frames:?}");
    assert!(took >= IDLE && took <= IDLE + 2 * LEAVE_TIMEOUT, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_says_nothing_at_all_is_cut() {
    let (_, took) = to_the_end(connection(9), true).await;
    assert!(took <= IDLE + 2 * LEAVE_TIMEOUT, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_answers_no_ping_is_cut_while_its_request_is_under_way() {
    let (_, took) = to_the_end(said(9, &[asks(1, "/never")], &[]).await, false).await;
    assert!(took <= 2 * (PING_EVERY + PING_TIMEOUT), "{took:?}");
}

/// In the midst of a head, no ping can be answered.
#[tokio::test(start_paused = true)]
async fn a_head_that_comes_slowly_or_not_to_its_end_is_cut() {
    let whole = asks(1, "/");
    let mut client = said(9, &[whole[..whole.len() - 4].to_vec()], &[]).await;
    let (mut ours, theirs) = duplex(1024);
    let trickle = tokio::spawn(async move {
        let mut read = vec![0; 1024];
        loop {
            tokio::select! {
                length = client.read(&mut read) => match length {
                    Ok(0) | Err(_) => break,
                    Ok(_) => {}
                },
                () = tokio::time::sleep(IDLE / 3) => if client.write_all(&[0]).await.is_err() { break },
            }
        }
        let _ = ours.shutdown().await;
    });
    let (_, took) = to_the_end(theirs, false).await;
    assert!(took <= 2 * (PING_EVERY + PING_TIMEOUT), "{took:?}");
    trickle.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_stream_whose_client_takes_nothing_of_it_is_reset_and_the_others_are_not() {
    // Each stream begins without a window (SETTINGS_INITIAL_WINDOW_SIZE).
    let no_window = [0, 4, 0, 0, 0, 0];
    let mut client = said(9, &[asks(1, "/large"), asks(3, "/never")], &no_window).await;
    let began = Instant::now();
    let (mut resets, mut head) = (Vec::new(), [0; 9]);
    while resets.is_empty() && began.elapsed() < LONG {
        client.read_exact(&mut head).await.unwrap();
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        client.read_exact(&mut payload).await.unwrap();
        match head[3] {
            PING if head[4] == 0 => {
                client.write_all(&frame(PING, 1, 0, &payload)).await.unwrap();
            }
            RST_STREAM => resets.push((head[8], began.elapsed())),
            _ => {}
        }
    }
    assert_eq!(resets.iter().map(|(stream, _)| *stream).collect::<Vec<_>>(), [1]);
    let took = resets[0].1;
    assert!(took >= TAKE_TIMEOUT && took <= 2 * TAKE_TIMEOUT + Duration::from_secs(1), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stream_beyond_the_first_needs_a_place_and_is_told_503_without_one() {
    // The first, and two in the places that there are.
    let asked = [asks(1, "/never"), asks(3, "/never"), asks(5, "/never"), asks(7, "/")];
    let (frames, _) = to_the_end(said(2, &asked, &[]).await, false).await;
    let answered: Vec<u32> =
        frames.iter().filter(|(kind, ..)| *kind == HEADERS).map(|(_, stream, _)| *stream).collect();
    assert_eq!(answered, [7]);
    let is_503 = |(_, stream, said): &(u8, u32, Vec<u8>)| {
        *stream == 7 && String::from_utf8_lossy(said).contains("temporarily_unavailable")
    };
    assert!(frames.iter().any(is_503), "{frames:?}");
    // A place is free again when its stream has ended.
    let asked = [asks(1, "/never"), asks(3, "/")];
    let mut client = said(1, &asked, &[]).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    client.write_all(&asks(5, "/")).await.unwrap();
    let (frames, _) = to_the_end(client, false).await;
    let here = frames.iter().filter(|(_, _, said)| said == b"here").count();
    assert_eq!(here, 2, "{frames:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_which_a_piece_is_not_taken_ends_and_one_that_waits_for_an_answer_does_not() {
    let pace = Pace::default();
    let within = Duration::from_secs(600);
    let ends = tokio::time::timeout(within, pace.is_not_taken(TAKE_TIMEOUT)).await;
    assert!(ends.is_err(), "nothing was handed out");
    pace.handed_out();
    pace.asked();
    let ends = tokio::time::timeout(within, pace.is_not_taken(TAKE_TIMEOUT)).await;
    assert!(ends.is_err(), "all was taken");
    pace.handed_out();
    let ends = tokio::time::timeout(2 * TAKE_TIMEOUT, pace.is_not_taken(TAKE_TIMEOUT)).await;
    assert!(ends.is_ok(), "a piece waits");
}

#[tokio::test]
async fn an_answer_comes_in_pieces_and_is_the_same() {
    let text = "0123456789".repeat(5000);
    let body = Body::from(text.clone());
    let mut pieces = Pieces { body, rest: Bytes::new(), _place: None };
    assert_eq!(pieces.size_hint().exact(), Some(50_000));
    let first = pieces.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(first.len(), MAX_PIECE_BYTES);
    assert!(!pieces.is_end_stream());
    assert_eq!(pieces.size_hint().exact(), Some(50_000 - MAX_PIECE_BYTES as u64));
    let rest = pieces.collect().await.unwrap().to_bytes();
    assert_eq!([first, rest].concat(), text.as_bytes());
}
