//! Standing: what is believed of one gateway by what it acknowledged?
//!
//! Time is an argument. What a gateway says counts as of the moment at which it signed it, so that an acknowledgement that is sent again says
//! nothing new; within a process its acknowledgements have numbers, and its position only ever rises.

use std::collections::VecDeque;
use std::time::Duration;

use hardtack::Timestamp;
use serde::{Deserialize, Serialize};

/// Without an acknowledgement for so long, a gateway is called silent: three checkpoints passed.
pub(crate) const SILENT: Duration = Duration::from_secs(15);

/// So many acknowledgements of a gateway are taken within a second: one follows each checkpoint, and checkpoints follow commits of the log.
const MOST_A_SECOND: u32 = 50;

/// When a gateway reached which position is known for so many positions.
const MOST_RISES: usize = 64;

/// So many processes of a gateway that ended are known, to tell one that restarts from two that sign with one key.
const MOST_RUNS: usize = 8;

/// Where two processes sign with one key, neither is believed until one has been alone for so long.
const ALONE: Duration = Duration::from_secs(60);

/// Clocks differ by a minute at most: what is signed further off is refused.
const CLOCKS: Duration = Duration::from_secs(60);

/// A place of a feed: after so many events of an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeedPlace {
    /// The number of the epoch.
    pub epoch: u64,
    /// The number of events.
    pub size: u64,
}

/// What a gateway says of itself, signed as a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Acknowledgement {
    pub(crate) epoch: u64,
    /// It decides by so many events.
    pub(crate) size: u64,
    /// When the last checkpoint that it took was made, in seconds since 1970.
    pub(crate) issued: u64,
    /// 32 hexadecimal digits, anew with each start of the process.
    pub(crate) run: String,
    /// From 1, within the process.
    pub(crate) number: u64,
    /// The longest life of a grant that it accepts, in seconds.
    pub(crate) longest_life: u64,
    /// It refuses every call once its last checkpoint is older than this, in seconds; `None` if it does not say.
    #[serde(default)]
    pub(crate) stale_after: Option<u64>,
}

/// Why an acknowledgement is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotTaken {
    #[error(
        "an acknowledgement has epoch, size, issued, run of 32 hexadecimal digits, number, longest_life and stale_after"
    )]
    Form,
    #[error("a later acknowledgement of this gateway was taken: this one is late, or sent again")]
    Late,
    #[error("the feed has not published so many events")]
    Ahead,
    #[error("a gateway sends {MOST_A_SECOND} acknowledgements a second at most")]
    TooMany,
}

/// Why a gateway is not believed just now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Disbelieved {
    /// It says that it knows less than it said before: it lost its position, or was put back.
    WentBack,
    /// Two processes sign with its key.
    TwoProcesses,
}

/// What is known of a gateway since the publisher began.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    run: Option<String>,
    earlier: VecDeque<String>,
    number: u64,
    /// When the last acknowledgement that was taken was signed.
    heard: Option<Timestamp>,
    /// The highest place that it ever said.
    highest: Option<FeedPlace>,
    /// When it said first that it reached which place, without interruption.
    rises: VecDeque<(FeedPlace, Timestamp)>,
    issued: Option<Timestamp>,
    restarted: Option<Timestamp>,
    disbelieved: Option<(Disbelieved, Timestamp)>,
    stale_after: Option<u64>,
    /// How many came in the second of this moment.
    came: (Timestamp, u32),
}

