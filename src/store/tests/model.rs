//! A revoked token is never allowed again: under any order of revocations, collections, restarts, jumps of
//! the clock, backups and restorations, compared with a model that is a set.
//!
//! What a store cannot know is left out: a token that was issued, by its own word, more than a minute
//! after every moment the store was ever told, and revoked before its time had come; and what was
//! lost with somebody's consent.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use crate::audit::Ledger;
use crate::chain::{Chain, GrantBlock, Hop};
use crate::keys::{PrivateKey, PublicKey};
use crate::profile::{CLOCK_SKEW, Lifetimes};
use crate::revocation::{Revocation, RevocationSource, Revoking};
use crate::store::tests::{Dice, NOW, decision, entry, id, repeated};
use crate::store::{RecordLoss, Store, restore};
use crate::timestamp::Timestamp;

const AGENTS: u64 = 8;
const SUBJECTS: u64 = 400;
const TOKENS: usize = 120;

/// What of a token a revocation can name.
#[derive(Debug, Clone)]
struct Token {
    chain: Chain,
    /// How far back it must be checked: who it is.
    ids: [u64; 2],
    subject: u64,
    agent: u64,
}

/// What was revoked, as one would write it on paper.
#[derive(Debug, Clone, Default)]
struct Model {
    ids: BTreeSet<u64>,
    subjects: Vec<(u64, Timestamp)>,
    agents: BTreeSet<u64>,
    agents_until_now: Vec<(u64, Timestamp)>,
}

impl Model {
    fn revoked(&self, token: &Token) -> bool {
        let covers = |moment: Timestamp| token.chain.grant.issued <= moment + CLOCK_SKEW;
        let of_subject =
            |(subject, moment): &(u64, Timestamp)| *subject == token.subject && covers(*moment);
        let of_agent =
            |(agent, moment): &(u64, Timestamp)| *agent == token.agent && covers(*moment);
        token.ids.iter().any(|id| self.ids.contains(id))
            || self.subjects.iter().any(of_subject)
            || self.agents.contains(&token.agent)
            || self.agents_until_now.iter().any(of_agent)
    }
}

struct World {
    folder: tempfile::TempDir,
    files: u64,
    store: Option<Store>,
    root: PublicKey,
    now: Timestamp,
    /// Where the clock would stand if it had never jumped.
    home: Timestamp,
    /// The latest moment that the store was told.
    told: Timestamp,
    tokens: Vec<Token>,
    made: u64,
    model: Model,
    backup: Option<(PathBuf, Model)>,
    /// How often each thing happened.
    counts: [u64; 8],
}

