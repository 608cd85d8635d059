//! Bulk: what goes straight into the database, since a frame of the journal has no room for it.

use std::collections::VecDeque;

use crate::revocation::Receipt;
use crate::store::StoreError;
use crate::store::commit::{Answer, Job};
use crate::store::core::{Core, Fresh, Revoke};
use crate::store::inner::Inner;
use crate::store::queue::Waiting;
use crate::store::schema::Entry;

impl Inner {
    /// Writes the first job straight into the database.
    pub(super) fn commit_bulk(&self, batch: &mut VecDeque<Waiting>) {
        let Some(Waiting { job, reply }) = batch.pop_front() else { return };
        reply.answer(match job {
            Job::Revoke(revoke) => self.revoke_bulk(&revoke).map(Answer::Revoked),
            Job::Record { decisions, source } => {
                self.record_all(decisions, source).map(Answer::Recorded)
            }
            Job::Decision(_) | Job::Claim { .. } => Err(StoreError::Stopped),
        });
    }

    /// Claims all that are to be claimed, in one transaction.
    pub(super) fn claim(&self, batch: &mut VecDeque<Waiting>) {
        let (mut asked, mut replies) = (Vec::new(), Vec::new());
        for Waiting { job, reply } in std::mem::take(batch) {
            match job {
                Job::Claim { once, now, source } => {
                    asked.push((once, now, source));
                    replies.push(reply);
                }
                job => batch.push_back(Waiting { job, reply }),
            }
        }
        match self.claim_all(&asked) {
            Ok(claims) => replies
                .into_iter()
                .zip(claims)
                .for_each(|(reply, claim)| reply.answer(Ok(Answer::Claimed(claim)))),
            Err(error) => {
                let problem = error.to_string();
                let failed = || Err(StoreError::Engine(problem.clone()));
                replies.into_iter().for_each(|reply| reply.answer(failed()));
            }
        }
    }

    /// Revokes many at once in the database; or, while that cannot be written, in the journal if they fit.
    fn revoke_bulk(&self, revoke: &Revoke) -> Result<Vec<Receipt>, StoreError> {
        let make = |core: &mut Core| self.make_revocations(core, revoke);
        let problem = self.trouble().database.clone();
        let problem = match problem.map_or_else(
            || self.directly(revoke.now, make),
            |problem| Err(StoreError::Engine(problem)),
        ) {
            Err(StoreError::Engine(problem)) => problem,
            Err(error @ StoreError::File { .. }) => error.to_string(),
            done => return done,
        };
        self.revoke_in_one_frame(revoke).map_err(|error| match error {
            StoreError::Engine(journal) => StoreError::Engine(format!(
                "the database cannot be written ({problem}), and {} revocations at once do not go into the journal ({journal}): free space on the disk, or revoke fewer at once", revoke.revoking.len()
            )),
            error => error,
        })
    }

    fn revoke_in_one_frame(&self, revoke: &Revoke) -> Result<Vec<Receipt>, StoreError> {
        // What was written directly may be there nevertheless, which the room says once it is known.
        let _waits = self.waits_for_disk();
        let (mut core, _) = self.core_with_room();
        core.begin();
        let made = self.make_revocations(&mut core, revoke);
        match made {
            Ok((entries, receipts)) => {
                self.write_frame(&mut core, entries).map(|()| receipts).map_err(StoreError::Engine)
            }
            Err(error) => {
                core.take_back();
                Err(error)
            }
        }
    }

    fn make_revocations(
        &self,
        core: &mut Core,
        revoke: &Revoke,
    ) -> Result<(Vec<Entry>, Vec<Receipt>), StoreError> {
        core.revoke_all(revoke, &self.revocations, &mut Fresh::new(), &self.engine)
    }
}
