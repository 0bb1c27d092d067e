//! The executable under test: `flowgate` of the same build as the test, and never an old one.
//!
//! `cargo test --workspace` has built it; `cargo test --test e2e` has not. If one of the files that it is made of is
//! younger, or it is not there, cargo is asked to build it first. (Cargo's own list of these, `flowgate.d`, is not written by
//! `cargo test`.)

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::SystemTime;

/// Path of an up-to-date `flowgate`.
///
/// # Panics
/// It cannot be built.
pub fn flowgate() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let test = env::current_exe().expect("this test's path");
        let profile = test
            .ancestors()
            .nth(2)
            .expect("target/<profile>/deps/<test>");
        let binary = profile.join("flowgate");
        if !is_fresh(&binary) {
            build(profile);
        }
        assert!(binary.is_file(), "cargo built no {}", binary.display());
        binary
    })
}

/// What it is made of, in the workspace.
const SOURCES: [&str; 7] = [
    "Cargo.lock",
    "Cargo.toml",
    "arp",
    "flowtable",
    "route",
    "stack",
    "tools",
];

/// Whether nothing that it is made of is younger than it is.
fn is_fresh(binary: &Path) -> bool {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let sources = || SOURCES.iter().map(|name| root.join(name));
    modified(binary).is_some_and(|made| sources().all(|source| is_older(&source, made)))
}

/// Whether a file, or everything in a directory, is no younger than this.
fn is_older(path: &Path, made: SystemTime) -> bool {
    let Ok(entries) = fs::read_dir(path) else {
        return modified(path).is_some_and(|changed| changed <= made);
    };
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.into_iter().all(|path| is_older(&path, made))
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|meta| meta.modified()).ok()
}

fn build(profile: &Path) {
    let name = profile.file_name().unwrap_or_default().to_string_lossy();
    let name = if name == "debug" { "dev" } else { &*name };
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--bin", "flowgate", "--profile", name]);
    command.arg("--target-dir");
    command.arg(profile.parent().expect("target/<profile>"));
    command.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let built = command.output().expect("cargo");
    assert!(
        built.status.success(),
        "cargo cannot build flowgate:\n{}",
        String::from_utf8_lossy(&built.stderr)
    );
}
