//! Threads: are verdicts the same when eight threads ask the same guard at once, in whatever order, and
//! whether signatures are remembered or not?

use std::sync::Barrier;

use hardtack::{Call as RealCall, Guard, Policy, Store, Timestamp};

use crate::model::Refusal;
use crate::rng::Rng;
use crate::said::{Chain, Kind};
use crate::{draw, forged};

const THREADS: u64 = 8;
const ROUNDS: u64 = 2;

/// How many chains are asked about, with three calls each.
const CHAINS: usize = 30;
const CALLS: usize = 3;

/// How many call-bound presentations all threads present at once.
const BOUND: usize = 6;

/// How many tokens' signatures are remembered: none; few, so that they push out each other; all.
const REMEMBERED: [usize; 3] = [0, 4, 1024];

struct Question {
    bearer: String,
    call: RealCall,
    now: Timestamp,
}

/// Of server 1, which accepts most.
fn guard(remembered: usize) -> Guard {
    let (store, server) = (Store::in_memory().unwrap(), &draw::servers()[1]);
    let verifier = forged::verifier(server, &store).remember(remembered);
    let policy = Policy::parse("model.datalog", &forged::policy(server)).unwrap();
    Guard::new(verifier, policy, store.for_supposed_times())
}

fn answer(guard: &Guard, question: &Question) -> Result<(), Refusal> {
    let answer = guard.check(&question.bearer, &question.call, question.now);
    answer.map(drop).map_err(|denial| (denial.refusal().cause.as_str(), denial.refusal().hop))
}

fn is_call_bound(chain: &Chain) -> bool {
    chain.blocks.iter().any(|it| matches!(it.kind, Kind::Presentation { call: Some(_), .. }))
}

fn questions(chain: &(u64, Chain)) -> Vec<Question> {
    let (number, chain) = chain;
    let bearer = forged::bearer(chain, *number);
    let requests = draw::requests(*number, chain).into_iter().take(CALLS);
    let asked = requests.map(|request| Question {
        bearer: bearer.clone(),
        call: forged::real(&request.call),
        now: forged::moment(request.now),
    });
    asked.collect()
}

#[test]
fn verdicts_do_not_depend_on_who_asks_beside() {
    // The first are spoilt on purpose.
    let chains = (draw::WAYS as u64..).map(|number| (number, draw::chain(number)));
    let sessions = chains.filter(|(_, chain)| !is_call_bound(chain)).take(CHAINS);
    let questions: Vec<_> = sessions.flat_map(|chain| questions(&chain)).collect();
    let alone = guard(0);
    let expected: Vec<_> = questions.iter().map(|question| answer(&alone, question)).collect();
    let allowed = expected.iter().filter(|answer| answer.is_ok()).count();
    assert!(allowed > 10 && allowed < questions.len() - 10, "{allowed} allowed");
    for remembered in REMEMBERED {
        let (guard, start) = (guard(remembered), Barrier::new(THREADS as usize));
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let (guard, start, questions, expected) = (&guard, &start, &questions, &expected);
                scope.spawn(move || {
                    let mut order: Vec<_> = (0..questions.len()).collect();
                    for round in 0..ROUNDS {
                        Rng::of(5, thread * ROUNDS + round).shuffle(&mut order);
                        start.wait();
                        for at in &order {
                            let answer = answer(guard, &questions[*at]);
                            assert_eq!(
                                answer, expected[*at],
                                "question {at}, {remembered} remembered"
                            );
                        }
                    }
                });
            }
        });
    }
}

#[test]
fn of_eight_threads_with_the_same_call_bound_presentation_one_is_allowed() {
    let server = &draw::servers()[1];
    // The first are spoilt on purpose.
    let chains = (draw::WAYS as u64..).map(|number| (number, draw::chain(number)));
    let bound = chains.filter_map(|(number, chain)| {
        let call = chain.blocks.iter().find_map(|block| match &block.kind {
            Kind::Presentation { call, .. } => call.clone(),
            _ => None,
        })?;
        let (bearer, real) = (forged::bearer(&chain, number), forged::real(&call));
        let is_allowed = chain.decide(server, &call, 0, false).is_ok();
        let question = Question { bearer, call: real, now: forged::moment(0) };
        is_allowed.then_some((question, chain.blocks.len()))
    });
    for remembered in REMEMBERED {
        let guard = guard(remembered);
        for (question, last) in bound.clone().take(BOUND) {
            let start = Barrier::new(THREADS as usize);
            let ask = || {
                start.wait();
                answer(&guard, &question)
            };
            let answers: Vec<_> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(ask)).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            let (allowed, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
            assert_eq!(allowed.len(), 1);
            assert!(
                refused.iter().all(|answer| *answer == Err(("replayed", Some(last)))),
                "{refused:?}"
            );
        }
    }
}
