//! Shadow: would a candidate set of policies have decided otherwise than the one in force?
//!
//! A shadow (dark launch) of a set of policies: the candidate is asked beside the set in force and never answers.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::audit::{CandidateDecision, Verdict};
use crate::authorize::{PreparedSets, authorize_instead};
use crate::call::Call;
use crate::cause::RecordedCause;
use crate::guard::Sets;
use crate::ruling::Ruling;
use crate::verify::VerifiedCapability;

const VERDICTS: [Verdict; 3] = [Verdict::Allow, Verdict::Deny, Verdict::Undecided];

/// Counts of how often a candidate set of policies was asked, and how often it would have decided otherwise, since the
/// guard was made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShadowCounts {
    /// The number of decisions that the candidate made, too.
    pub decisions: u64,
    /// The decisions that it made otherwise: the verdict in force, the candidate's verdict, and their number. Where
    /// both verdicts are the same, the causes differed.
    pub differences: Vec<(Verdict, Verdict, u64)>,
}

#[derive(Debug, Default)]
pub(super) struct Shadow {
    decisions: AtomicU64,
    /// By the verdict in force and the candidate's.
    differences: [[AtomicU64; VERDICTS.len()]; VERDICTS.len()],
}

impl Shadow {
    /// What the candidate would have decided of a call on which the policies in force were asked, if otherwise.
    pub(super) fn compare(
        &self,
        sets: &Sets,
        prepared: &PreparedSets,
        verified: &VerifiedCapability,
        call: &Call,
        live: &Ruling,
    ) -> Option<Box<CandidateDecision>> {
        let candidate = sets.candidate.as_ref()?;
        let decide = || authorize_instead(prepared, verified, &sets.live, candidate, call);
        // Whatever happens in there, the decision in force stands.
        let decided = catch_unwind(AssertUnwindSafe(decide)).ok();
        let Ruling { verdict, cause, message, .. } =
            decided.as_ref().map_or_else(Ruling::broken_off, Ruling::of);
        self.decisions.fetch_add(1, Ordering::Relaxed);
        if (live.verdict, live.cause) == (verdict, cause) {
            return None;
        }
        self.differences[place(live.verdict)][place(verdict)].fetch_add(1, Ordering::Relaxed);
        Some(Box::new(CandidateDecision {
            policy: candidate.digest().to_owned(),
            verdict,
            cause: cause.map(RecordedCause::from),
            message,
        }))
    }

    pub(super) fn counts(&self) -> ShadowCounts {
        let pairs = VERDICTS.into_iter().flat_map(|live| VERDICTS.map(|other| (live, other)));
        let differences = pairs.map(|(live, other)| {
            let count = &self.differences[place(live)][place(other)];
            (live, other, count.load(Ordering::Relaxed))
        });
        ShadowCounts {
            decisions: self.decisions.load(Ordering::Relaxed),
            differences: differences.filter(|(_, _, count)| *count > 0).collect(),
        }
    }
}

fn place(verdict: Verdict) -> usize {
    match verdict {
        Verdict::Allow => 0,
        Verdict::Deny => 1,
        Verdict::Undecided => 2,
    }
}
