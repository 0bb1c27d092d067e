//! `load`, `flush` and `export` against a served fake gateway.

use super::*;
use crate::testing::Directory;
use nix::sys::stat::Mode;
use nix::sys::stat::SFlag;
use nix::sys::stat::makedev;
use nix::sys::stat::mknod;
use nix::unistd::mkfifo;
use std::fs::Metadata;
use std::fs::Permissions;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::chown;
use std::os::unix::fs::symlink;
use std::path::Path;

/// Runs one command; `FILE` in it stands for a file of this content.
fn with_file(content: &str, line: &str, json: bool) -> (String, Option<String>, u8, String) {
    let directory = Directory::new();
    let path = directory.join("routes");
    std::fs::write(&path, content).unwrap();
    let name = path.display().to_string();
    let line = line.replace("FILE", &name);
    let (out, error, status) = run_tool(Fake::small(), crate::cli::route::run, &line, json);
    let error = error.map(|error| error.replace(&name, "FILE"));
    (out, error, status, std::fs::read_to_string(&path).unwrap())
}

const TABLE: &str = "10.0.0.0/8\n203.0.113.0/24 192.0.2.11,192.0.2.12*3\n2001:db8::/32\n";

#[test]
fn a_file_is_loaded_and_counted() {
    let line = "load FILE -gateway 192.0.2.13,192.0.2.14*2 -gateway fd00::1";
    let (out, error, status, _) = with_file(TABLE, line, false);
    assert_eq!((error, status), (None, 0));
    assert!(
        out.starts_with("loaded 3 routes (2 IPv4, 1 IPv6) in 0."),
        "{out}"
    );
    assert!(
        out.ends_with(" s: 2 added, 0 changed, 0 deleted\n"),
        "{out}"
    );
    let (out, ..) = with_file(TABLE, "-6 load FILE -gateway fd00::1 -replace", true);
    let value: serde_json::Value = serde_json::from_str(&out).unwrap();
    let (by_ipv6, error, ..) = with_file("10.0.0.0/8", "load FILE -4 -gateway fd00::1", false);
    assert_eq!((error, &by_ipv6[..15]), (None, "loaded 1 routes"));
    assert_eq!(
        (&value["routes"], &value["deleted"]),
        (&1.into(), &0.into())
    );
    let (out, ..) = with_file("10.0.0.0/8 192.0.2.1", "load -replace FILE", false);
    assert!(out.ends_with(": 1 added, 0 changed, 1 deleted\n"), "{out}");
    let (out, ..) = with_file(
        TABLE,
        "-q load FILE -gateway 192.0.2.1 -gateway fd00::1",
        false,
    );
    assert_eq!(out, "");
}

#[test]
fn what_is_wrong_is_told_with_its_line_and_status() {
    for (content, line, error, status) in [
        (
            "10.0.0.0/8 x",
            "load FILE",
            "FILE:1: \"x\" is no gateway: write its address",
            65,
        ),
        (
            "\n10.0.0.0/8 172.16.0.1",
            "load FILE",
            "route: FILE:2: 10.0.0.0/8: Network is unreachable: no port",
            1,
        ),
        (
            "\n192.0.2.0/24 192.0.2.11",
            "load FILE",
            "route: FILE:2: 192.0.2.0/24 is the network of port rack",
            1,
        ),
        (
            "",
            "load FILEx",
            "FILEx cannot be read: No such file or directory (os error 2)",
            66,
        ),
        ("", "load", "load needs a file, or - for standard input", 64),
        ("", "load FILE b", "load takes one file, and no b", 64),
        (
            "",
            "load FILE -gateway 192.0.2.1,fd00::1",
            "-gateway 192.0.2.1,fd00::1: give -gateway twice, once for each family",
            64,
        ),
        (
            "",
            "load FILE -gateway 192.0.2.1 -gateway 192.0.2.2",
            "-gateway was given twice for one family: name all with commas",
            64,
        ),
        (
            "",
            "load FILE -gateway x",
            "-gateway \"x\" is no gateway: write its address",
            64,
        ),
        (
            "",
            "load FILE -peer x",
            "-peer x: write a peer's number, from 0",
            64,
        ),
        (
            TABLE,
            "load FILE -peer 1",
            "FILE:1: this is text and no MRT table, which alone has peers: leave -peer out",
            65,
        ),
        (
            "",
            "load FILE -peer 1",
            "FILE: record 1 at byte 0: the file is empty: an MRT table, which alone has peers, has records",
            65,
        ),
        (
            "\0\0\0\u{1}",
            "load FILE -peer 1",
            "FILE: record 1 at byte 0: the file has 4 bytes: no MRT table, which alone has peers, or one that is cut short",
            65,
        ),
        (
            "",
            "load FILE -blackhole",
            "bad keyword: -blackhole: see route --help",
            64,
        ),
    ] {
        let (_, told, exit, _) = with_file(content, line, false);
        assert_eq!((told.as_deref(), exit), (Some(error), status), "{line}");
    }
}

