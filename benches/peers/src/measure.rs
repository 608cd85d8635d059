//! How is it measured? CPU time of this thread, in slices that take turns, so that whatever else the machine does meets all alike.

use std::time::Duration;

use cpu_time::{ProcessTime, ThreadTime};

/// How often everything is measured. The middle one of the ratios counts.
const ROUNDS: usize = 7;

/// The turns that all take in a round. Many short ones, so that both sides of a ratio see the same noise.
const SLICES: usize = 12;

/// What one turn cost.
pub(crate) struct Spent {
    cpu: Duration,
    times: usize,
}

/// Does `one` so many times, and says what this thread spent on it.
pub(crate) fn thread(times: usize, mut one: impl FnMut(usize)) -> Spent {
    let began = ThreadTime::now();
    (0..times).for_each(&mut one);
    Spent { cpu: began.elapsed(), times }
}

/// The same with what other threads of this process spend meanwhile.
pub(crate) fn process(times: usize, mut one: impl FnMut(usize)) -> Spent {
    let began = ProcessTime::now();
    (0..times).for_each(&mut one);
    Spent { cpu: began.elapsed(), times }
}

/// One thing that is measured.
struct Path<'a> {
    name: &'static str,
    turn: Box<dyn FnMut(usize) -> Spent + 'a>,
    rounds: Vec<f64>,
}

/// All that is measured beside each other.
#[derive(Default)]
pub(crate) struct Bench<'a>(Vec<Path<'a>>);

impl<'a> Bench<'a> {
    /// Adds a path. `turn` is told which turn it is, prepares what it needs, and returns what [`thread`] said of the rest.
    pub(crate) fn add(&mut self, name: &'static str, turn: impl FnMut(usize) -> Spent + 'a) {
        self.0.push(Path { name, turn: Box::new(turn), rounds: Vec::new() });
    }

    /// Measures; a short look has one round of one slice.
    pub(crate) fn run(&mut self, short: bool) {
        let (rounds, slices) = if short { (1, 1) } else { (ROUNDS, SLICES) };
        if !short {
            self.0.iter_mut().for_each(|path| drop((path.turn)(0)));
        }
        for _ in 0..rounds {
            let mut spent = vec![(Duration::ZERO, 0); self.0.len()];
            for slice in 0..slices {
                for (path, spent) in self.0.iter_mut().zip(&mut spent) {
                    let turn = (path.turn)(slice);
                    spent.0 += turn.cpu;
                    spent.1 += turn.times;
                }
            }
            for (path, (cpu, times)) in self.0.iter_mut().zip(spent) {
                path.rounds.push(cpu.as_secs_f64() * 1e6 / times as f64);
            }
        }
    }

    fn rounds(&self, name: &str) -> &[f64] {
        let found = self.0.iter().find(|path| path.name == name);
        &found.unwrap_or_else(|| panic!("nothing measures {name}")).rounds
    }

    /// The middle of the rounds' ratios: what one costs beside the other.
    pub(crate) fn ratio(&self, one: &str, other: &str) -> f64 {
        self.ratio_of_sum(one, &[other])
    }

    /// The same beside the sum of several.
    pub(crate) fn ratio_of_sum(&self, one: &str, others: &[&str]) -> f64 {
        let ratios = self.rounds(one).iter().enumerate().map(|(round, cost)| {
            cost / others.iter().map(|other| self.rounds(other)[round]).sum::<f64>()
        });
        median(ratios.collect())
    }

    /// Everything, with its microseconds.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&'static str, f64)> {
        self.0.iter().map(|path| (path.name, median(path.rounds.clone())))
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