impl World {
    fn new() -> World {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path().join("0")).unwrap();
        World {
            folder,
            files: 0,
            store: Some(store),
            root: PrivateKey::from_bytes(&[7; 32]).public(),
            now: NOW,
            home: NOW,
            told: NOW,
            tokens: Vec::new(),
            made: 0,
            model: Model::default(),
            backup: None,
            counts: [0; 8],
        }
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join(self.files.to_string())
    }

    /// The moment to which the store counts what is revoked now: the latest that it knows of.
    fn base(&self) -> Timestamp {
        self.store().inner().core().clock.base(self.now)
    }

    fn tell(&mut self) {
        self.told = self.told.max(self.now);
    }

    fn mint(&mut self, dice: &mut Dice) {
        self.made += 2;
        let (grant, hop) = (self.made, self.made + 1);
        let life = 1 + dice.below(24 * 3600);
        let subject = dice.below(SUBJECTS);
        let agent = dice.below(AGENTS * 40);
        let expires = self.now + Duration::from_secs(life);
        let token = Token {
            ids: [grant, hop],
            subject,
            agent,
            chain: Chain {
                grant: GrantBlock {
                    subject: format!("user:{subject}"),
                    scopes: Vec::new(),
                    audiences: Vec::new(),
                    issued: self.now,
                    expires,
                    max_depth: 8,
                    holder: None,
                    facts: Vec::new(),
                    revocation_id: id(grant),
                },
                hops: vec![Hop {
                    index: 1,
                    delegator: format!("user:{subject}"),
                    delegate: format!("agent.{agent}"),
                    scopes: Vec::new(),
                    audiences: Vec::new(),
                    expires,
                    reason: "tests".to_owned(),
                    holder: None,
                    signer: None,
                    checks: 0,
                    revocation_id: id(hop),
                    block_signature: id(hop),
                }],
                presentation: None,
                caveats: Vec::new(),
            },
        };
        match self.tokens.len() < TOKENS {
            true => self.tokens.push(token),
            false => {
                let place = dice.below(TOKENS as u64) as usize;
                self.tokens[place] = token;
            }
        }
    }

    fn revoke(&mut self, dice: &mut Dice) {
        if self.tokens.is_empty() {
            return;
        }
        let token = self.tokens[dice.below(self.tokens.len() as u64) as usize].clone();
        let base = self.base();
        if token.chain.grant.issued > base + CLOCK_SKEW {
            return;
        }
        let revocation = match dice.below(20) {
            0 => Revocation::Agent { agent: format!("agent.{}", token.agent) },
            2..=3 => Revocation::AgentUntilNow { agent: format!("agent.{}", token.agent) },
            1 => Revocation::Subject { subject: format!("user:{}", token.subject), root: None },
            other => Revocation::Id { id: id(token.ids[other as usize % 2]) },
        };
        let revoking = Revoking::new(revocation.clone(), "tests", "lost").unwrap();
        self.store().revoke(revoking, self.now).unwrap();
        self.tell();
        match revocation {
            Revocation::Agent { .. } => drop(self.model.agents.insert(token.agent)),
            Revocation::Subject { .. } => self.model.subjects.push((token.subject, base)),
            Revocation::AgentUntilNow { .. } => {
                self.model.agents_until_now.push((token.agent, base));
            }
            _ => {
                let ids = token.ids.into_iter().filter(|number| {
                    matches!(&revocation, Revocation::Id { id: revoked } if *revoked == id(*number))
                });
                self.model.ids.extend(ids);
            }
        }
        self.counts[0] += 1;
    }

    /// What a verifier asks, and what it may not be told.
    fn check(&mut self, dice: &mut Dice) {
        let Some(token) = self.tokens.get(dice.below(TOKENS as u64) as usize) else { return };
        let grant = &token.chain.grant;
        let in_time = grant.issued <= self.now + CLOCK_SKEW
            && self.now < grant.expires
            && grant.expires.since(self.now) <= Lifetimes::default().grant;
        let known = self.store().revocations().revoked(&token.chain, &self.root).unwrap();
        let allowed = in_time && known.is_none();
        let why = (
            &token.ids.map(|id| self.model.ids.contains(&id)),
            self.model.agents.contains(&token.agent),
        );
        assert!(
            !(allowed && self.model.revoked(token)),
            "a revoked token is allowed at {} (home {}, told {}): {why:?} {token:?}",
            self.now,
            self.home,
            self.told
        );
        self.counts[if allowed { 1 } else { 2 }] += 1;
    }

    fn decide(&mut self) {
        self.store().record(entry(decision(self.now, 1), None)).unwrap();
        self.tell();
    }

    fn collect(&mut self, dice: &mut Dice) {
        let done = match dice.below(12) {
            0 => self.store().collect_trusting_the_clock(self.now),
            _ => self.store().collect(self.now),
        };
        self.tell();
        self.counts[3] += done.map_or(0, |collected| collected.revocations);
        self.counts[4] += 1;
    }

    /// Mostly back to where it belongs; otherwise anywhere.
    fn jump(&mut self, dice: &mut Dice) {
        let far = Duration::from_secs(match dice.below(4) {
            0 => dice.below(2 * 3600),
            1..=2 => dice.below(30 * 3600),
            _ => dice.below(400 * 24 * 3600),
        });
        self.now = match dice.below(6) {
            0 => self.home + far,
            1 => self.home - far,
            _ => self.home,
        };
    }

    fn step(&mut self, seconds: u64) {
        let step = Duration::from_secs(seconds);
        (self.now, self.home) = (self.now + step, self.home + step);
    }

    fn restart(&mut self) {
        drop(self.store.take());
        self.store = Some(Store::open(self.path()).unwrap());
        self.counts[5] += 1;
    }

    fn back_up(&mut self) {
        let path = self.folder.path().join(format!("backup-{}", self.counts[6]));
        self.store().backup(&path).unwrap();
        if let Some((old, _)) = self.backup.replace((path, self.model.clone())) {
            std::fs::remove_file(&old).unwrap();
            std::fs::remove_file(old.with_extension("checkpoint")).unwrap();
        }
        self.counts[6] += 1;
    }

    fn restore(&mut self, dice: &mut Dice) {
        let Some((backup, then)) = &self.backup else { return };
        let store = self.store.take().unwrap();
        let checkpoint = store.checkpoint().unwrap().text().to_owned();
        let whole = dice.below(2) == 0;
        let tail: Vec<String> = match whole {
            true => store.reader().records(1).map(|line| line.unwrap().json).collect(),
            false => Vec::new(),
        };
        drop(store);
        let old = self.path();
        self.files += 1;
        let checkpoint = whole.then_some(checkpoint.as_str());
        let loss = if whole { RecordLoss::Refused } else { RecordLoss::Accepted };
        restore(backup, self.path(), tail, checkpoint, loss, self.now).unwrap();
        if !whole {
            // The names that were revoked since must be revoked again, as is said on restoring.
            self.model.agents = then.agents.clone();
            // Nor does the new store know which moments the lost one was told.
            self.told = self.now;
            let model = &mut self.model;
            for (_, moment) in model.subjects.iter_mut().chain(&mut model.agents_until_now) {
                *moment = self.told.min(*moment);
            }
            let latest = self.told + CLOCK_SKEW;
            self.tokens.retain(|token| token.chain.grant.issued <= latest);
            self.backup = None;
        }
        for part in ["", ".journal", ".checkpoint"] {
            let mut name = old.clone().into_os_string();
            name.push(part);
            std::fs::remove_file(name).unwrap();
        }
        self.tell();
        self.store = Some(Store::open(self.path()).unwrap());
        self.counts[7] += 1;
    }
}

