//! What a running daemon has left of its rights, who may call it, and what hostile callers can do to it: nothing.

use flowgate_tests::lab::gateway::Gateway;
use flowgate_tests::lab::held::Held;
use flowgate_tests::lab::{FLOWGATE, Lab, LabSpec, binary, enter, eventually, plan};
use flowgate_tests::test_name;
use nix::sys::signal::Signal;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output};
use std::time::Duration;

fn lab() -> Lab {
    Lab::new(LabSpec {
        servers: 2,
        ..LabSpec::default()
    })
}

/// A field of what the kernel says of each of the daemon's threads, but for the one that opens devices again.
fn of_threads(pid: &str, field: &str) -> Vec<String> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("its threads");
    let status = threads.map(|t| fs::read_to_string(t.expect("a thread").path().join("status")));
    let status = status.filter(|text| !text.as_ref().is_ok_and(|t| t.contains("fg-devices")));
    let field = |text: String| {
        let line = text.lines().find_map(|line| line.strip_prefix(field));
        line.unwrap_or_default().trim().to_owned()
    };
    status.filter_map(Result::ok).map(field).collect()
}

#[test]
fn no_thread_of_the_daemon_keeps_a_right_and_all_that_it_does_still_works() {
    if !enter(test_name!(), &[FLOWGATE, "ip"]) {
        return;
    }
    let lab = lab();
    let gateway = Gateway::start_with(&lab, &[1], "max-workers = 4");
    let status = gateway.ask("status");
    let said = status["sandbox"].as_str().unwrap_or_default();
    assert!(said.contains("capabilities none"), "{said}");
    assert!(said.contains("system calls by seccomp"), "{said}");
    assert!(gateway.log().contains("sandbox"), "{}", gateway.log());
    let pid = status["pid"].to_string();
    let none = "0000000000000000";
    for (field, wanted) in [
        ("CapEff:", none),
        ("CapPrm:", none),
        ("CapInh:", none),
        ("CapAmb:", none),
        ("NoNewPrivs:", "1"),
        ("Seccomp:", "2"),
    ] {
        let threads = of_threads(&pid, field);
        assert!(threads.len() >= 6, "{threads:?}");
        assert!(threads.iter().all(|is| is == wanted), "{field} {threads:?}");
    }

    // Flows, routes, workers, neighbours, the state file, the end.
    let services: Vec<_> = lab.families().into_iter().map(plan::echo_service).collect();
    let held = Held::open(&services, 20);
    gateway.route("add", 2, "");
    for workers in ["4", "1"] {
        gateway.tell(&format!("workers set {workers}"));
        assert!(held.stalled_after(2).is_empty(), "a connection stalled");
    }
    assert!(eventually(|| gateway.knows(&[1, 2])));
    let state = gateway.config.with_extension("state");
    let kept = || fs::read_to_string(&state).is_ok_and(|text| text.lines().count() > 1);
    assert!(eventually(kept), "no state is kept: {}", gateway.log());
    let socket = gateway.socket.clone();
    gateway.signal(Signal::SIGTERM);
    let ran = gateway.finish();
    assert_eq!(ran.status.code(), Some(0), "{ran}");
    assert!(!socket.exists());
    for trouble in ["ERROR", "cannot keep", "Operation not permitted"] {
        assert!(!ran.all().contains(trouble), "{ran}");
    }
}

/// What another user would like to know, or to do.
const CURIOUS: [&str; 6] = [
    "flow list",
    "capture -c 1",
    "explain tcp 10.0.0.2:1234 203.0.113.10:80",
    "route monitor",
    "arp -a",
    "workers set 1",
];

/// A command by another user.
fn as_nobody(gateway: &Gateway<'_>, command: &str) -> std::io::Result<Output> {
    let socket = gateway.socket.to_string_lossy();
    Command::new(binary::flowgate())
        .args(["--socket", &*socket])
        .args(command.split(' '))
        .uid(65_534)
        .gid(65_534)
        .output()
}

