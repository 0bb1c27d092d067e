//! `flowgate run`, the real binary in a private namespace: served, asked, ended.

#![allow(clippy::unwrap_used, reason = "what surprises a test ends it")]

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use stack::io::netns::in_child_namespace;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};

const CONFIG: &str = r#"
[gateway]
workers = 2
[tables]
flows-v4 = 4096
flows-v6 = 4096
[[port]]
name = "uplink"
type = "tun"
addresses = ["10.99.0.1/24"]
host-addresses = ["10.99.0.2/24"]
[[port]]
name = "rack"
type = "tap"
addresses = ["192.0.2.1/24"]
[[route]]
destination = "203.0.113.10/32"
gateways = ["192.0.2.11", { address = "192.0.2.12", weight = 3 }]
"#;

/// A directory for one test's files; it goes with the test.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("flowgate-{name}-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A daemon that is killed if the test ends before it.
struct Daemon {
    child: Child,
    log: BufReader<ChildStderr>,
}

impl Daemon {
    fn start(config: &Path, socket: &Path) -> Self {
        let mut child = flowgate(socket)
            .args(["run", "--config"])
            .arg(config)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        Self { child, log }
    }

    /// Reads the log up to a line that contains `word`.
    fn await_line(&mut self, word: &str) -> String {
        let mut all = String::new();
        while !all.lines().last().unwrap_or_default().contains(word) {
            let read = self.log.read_line(&mut all).unwrap();
            assert_ne!(read, 0, "it ended before it said {word:?}:\n{all}");
        }
        all
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn flowgate(socket: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flowgate"));
    command.arg("--socket").arg(socket).env_remove("RUST_LOG");
    command
}

/// Status, standard output and standard error of a command line.
fn ask(socket: &Path, line: &str) -> (i32, String, String) {
    let output = flowgate(socket).args(line.split(' ')).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let status = output.status.code().unwrap();
    (status, text(output.stdout), text(output.stderr))
}

#[test]
fn a_daemon_serves_its_commands_until_it_is_told_to_end() {
    let test = "a_daemon_serves_its_commands_until_it_is_told_to_end";
    if !in_child_namespace(test).is_inside() {
        return;
    }
    let place = Place::new("run");
    let (config, socket) = (place.file("flowgate.toml"), place.file("flowgate.sock"));
    std::fs::write(&config, CONFIG).unwrap();
    let mut daemon = Daemon::start(&config, &socket);
    let log = daemon.await_line("serving");
    assert!(log.contains("workers=2") && log.contains("uplink"), "{log}");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&socket), 0o660);
    assert_eq!(mode(&place.file("flowgate.group-secret")), 0o600);

    let (status, out, error) = ask(&socket, "netstat -rn");
    assert_eq!((status, error.as_str()), (0, ""));
    for word in [
        "203.0.113.10",
        "192.0.2.11",
        "192.0.2.12",
        "192.0.2.0/24",
        "uplink",
    ] {
        assert!(out.contains(word), "{word} in\n{out}");
    }
    let added = ask(&socket, "route add 198.51.100.0/24 192.0.2.11");
    assert_eq!(
        added,
        (
            0,
            "add net 198.51.100.0: gateway 192.0.2.11\n".into(),
            "".into()
        )
    );
    let (status, _, error) = ask(&socket, "route add 198.51.100.0/24 192.0.2.11");
    assert_eq!(status, 1);
    assert_eq!(
        error,
        "add net 198.51.100.0: gateway 192.0.2.11: route already in table\n"
    );
    let (status, _, error) = ask(&socket, "route add 198.51.100.0/24 172.16.0.1");
    assert_eq!(status, 1);
    assert!(
        error.contains("Network is unreachable: no port has an address"),
        "{error}"
    );
    let (status, _, error) = ask(&socket, "route delete 100.64.0.0/10");
    assert_eq!(
        (status, error.contains("not in table")),
        (1, true),
        "{error}"
    );
    for line in [
        "status",
        "netstat -s",
        "netstat -i",
        "netstat -o",
        "arp -an",
        "flow list",
        "flow stats",
    ] {
        let (status, out, error) = ask(&socket, line);
        assert_eq!((status, error.as_str()), (0, ""), "{line}");
        assert!(!out.is_empty() || line == "arp -an", "{line}");
    }