#[test]
fn an_export_is_a_file_that_load_reads() {
    assert_eq!(prints("export"), "203.0.113.0/24 192.0.2.11,192.0.2.12*3\n");
    assert_eq!(prints("-6 export"), "");
    let (out, error, status, content) = with_file("old", "export FILE", false);
    assert_eq!((out.as_str(), error, status), ("", None, 0));
    assert_eq!(content, "203.0.113.0/24 192.0.2.11,192.0.2.12*3\n");
    let (_, error, status, _) = with_file("", "export FILE/x", false);
    assert_eq!(status, 74, "{error:?}");
}

#[test]
fn an_export_as_json_goes_into_its_file_too() {
    let (printed, ..) = with_file("", "export", true);
    let value: serde_json::Value = serde_json::from_str(&printed).unwrap();
    assert!(value["routes"].is_string(), "{printed}");
    let (out, error, status, content) = with_file("old", "export FILE", true);
    assert_eq!((out.as_str(), error, status), ("", None, 0));
    assert_eq!(content, printed);
}

/// Exports to this file; what is told, if anything, and the status.
fn exports_to(path: &Path) -> (Option<String>, u8) {
    let line = format!("export {}", path.display());
    let (_, error, status) = run_tool(Fake::small(), crate::cli::route::run, &line, false);
    (error, status)
}

const EXPORTED: &str = "203.0.113.0/24 192.0.2.11,192.0.2.12*3\n";

#[test]
fn an_export_goes_into_a_pipe_or_a_device_and_puts_no_file_in_its_place() {
    let directory = Directory::new();
    let pipe = directory.join("pipe");
    mkfifo(&pipe, Mode::S_IRWXU).unwrap();
    let reads = pipe.clone();
    let reader = std::thread::spawn(move || std::fs::read_to_string(reads).unwrap());
    assert_eq!(exports_to(&pipe), (None, 0));
    let is = std::fs::symlink_metadata(&pipe).unwrap().file_type();
    assert!(is.is_fifo(), "{is:?}");
    assert_eq!(reader.join().unwrap(), EXPORTED);
    // A device of our own, like /dev/null: root alone can make one, and not in every namespace.
    let device = directory.join("null");
    if mknod(&device, SFlag::S_IFCHR, Mode::S_IRWXU, makedev(1, 3)).is_ok() {
        let _ = exports_to(&device);
        let is = std::fs::symlink_metadata(&device).unwrap().file_type();
        assert!(is.is_char_device(), "{is:?}");
    }
}

#[test]
fn an_export_to_a_link_is_its_targets_new_content() {
    let directory = Directory::new();
    let (link, target) = (directory.join("link"), directory.join("target"));
    symlink(&target, &link).unwrap();
    // The link leads nowhere yet, then to a file.
    for _ in 0..2 {
        assert_eq!(exports_to(&link), (None, 0));
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(std::fs::read_to_string(&target).unwrap(), EXPORTED);
        std::fs::write(&target, "old").unwrap();
    }
}

#[test]
fn an_export_over_a_file_keeps_its_mode_and_owner_and_leaves_nothing_beside_it() {
    let directory = Directory::new();
    let path = directory.join("routes");
    std::fs::write(&path, "old").unwrap();
    std::fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    // Root alone can give a file away.
    let _ = chown(&path, Some(65534), Some(65534));
    let before = std::fs::metadata(&path).unwrap();
    assert_eq!(exports_to(&path), (None, 0));
    let after = std::fs::metadata(&path).unwrap();
    let is = |of: &Metadata| (of.mode(), of.uid(), of.gid());
    assert_eq!(is(&after), is(&before));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), EXPORTED);
    assert_eq!(std::fs::read_dir(&*directory).unwrap().count(), 1);
}

#[test]
fn an_export_never_writes_to_what_lies_beside_its_file() {
    let directory = Directory::new();
    let other = directory.join("routes.part");
    std::fs::write(&other, "another's").unwrap();
    assert_eq!(exports_to(&directory.join("routes")), (None, 0));
    assert_eq!(std::fs::read_to_string(&other).unwrap(), "another's");
}

#[test]
fn a_flush_tells_how_many() {
    let text = prints("flush");
    assert!(text.starts_with("flushed 1 routes in 0."), "{text}");
    assert!(prints("-6 flush").starts_with("flushed 0 routes in"));
    assert_eq!(prints("-q flush"), "");
}