#[test]
fn a_revoked_token_is_never_allowed_again() {
    let steps = repeated("HARDTACK_MODEL_STEPS", 10_000);
    let per_world = 5_000;
    let mut counts = [0; 8];
    for seed in 0..steps.div_ceil(per_world) {
        let (mut world, mut dice) = (World::new(), Dice(seed));
        for _ in 0..per_world {
            match dice.below(1000) {
                0..=99 => world.mint(&mut dice),
                100..=199 => world.revoke(&mut dice),
                200..=799 => world.check(&mut dice),
                800..=819 => world.decide(),
                820..=929 => world.step(dice.below(1200)),
                930..=944 => world.jump(&mut dice),
                945..=989 => world.collect(&mut dice),
                990..=994 => world.restart(),
                995..=997 => world.back_up(),
                _ => world.restore(&mut dice),
            }
        }
        // Whatever the clock will say, it stays so.
        for _ in 0..500 {
            world.jump(&mut dice);
            world.check(&mut dice);
        }
        counts.iter_mut().zip(world.counts).for_each(|(sum, count)| *sum += count);
    }
    println!(
        "{} revoked, {} checks allowed, {} refused, {} forgotten in {} collections, {} restarts, {} backups, {} restorations",
        counts[0], counts[1], counts[2], counts[3], counts[4], counts[5], counts[6], counts[7]
    );
    assert!(counts.iter().all(|count| *count > 0), "something never happened: {counts:?}");
}

/// The other side: while the clock is right, forgetting costs nobody anything.
#[test]
fn while_the_clock_is_right_what_is_not_revoked_is_allowed() {
    let (mut world, mut dice) = (World::new(), Dice(99));
    let mut forgotten = 0;
    for _ in 0..repeated("HARDTACK_MODEL_STEPS", 10_000) / 2 {
        world.step(dice.below(240));
        match dice.below(20) {
            0..=3 => world.mint(&mut dice),
            4..=5 => world.revoke(&mut dice),
            6 => forgotten += world.store().collect(world.now).map_or(0, |c| c.revocations),
            7 => world.decide(),
            _ => {
                let Some(token) = world.tokens.get(dice.below(TOKENS as u64) as usize) else {
                    continue;
                };
                let revoked = world.store().revocations().revoked(&token.chain, &world.root);
                let live = world.now < token.chain.grant.expires;
                if live {
                    assert_eq!(revoked.unwrap().is_some(), world.model.revoked(token));
                }
            }
        }
        world.tell();
    }
    assert!(forgotten > 0);
}
