//! A small file system of a test's own, and how it becomes full.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Set in the process that has a file system of its own: where.
const MOUNTED: &str = "HARDTACK_MOUNTED";

/// Runs the test of this name again on a small file system of its own.
pub fn on_a_small_disk(test: &str) -> Option<PathBuf> {
    if let Ok(folder) = std::env::var(MOUNTED) {
        return Some(folder.into());
    }
    let folder = tempfile::tempdir().unwrap();
    let script = r#"mount -t tmpfs -o size=8m tmpfs "$1" && exec "$2" --exact "$3" --nocapture"#;
    let unshare = |more: &[&str]| {
        Command::new("unshare")
            .args(["--mount", "--user", "--map-root-user", "--"])
            .args(more)
            .env(MOUNTED, folder.path())
            .output()
    };
    let allowed = unshare(&["true"]).is_ok_and(|output| output.status.success());
    if !allowed {
        assert!(std::env::var("HARDTACK_DEMAND_MOUNT").is_err(), "mounting is not allowed here");
        println!("not tried: mounting is not allowed here");
        return None;
    }
    let this = std::env::current_exe().unwrap();
    let (at, this) = (folder.path().to_str().unwrap(), this.to_str().unwrap());
    let output = unshare(&["sh", "-c", script, "sh", at, this, test]).unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("1 passed"), "{said}");
    None
}

pub fn fill(path: &Path) {
    use std::io::Write;
    let mut filler = fs::File::create(path).unwrap();
    for size in [65_536, 4096, 512] {
        while filler.write_all(&vec![0; size]).is_ok() {}
    }
}