#[test]
fn the_sockets_file_and_its_callers_are_checked() {
    if !enter(test_name!(), &[FLOWGATE, "ip"]) {
        return;
    }
    let lab = lab();
    let gateway = Gateway::start(&lab, &[1, 2]);
    let file = fs::metadata(&gateway.socket).expect("its file");
    assert_eq!(file.mode() & 0o777, 0o660);
    assert_eq!(file.uid(), nix::unistd::geteuid().as_raw());
    let keeps =
        ["flowgate.group-secret", "flowgate.state"].map(|n| gateway.config.with_file_name(n));
    for file in keeps.iter().filter(|file| file.exists()) {
        let mode = fs::metadata(file).expect("a file").mode();
        assert_eq!(mode & 0o077, 0, "{}", file.display());
    }
    let _held = Held::open(&[plan::echo_service(plan::Family::V4)], 4);
    // The file keeps others out; open to all by mistake, their names do.
    for ancestor in gateway.socket.ancestors().skip(1).take(2) {
        let open = fs::Permissions::from_mode(0o755);
        let _ = fs::set_permissions(ancestor, open);
    }
    for (mode, command) in [0o660, 0o666]
        .into_iter()
        .flat_map(|mode| CURIOUS.map(|c| (mode, c)))
    {
        fs::set_permissions(&gateway.socket, fs::Permissions::from_mode(mode)).expect("ours");
        let tried = match as_nobody(&gateway, command) {
            Ok(tried) => tried,
            Err(error) => {
                println!("no other user here: {error}");
                return;
            }
        };
        assert!(!tried.status.success(), "{mode:o} {command}: {tried:?}");
        assert!(tried.stdout.is_empty(), "{mode:o} {command}: {tried:?}");
        let told = String::from_utf8_lossy(&tried.stderr);
        let why = if mode == 0o660 {
            "no right to call"
        } else {
            "permission denied"
        };
        assert!(told.contains(why), "{mode:o} {command}: {told}");
    }
    assert!(!gateway.flows("").is_empty(), "the owner is served");
}

/// Messages that are none, and what they begin like.
fn hostile() -> Vec<Vec<u8>> {
    let deep = [vec![b'['; 200_000], vec![0]].concat();
    vec![
        b"\0".to_vec(),
        b"{\"method\":".to_vec(),
        b"{}\0[]\0".to_vec(),
        vec![0xff; 4096],
        vec![b'x'; 3 << 20],
        deep,
        b"{\"method\":\"org.flowgate.RouteAdd\",\"parameters\":{\"destination\":7}}\0".to_vec(),
        b"{\"method\":\"org.flowgate.Status\",\"more\":true}\0".repeat(3000),
    ]
}

#[test]
fn hostile_callers_end_their_own_connections_and_nothing_else() {
    if !enter(test_name!(), &[FLOWGATE, "ip"]) {
        return;
    }
    let lab = lab();
    let mut gateway = Gateway::start(&lab, &[1, 2]);
    let held = Held::open(&[plan::echo_service(plan::Family::V4)], 8);
    for round in 0..2000 {
        let Ok(mut caller) = UnixStream::connect(&gateway.socket) else {
            continue;
        };
        let message = &hostile()[round % 8];
        // Most leave at once, some read a little, some never do.
        caller
            .set_write_timeout(Some(Duration::from_millis(20)))
            .expect("a limit");
        let _ = caller.write_all(message);
        if round % 5 == 0 {
            caller
                .set_read_timeout(Some(Duration::from_millis(5)))
                .expect("a limit");
            let _ = caller.read(&mut [0; 100]);
        }
    }
    // Half messages on all places: they are lost after a while, and the next caller is served.
    let idle: Vec<_> = (0..200)
        .filter_map(|_| UnixStream::connect(&gateway.socket).ok())
        .map(|mut caller| {
            let _ = caller.write_all(b"{\"method\"");
            caller
        })
        .collect();
    assert!(gateway.is_running(), "{}", gateway.log());
    assert!(held.stalled_after(2).is_empty(), "a connection stalled");
    let served = eventually(|| gateway.cli("status").status.success());
    assert!(served, "{} callers keep everybody out", idle.len());
    drop(idle);
    assert_eq!(gateway.ask("status")["collateral"], 0);
    assert!(!gateway.log().contains("panicked"), "{}", gateway.log());
}
