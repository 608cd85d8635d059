//! Claims: presentations that are used up by decisions which are recorded elsewhere, and decisions that use nothing up.
//!
//! A claim has no record here, and frames of the journal hold records. So claims go straight into the database, as many as wait in one
//! transaction.

use std::cell::RefCell;
use std::collections::HashSet;

use crate::audit::{AuditEvent, Claim, Decision, SingleUse};
use crate::store::StoreError;
use crate::store::core::TimeSource;
use crate::store::inner::Inner;
use crate::store::schema::{ACCEPTED, ACCEPTED_BY_EXPIRY};
use crate::timestamp::Timestamp;

impl Inner {
    /// Claims these presentations, all or none: of two with one id, the first.
    pub(super) fn claim_all(
        &self,
        asked: &[(SingleUse, Timestamp, TimeSource)],
    ) -> Result<Vec<Claim>, StoreError> {
        let won = RefCell::new(Vec::new());
        self.directly_with(
            None,
            |core| {
                let (mut claims, mut met) = (Vec::new(), HashSet::new());
                for (once, now, source) in asked {
                    core.observe(*now, *source);
                    core.learn_life(once.expires, *now);
                    let is_first = met.insert(once.id) && !core.was_accepted(once, &self.engine)?;
                    claims.push(if is_first { Claim::First } else { Claim::Again });
                    if is_first {
                        won.borrow_mut().push((once.id, once.expires));
                    }
                }
                Ok((Vec::new(), claims))
            },
            |writing| {
                let mut accepted = writing.open_table(ACCEPTED)?;
                let mut by_expiry = writing.open_table(ACCEPTED_BY_EXPIRY)?;
                for (id, expires) in won.borrow().iter() {
                    accepted.insert(id.as_bytes(), expires.unix_seconds())?;
                    by_expiry.insert((expires.unix_seconds(), *id.as_bytes()), ())?;
                }
                Ok(())
            },
            |_| {},
        )
    }

    /// Records these decisions one after another, all or none; returns the number of the first.
    pub(super) fn record_all(
        &self,
        decisions: Vec<Decision>,
        source: TimeSource,
    ) -> Result<u64, StoreError> {
        self.directly_with(
            None,
            |core| {
                let (first, mut entries) = (core.next(), Vec::with_capacity(decisions.len()));
                for decision in decisions {
                    let time = decision.time;
                    core.observe(time, source);
                    let event = AuditEvent::Decision(Box::new(decision));
                    entries.push(core.append(time, event, Vec::new())?);
                }
                Ok((entries, first))
            },
            |_| Ok(()),
            |_| {},
        )
    }
}
