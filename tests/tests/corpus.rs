//! What the fuzzers have kept, played without them: each file of `tests/fuzz/corpus` and each crash that was one, in
//! `tests/fuzz/regressions`, by the target that its folder is named after.

#[path = "../fuzz/targets/mod.rs"]
mod targets;

use std::fs;
use std::path::{Path, PathBuf};

fn files(folder: &str, target: &str) -> Vec<PathBuf> {
    let at = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz")
        .join(folder)
        .join(target);
    let Ok(all) = fs::read_dir(at) else {
        return Vec::new();
    };
    let mut all: Vec<_> = all.map(|file| file.expect("a file").path()).collect();
    all.sort_unstable();
    all
}

#[test]
fn whatever_the_fuzzers_kept_is_taken_without_harm() {
    for (target, run) in targets::ALL {
        let kept = files("corpus", target);
        assert!(kept.len() >= 5, "{target} has {} files", kept.len());
        for file in kept.iter().chain(&files("regressions", target)) {
            println!("{}", file.display());
            run(&fs::read(file).expect("a file"));
        }
    }
}
