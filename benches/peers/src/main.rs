//! Hardtack beside its peers, in one process: every row of the table of goals, measured here and now.
//!
//! `cargo run --release --manifest-path benches/peers/Cargo.toml`, half a minute besides the build. Prints Markdown. `-- --test` only looks
//! that it runs.
//! What each peer does not check is said in `benches/README.md`.

mod jwt;
mod measure;
mod memory;
mod naive;
mod others;
mod ours;
mod paths;
mod rows;
mod scene;
mod signing;
mod warrants;

use crate::measure::Bench;
use crate::paths::Peers;
use crate::scene::Scene;

fn main() {
    let short = std::env::args().any(|argument| argument == "--test");
    let memory = memory::measure();
    // What is timed is not counted.
    allocation_counter::opt_out(|| {
        let (scene, peers) = (Scene::new(), Peers::new());
        let mut bench = Bench::default();
        paths::new_tokens(&mut bench, &scene);
        paths::known_tokens(&mut bench, &scene);
        paths::policies(&mut bench, &scene);
        paths::revocations(&mut bench, &scene, if short { 1_000 } else { 1_000_000 });
        paths::holders(&mut bench, &scene);
        paths::peers(&mut bench, &peers);
        bench.run(short);
        rows::print(&bench, &memory);
    });
}