impl Standing {
    /// Takes what the gateway signed at `created` and what came at `now`, while the feed stands at `published`.
    pub(crate) fn take(
        &mut self,
        said: &Acknowledgement,
        created: Timestamp,
        published: FeedPlace,
        now: Timestamp,
    ) -> Result<(), NotTaken> {
        let is_hexadecimal = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if said.run.len() != 32 || !said.run.bytes().all(is_hexadecimal) || said.number == 0 {
            return Err(NotTaken::Form);
        }
        self.count(now)?;
        let place = FeedPlace { epoch: said.epoch, size: said.size };
        if place > published {
            return Err(NotTaken::Ahead);
        }
        let is_same = self.run.as_ref() == Some(&said.run);
        if self.heard.is_some_and(|heard| created < heard)
            || (is_same && said.number <= self.number)
        {
            return Err(NotTaken::Late);
        }
        if !is_same {
            self.begin(&said.run, created);
        }
        (self.number, self.heard) = (said.number, Some(created));
        self.issued = Some(Timestamp::from_unix_seconds(said.issued).min(created + CLOCKS));
        self.stale_after = said.stale_after;
        self.reach(place, created);
        Ok(())
    }

    fn count(&mut self, now: Timestamp) -> Result<(), NotTaken> {
        if self.came.0 != now {
            self.came = (now, 0);
        }
        self.came.1 = self.came.1.saturating_add(1);
        if self.came.1 > MOST_A_SECOND { Err(NotTaken::TooMany) } else { Ok(()) }
    }

    /// Another process than before signs in its name.
    fn begin(&mut self, run: &str, created: Timestamp) {
        if let Some(before) = self.run.replace(run.to_owned()) {
            match self.earlier.iter().position(|earlier| earlier == run) {
                // One that goes on had not ended.
                Some(at) => {
                    self.earlier.remove(at);
                    self.disbelieve(Disbelieved::TwoProcesses, created);
                }
                None => self.restarted = Some(created),
            }
            self.earlier.push_back(before);
            if self.earlier.len() > MOST_RUNS {
                self.earlier.pop_front();
            }
        }
    }

    fn disbelieve(&mut self, why: Disbelieved, created: Timestamp) {
        self.disbelieved = Some((why, created));
        self.rises.clear();
    }

    fn reach(&mut self, place: FeedPlace, created: Timestamp) {
        if self.highest.is_some_and(|highest| place < highest) {
            return self.disbelieve(Disbelieved::WentBack, created);
        }
        self.highest = Some(place);
        if let Some((Disbelieved::TwoProcesses, since)) = self.disbelieved
            && created.since(since) < ALONE
        {
            return;
        }
        self.disbelieved = None;
        if self.rises.back().is_none_or(|(last, _)| *last < place) {
            self.rises.push_back((place, created));
            if self.rises.len() > MOST_RISES {
                self.rises.pop_front();
            }
        }
    }

    /// The place by which it decides, as far as it is believed.
    pub(crate) fn place(&self) -> Option<FeedPlace> {
        self.rises.back().map(|(place, _)| *place)
    }

    /// Since when what was revoked up to `place` is in force there, or at the latest; `None` if it is not said to be.
    pub(crate) fn in_force(&self, place: FeedPlace) -> Option<Timestamp> {
        self.rises.iter().find(|(reached, _)| *reached >= place).map(|(_, at)| *at)
    }

    /// From when on it refuses every call, if it did not take a checkpoint that covers a place of which the first such checkpoint was made at
    /// `covered`: any later one covers it, too, and what it knew before is too old by then, though its clock be a minute behind. `None` if it
    /// did not say how old that may be, or is not believed.
    pub(crate) fn refuses_from(&self, covered: Timestamp) -> Option<Timestamp> {
        let stale_after = self.stale_after.filter(|_| !self.rises.is_empty())?;
        Some(covered + Duration::from_secs(stale_after) + CLOCKS)
    }

    pub(crate) fn heard(&self) -> Option<Timestamp> {
        self.heard
    }

    pub(crate) fn is_silent(&self, now: Timestamp) -> bool {
        self.heard.is_none_or(|heard| now.since(heard) > SILENT)
    }

    pub(crate) fn issued(&self) -> Option<Timestamp> {
        self.issued
    }

    pub(crate) fn restarted(&self) -> Option<Timestamp> {
        self.restarted
    }

