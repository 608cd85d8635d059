//! Writes the seeds of every target to `<folder>/<target>/`, and prints each target's name and longest input.
//! To be run from the repository's root, where the policies are that serve as seeds.

use std::path::PathBuf;
use std::{env, fs, io};

use hardtack_fuzz::targets::TARGETS;

fn main() -> io::Result<()> {
    let folder = PathBuf::from(env::args_os().nth(1).expect("usage: seeds <folder>"));
    for target in &TARGETS {
        let folder = folder.join(target.name);
        fs::create_dir_all(&folder)?;
        for (number, seed) in (target.seeds)().iter().enumerate() {
            fs::write(folder.join(format!("seed-{number:03}")), seed)?;
        }
        println!("{} {}", target.name, target.max_len);
    }
    Ok(())
}