    // A second one on the same socket, and one elsewhere with the same state file.
    let elsewhere = place.file("other.sock");
    for (socket, why) in [
        (&socket, "a flowgate already serves"),
        (&elsewhere, "another gateway keeps its groups there"),
    ] {
        let second = Command::new(env!("CARGO_BIN_EXE_flowgate"))
            .args(["run", "--config"])
            .arg(&config)
            .arg("--socket")
            .arg(socket)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&second.stderr);
        assert_eq!(second.status.code(), Some(1), "{said}");
        assert!(said.contains(why), "{said}");
    }

    let pid = Pid::from_raw(daemon.child.id() as i32);
    for harmless in [Signal::SIGUSR1, Signal::SIGUSR2] {
        kill(pid, harmless).unwrap();
        assert_eq!(ask(&socket, "status").0, 0, "{harmless}");
    }
    kill(pid, Signal::SIGTERM).unwrap();
    assert_eq!(daemon.child.wait().unwrap().code(), Some(0));
    daemon.await_line("ended");
    assert!(!socket.exists());
    assert_eq!(ask(&socket, "status").0, 69);
}

/// timeout(1) signals its child, and then the group that the child is in.
#[test]
fn signals_that_come_together_are_one_and_the_daemon_ends_cleanly() {
    let test = "signals_that_come_together_are_one_and_the_daemon_ends_cleanly";
    if !in_child_namespace(test).is_inside() {
        return;
    }
    let place = Place::new("signals");
    let (config, socket) = (place.file("flowgate.toml"), place.file("flowgate.sock"));
    std::fs::write(&config, CONFIG).unwrap();
    let mut daemon = Daemon::start(&config, &socket);
    daemon.await_line("serving");
    let pid = Pid::from_raw(daemon.child.id() as i32);
    // All of them wait when it runs on.
    for signal in [
        Signal::SIGSTOP,
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGHUP,
        Signal::SIGCONT,
    ] {
        kill(pid, signal).unwrap();
    }
    assert_eq!(daemon.child.wait().unwrap().code(), Some(0));
    daemon.await_line("ended");
    assert!(!socket.exists());
}

#[test]
fn a_drop_is_captured_to_a_file_that_tshark_reads() {
    let test = "a_drop_is_captured_to_a_file_that_tshark_reads";
    if !in_child_namespace(test).is_inside() {
        return;
    }
    let place = Place::new("capture");
    let (config, socket) = (place.file("flowgate.toml"), place.file("flowgate.sock"));
    std::fs::write(&config, CONFIG).unwrap();
    let mut daemon = Daemon::start(&config, &socket);
    daemon.await_line("serving");
    // A port's carrier comes a moment after its device.
    let sender = std::net::UdpSocket::bind("10.99.0.2:4000").unwrap();
    sender.set_ttl(1).unwrap();
    let file = place.file("drops.pcapng");
    let captured = || {
        let _ = sender.send_to(b"one hop too far", "10.99.0.77:4001");
        let line = format!("capture -last -w {} reason ips_ttlexpired", file.display());
        let (status, out, error) = ask(&socket, &line);
        assert_eq!((status, error.as_str()), (0, ""));
        !out.starts_with("0 packets")
    };
    assert!((0..200).any(|_| captured()), "nothing was dropped");
    let fields = [
        "frame.interface_name",
        "frame.packet_flags_direction",
        "ip.ttl",
        "udp.dstport",
        "frame.comment",
    ];
    let mut tshark = Command::new("tshark");
    tshark.arg("-r").arg(&file).args(["-T", "fields"]);
    for field in fields {
        tshark.args(["-e", field]);
    }
    let output = tshark.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let first = text.lines().next().unwrap_or_default();
    let want = "uplink\t1\t1\t4001\tdrop ips_ttlexpired, worker ";
    let read: Vec<_> = first.split('\t').collect();
    assert_eq!(read.len(), fields.len(), "{text}{:?}", output.stderr);
    // Older ones write the direction as 0x00000001.
    assert!(read[1].ends_with('1'), "{first}");
    let rest = [read[0], "1", read[2], read[3], read[4]].join("\t");
    assert!(rest.starts_with(want), "{first}");
    let (status, out, _) = ask(&socket, "explain udp 10.99.0.2:4000 10.99.0.77:4001");
    assert_eq!(status, 0);
    assert!(out.contains("verdict: forward, out by uplink"), "{out}");
    let (status, out, _) = ask(
        &socket,
        &format!("explain -port uplink -r {}", file.display()),
    );
    assert_eq!(status, 0);
    assert!(out.contains("verdict: drop, ips_ttlexpired"), "{out}");
}