    pub(crate) fn disbelieved(&self) -> Option<Disbelieved> {
        self.disbelieved.map(|(why, _)| why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "11111111111111111111111111111111";
    const TWO: &str = "22222222222222222222222222222222";
    const HEAD: FeedPlace = FeedPlace { epoch: 2, size: 100 };

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix_seconds(1_795_428_000 + seconds)
    }

    fn said(run: &str, number: u64, epoch: u64, size: u64) -> Acknowledgement {
        let (run, issued) = (run.to_owned(), at(0).unix_seconds());
        let (longest_life, stale_after) = (86_400, Some(30));
        Acknowledgement { epoch, size, issued, run, number, longest_life, stale_after }
    }

    fn place(epoch: u64, size: u64) -> FeedPlace {
        FeedPlace { epoch, size }
    }

    #[test]
    fn what_was_reached_is_in_force_since_it_was_first_said() {
        let mut standing = Standing::default();
        assert_eq!((standing.in_force(place(1, 0)), standing.is_silent(at(0))), (None, true));
        for (number, size) in [(1, 5), (2, 5), (3, 9)] {
            standing.take(&said(ONE, number, 1, size), at(number), HEAD, at(number)).unwrap();
        }
        assert_eq!(standing.in_force(place(1, 5)), Some(at(1)));
        assert_eq!(standing.in_force(place(1, 6)), Some(at(3)));
        assert_eq!(standing.in_force(place(1, 10)), None);
        // A later epoch refuses all that an earlier one revoked.
        standing.take(&said(ONE, 4, 2, 0), at(4), HEAD, at(4)).unwrap();
        assert_eq!(standing.in_force(place(1, 10)), Some(at(4)));
        assert!(!standing.is_silent(at(19)) && standing.is_silent(at(20)));
    }

    #[test]
    fn what_is_late_sent_again_ahead_malformed_or_too_often_is_not_taken() {
        let mut standing = Standing::default();
        standing.take(&said(ONE, 7, 2, 50), at(10), HEAD, at(10)).unwrap();
        for (said, created, refused) in [
            (said(ONE, 7, 2, 50), at(10), NotTaken::Late),
            (said(ONE, 6, 2, 60), at(11), NotTaken::Late),
            (said(ONE, 8, 2, 60), at(9), NotTaken::Late),
            (said(TWO, 1, 2, 60), at(9), NotTaken::Late),
            (said(ONE, 8, 2, 101), at(11), NotTaken::Ahead),
            (said(ONE, 8, 3, 0), at(11), NotTaken::Ahead),
            (said("short", 8, 2, 60), at(11), NotTaken::Form),
            (said(&ONE.replace('1', "A"), 8, 2, 60), at(11), NotTaken::Form),
            (said(TWO, 0, 2, 60), at(11), NotTaken::Form),
        ] {
            assert_eq!(standing.take(&said, created, HEAD, at(11)), Err(refused), "{said:?}");
        }
        assert_eq!(standing.place(), Some(place(2, 50)));
        let took = (0..1000u64).filter(|number| {
            standing.take(&said(ONE, 100 + number, 2, 50), at(12), HEAD, at(12)).is_ok()
        });
        assert_eq!(took.count(), MOST_A_SECOND as usize);
    }

    #[test]
    fn a_gateway_that_restarted_is_said_so_and_one_that_went_back_is_not_believed_until_it_is_there_again()
     {
        let mut standing = Standing::default();
        standing.take(&said(ONE, 1, 2, 50), at(1), HEAD, at(1)).unwrap();
        standing.take(&said(TWO, 1, 2, 50), at(2), HEAD, at(2)).unwrap();
        assert_eq!((standing.restarted(), standing.disbelieved()), (Some(at(2)), None));
        assert_eq!(standing.in_force(place(2, 50)), Some(at(1)));
        standing.take(&said(TWO, 2, 2, 40), at(3), HEAD, at(3)).unwrap();
        assert_eq!(standing.disbelieved(), Some(Disbelieved::WentBack));
        assert_eq!((standing.place(), standing.in_force(place(1, 0))), (None, None));
        assert_eq!(standing.refuses_from(at(0)), None);
        standing.take(&said(TWO, 3, 2, 49), at(4), HEAD, at(4)).unwrap();
        assert_eq!(standing.disbelieved(), Some(Disbelieved::WentBack));
        standing.take(&said(TWO, 4, 2, 50), at(5), HEAD, at(5)).unwrap();
        assert_eq!((standing.disbelieved(), standing.in_force(place(2, 1))), (None, Some(at(5))));
    }

    #[test]
    fn two_processes_with_one_key_are_not_believed_until_one_is_alone() {
        let mut standing = Standing::default();
        standing.take(&said(ONE, 1, 2, 50), at(1), HEAD, at(1)).unwrap();
        standing.take(&said(TWO, 1, 2, 50), at(2), HEAD, at(2)).unwrap();
        standing.take(&said(ONE, 2, 2, 60), at(3), HEAD, at(3)).unwrap();
        assert_eq!(standing.disbelieved(), Some(Disbelieved::TwoProcesses));
        assert_eq!(standing.in_force(place(2, 50)), None);
        for (number, seconds) in [(3, 30), (4, 62)] {
            standing.take(&said(ONE, number, 2, 60), at(seconds), HEAD, at(seconds)).unwrap();
            assert_eq!(standing.in_force(place(2, 50)), None);
        }
        standing.take(&said(ONE, 5, 2, 60), at(63), HEAD, at(63)).unwrap();
        assert_eq!(standing.in_force(place(2, 50)), Some(at(63)));
    }

    #[test]
    fn that_it_refuses_everything_is_said_from_when_on_it_is_certain_and_else_not_at_all() {
        let mut standing = Standing::default();
        assert_eq!(standing.refuses_from(at(100)), None, "never heard");
        standing.take(&said(ONE, 1, 2, 50), at(1), HEAD, at(1)).unwrap();
        // 30 seconds by its own word, and a minute by which its clock may be behind.
        assert_eq!(standing.refuses_from(at(100)), Some(at(190)));
        let silent_of_it = Acknowledgement { stale_after: None, ..said(ONE, 2, 2, 50) };
        standing.take(&silent_of_it, at(2), HEAD, at(2)).unwrap();
        assert_eq!(standing.refuses_from(at(100)), None);
    }

    /// A gateway as it is, against which what is believed of it is held: at each step it goes on, restarts with or without what it knew, or an
    /// acknowledgement of before comes again.
    #[test]
    fn in_a_hundred_thousand_steps_nothing_is_believed_that_the_gateway_does_not_know() {
        let mut seed = 7u64;
        let mut random = move |below: u64| {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % below
        };
        let (mut standing, mut sent) = (Standing::default(), Vec::new());
        let (mut published, mut knows, mut run, mut number) = (0u64, 0u64, 1u64, 0u64);
        let (mut taken, mut went_back) = (0, 0);
        for step in 0..100_000u64 {
            let now = at(step);
            match random(10) {
                0..4 => published += random(3),
                4..7 => knows = (knows + random(4)).min(published),
                7 if random(20) == 0 => (run, number) = (run + 1, 0),
                7 if random(20) == 0 => (run, number, knows) = (run + 1, 0, random(published + 1)),
                8 if !sent.is_empty() => {
                    let (again, created): &(Acknowledgement, Timestamp) =
                        &sent[random(sent.len() as u64) as usize];
                    let refused = standing.take(again, *created, place(1, published), now);
                    assert_eq!(refused, Err(NotTaken::Late));
                }
                _ => {
                    number += 1;
                    let said = said(&format!("{run:032x}"), number, 1, knows);
                    standing.take(&said, now, place(1, published), now).unwrap();
                    sent.push((said, now));
                    taken += 1;
                    // What it said just now is what it knows: nothing beyond is believed, and either all of it or nothing.
                    went_back += usize::from(standing.place().is_none());
                    assert!(standing.place().is_none_or(|place| place.size == knows));
                    assert!(standing.in_force(place(1, knows + 1)).is_none());
                }
            }
        }
        assert!(taken > 10_000 && went_back > 100, "{taken} {went_back}");
    }
}
