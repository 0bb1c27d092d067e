//! The table of `docs/CONFORMANCE.md`, the tests beside this file and the files of `vectors/` agree.

use flowgate_tests::conform::{Vector, play};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

const LINES: u32 = 76;

fn here() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &Path, ends: &str) -> Vec<(String, String)> {
    let all = std::fs::read_dir(folder).expect("a folder");
    let paths = all.map(|file| file.expect("a file").path());
    let named = paths.filter_map(|path| Some((path.file_name()?.to_str()?.to_owned(), path)));
    named
        .filter(|(name, _)| name.ends_with(ends))
        .map(|(name, path)| (name, std::fs::read_to_string(path).expect("a text")))
        .collect()
}

/// The number in a name such as `c28_df_and_too_big`.
fn number(name: &str) -> Option<u32> {
    let digits = name.strip_prefix('c')?.get(..2)?;
    digits.parse().ok().filter(|_| name.get(3..4) == Some("_"))
}

/// Every conformance test, with the file that it stands in.
fn tests() -> BTreeMap<String, String> {
    let mut tests = BTreeMap::new();
    for (file, text) in files(&here().join("tests/conform"), ".rs") {
        let lines: Vec<&str> = text.lines().collect();
        let marked = lines.windows(2).filter(|pair| pair[0].trim() == "#[test]");
        let names = marked.filter_map(|pair| pair[1].trim().strip_prefix("fn ")?.split('(').next());
        for name in names.filter(|name| number(name).is_some()) {
            assert!(
                tests.insert(name.to_owned(), file.clone()).is_none(),
                "{name} twice"
            );
        }
    }
    tests
}

/// The table: of each number its tests, or `None` where it says that there is nothing yet.
fn table() -> BTreeMap<u32, Option<BTreeSet<String>>> {
    let text = std::fs::read_to_string(here().join("../docs/CONFORMANCE.md")).expect("the table");
    let mut table = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("| C")) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, no, _, _, tests, _, _] = cells[..] else {
            panic!("not five cells: {line}");
        };
        let no: u32 = no[1..]
            .parse()
            .unwrap_or_else(|_| panic!("no number: {line}"));
        let named = tests
            .split('`')
            .filter(|name| number(name).is_some())
            .map(str::to_owned);
        let tests = (tests != "not yet").then(|| named.collect());
        assert!(table.insert(no, tests).is_none(), "C{no:02} twice");
    }
    table
}

#[test]
fn the_table_has_every_line_and_names_every_test() {
    let (table, tests) = (table(), tests());
    let all: Vec<u32> = (1..=LINES).collect();
    assert_eq!(table.keys().copied().collect::<Vec<_>>(), all);
    for (no, named) in &table {
        let theirs = tests
            .keys()
            .filter(|name| number(name) == Some(*no))
            .cloned();
        let theirs: BTreeSet<String> = theirs.collect();
        match named {
            Some(named) => {
                assert!(!named.is_empty(), "C{no:02} names no test");
                assert_eq!(*named, theirs, "C{no:02}");
            }
            None => assert!(theirs.is_empty(), "C{no:02} is there: {theirs:?}"),
        }
    }
}

/// Files below a folder of a test program that no `main.rs` or `mod.rs` beside them names: they would never be compiled.
fn forgotten(folder: &Path) -> Vec<PathBuf> {
    let text = |file: &str| std::fs::read_to_string(folder.join(file));
    let head = text("main.rs").or_else(|_| text("mod.rs"));
    let head = head.unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut forgotten = Vec::new();
    for file in std::fs::read_dir(folder).expect("a folder") {
        let path = file.expect("a file").path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let declared =
            ["main", "mod"].contains(&&*name) || head.contains(&format!("mod {name};\n"));
        if !declared {
            forgotten.push(path.clone());
        }
        if path.is_dir() {
            forgotten.extend(self::forgotten(&path));
        }
    }
    forgotten
}

#[test]
fn every_file_of_a_test_program_is_a_module_of_it() {
    let all = std::fs::read_dir(here().join("tests")).expect("a folder");
    let folders = all.map(|file| file.expect("a file").path());
    let folders: Vec<_> = folders.filter(|path| path.is_dir()).collect();
    assert!(folders.len() >= 5, "{folders:?}");
    for folder in folders {
        assert_eq!(forgotten(&folder), <[PathBuf; 0]>::default());
    }
}

#[test]
fn every_vector_is_of_a_test_and_holds_by_its_text_alone() {
    let tests = tests();
    let vectors = files(&here().join("vectors"), ".txt");
    assert!(vectors.len() > 50, "{} vectors", vectors.len());
    for (file, text) in vectors {
        let vector = Vector::parse(&text).unwrap_or_else(|fault| panic!("{file}: {fault}"));
        assert_eq!(file, format!("{}.txt", vector.name));
        let test = vector.name.split('.').next().unwrap_or_default();
        assert!(tests.contains_key(test), "{file} is of no test");
        play(&vector);
    }
}
