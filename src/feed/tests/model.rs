//! A log, its publisher, the way and a follower, in random steps against a model.

use proptest::prelude::*;

use super::*;

/// What may happen between a log, its publisher, the way and a follower.
#[derive(Debug, Clone)]
enum Step {
    Revoke(u8),
    Pass(u16),
    Publish,
    PublisherRestarts,
    FollowerRestarts,
    Fetch,
    /// Something that was published so many steps before.
    Replay(u8),
    /// What is fetched is changed at this place.
    Change(u16),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..60_u8).prop_map(Step::Revoke),
        2 => (0..20_u16).prop_map(Step::Pass),
        4 => Just(Step::Publish),
        1 => Just(Step::PublisherRestarts),
        1 => Just(Step::FollowerRestarts),
        4 => Just(Step::Fetch),
        1 => (0..200_u8).prop_map(Step::Replay),
        1 => any::<u16>().prop_map(Step::Change),
    ]
}

fn steps() -> usize {
    let asked = std::env::var("HARDTACK_FEED_STEPS").ok();
    asked.map_or(5_000, |steps| steps.parse().expect("HARDTACK_FEED_STEPS is a number"))
}

const STEPS_A_RUN: usize = 250;

proptest! {
    #![proptest_config(ProptestConfig::with_cases((steps() / STEPS_A_RUN) as u32))]

    /// Whatever happens: as of the moment by which a follower decides, it knows what was revoked, and never less than it knew.
    #[test]
    fn a_follower_knows_what_was_revoked_as_of_the_moment_by_which_it_decides(
        steps in proptest::collection::vec(step(), STEPS_A_RUN)
    ) {
        let (log, kept, disk) = (Store::in_memory().unwrap(), Disk::default(), Disk::default());
        let mut now = NOW;
        let mut feed = publisher(&log, &kept, now).unwrap();
        let mut published = vec![feed.advance(now).unwrap()];
        let mut follower = follower(&feed, &disk);
        let mut revoked: Vec<(u8, Timestamp)> = Vec::new();
        let (mut known, mut floor) = (Vec::new(), Timestamp::default());
        for step in steps {
            match step {
                Step::Revoke(number) => {
                    if revoked.iter().all(|(known, _)| *known != number) {
                        revoked.push((number, now));
                    }
                    revoke(&log, hop(number), now);
                }
                Step::Pass(seconds) => now = now + Duration::from_secs(seconds.into()),
                Step::Publish => {
                    // A moment later than what was revoked before it.
                    now = now + Duration::from_secs(1);
                    published.push(feed.advance(now).unwrap());
                }
                Step::PublisherRestarts => {
                    drop(feed);
                    feed = publisher(&log, &kept, now).unwrap();
                }
                Step::FollowerRestarts => {
                    follower = self::follower(&feed, &disk);
                    known.clear();
                    // What it is shown then may be older, and is then as old as it says.
                    floor = Timestamp::default();
                }
                Step::Fetch => {
                    let taken = take_anyhow(&mut follower, published.last().unwrap(), now);
                    prop_assert!(taken.is_ok(), "{taken:?}");
                }
                Step::Replay(back) => {
                    let at = published.len().saturating_sub(1 + usize::from(back));
                    let _ = take_if_at_hand(&mut follower, &published[at], now);
                }
                Step::Change(at) => {
                    let last = published.last().unwrap();
                    let changed = take_changed(&mut follower, last, at.into(), now);
                    prop_assert!(changed.is_err() || changed == Ok(false), "{changed:?}");
                }
            }
            let Ok(_) = follower.revocations().revoked(&chain(now, 99), &key().public()) else { continue };
            let as_of = follower.revocations().knowledge().span().unwrap().0;
            prop_assert!(as_of >= floor || !follower.is_following(), "{as_of} after {floor}");
            floor = floor.max(as_of);
            let knows = |number: u8| by(&follower, &chain(now, number)).is_some();
            for (number, moment) in &revoked {
                prop_assert!(*moment >= as_of || knows(*number), "{number} of {moment} as of {as_of}");
            }
            for number in &known {
                prop_assert!(knows(*number), "{number} was known");
            }
            known = (0..60).filter(|number| knows(*number)).collect();
            for number in &known {
                prop_assert!(revoked.iter().any(|(made, _)| made == number), "{number}");
            }
        }
    }
}

/// As [`take`], with what is there.
fn take_if_at_hand(
    follower: &mut Follower,
    published: &Published,
    now: Timestamp,
) -> Result<(), FeedError> {
    let mut wanted = follower.offer(published.checkpoint(), now)?;
    loop {
        wanted = match wanted {
            Wanted::Nothing => return Ok(()),
            Wanted::Lines { epoch, first, last } => match published.lines(epoch, first, last) {
                Some(lines) => follower.lines(&lines, now)?,
                None => return Ok(()),
            },
            Wanted::Snapshot { epoch, size, .. } => match published.snapshot(epoch, size) {
                Some(snapshot) => follower.snapshot(&snapshot, now)?,
                None => return Ok(()),
            },
        };
    }
}

/// Hands over what is wanted with one bit changed; returns whether anything was.
fn take_changed(
    follower: &mut Follower,
    published: &Published,
    at: usize,
    now: Timestamp,
) -> Result<bool, FeedError> {
    let changed = |text: &str| {
        let mut bytes = text.as_bytes().to_vec();
        let at = at % bytes.len();
        bytes[at] ^= 1 << (at % 7);
        String::from_utf8_lossy(&bytes).into_owned()
    };
    if at.is_multiple_of(3) {
        return follower.offer(&changed(published.checkpoint()), now).map(|_| true);
    }
    let wanted = match follower.offer(published.checkpoint(), now)? {
        Wanted::Nothing => return Ok(false),
        Wanted::Lines { epoch, first, last } => {
            let lines = published.lines(epoch, first, last);
            follower.lines(&lines.map_or_else(String::new, |lines| changed(&lines)), now)?
        }
        Wanted::Snapshot { epoch, size, .. } => {
            follower.snapshot(&changed(&published.snapshot(epoch, size).unwrap()), now)?
        }
    };
    Ok(wanted == Wanted::Nothing)
}
