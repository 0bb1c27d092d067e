//! The executable under test: `flowgate` of the same build as the test, and never an old one.
//!
//! `cargo test --workspace` has built it; `cargo test -p flowgate-tests` has not. Cargo leaves a list of
//! what went into it beside it (`flowgate.d`): if one of these files is younger, or there is no list,
//! cargo is asked to build it first.

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

/// Whether nothing that it is made of is younger than it is.
fn is_fresh(binary: &Path) -> bool {
    let Some(made) = modified(binary) else {
        return false;
    };
    let Ok(list) = fs::read_to_string(binary.with_extension("d")) else {
        return false;
    };
    let sources = list.split_once(": ").map_or("", |(_, sources)| sources);
    // A blank in a path is written "\ "; a path that is not found makes the list doubtful.
    let sources = sources.trim().replace("\\ ", "\0");
    let fresh = |source: &str| {
        modified(Path::new(&source.replace('\0', " "))).is_some_and(|changed| changed <= made)
    };
    !sources.is_empty() && sources.split(' ').all(fresh)
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|meta| meta.modified()).ok()
}

fn build(profile: &Path) {
    let name = profile.file_name().unwrap_or_default().to_string_lossy();
    let name = if name == "debug" { "dev" } else { &*name };
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "-p", "flowgate", "--profile", name, "--target-dir"]);
    command.arg(profile.parent().expect("target/<profile>"));
    command.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let built = command.output().expect("cargo");
    assert!(
        built.status.success(),
        "cargo cannot build flowgate:\n{}",
        String::from_utf8_lossy(&built.stderr)
    );
}
