//! The real binary's command line, without a gateway: help, refusals, exit statuses, names, broken pipes, and programs at the
//! socket that are no flowgate.

#![expect(
    clippy::unwrap_used,
    reason = "what helpers of a test cannot do, fails the test"
)]

use std::io::Read;
use std::io::Write;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

const BINARY: &str = env!("CARGO_BIN_EXE_flowgate");

/// A fresh directory, removed in the end.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("fgcli{}-{count}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // Left behind it harms nobody.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn command(program: impl AsRef<Path>, line: &str) -> Command {
    let mut command = Command::new(program.as_ref());
    command.args(line.split_whitespace()).stdin(Stdio::null());
    // A gateway would serve there, and be refused.
    match line.starts_with("run ") {
        true => command.env_remove("FLOWGATE_SOCKET"),
        false => command.env("FLOWGATE_SOCKET", "no/such.sock"),
    };
    command
}

/// Output, error, exit status.
fn run(line: &str) -> (String, String, i32) {
    told(command(BINARY, line).output().unwrap())
}

fn told(output: Output) -> (String, String, i32) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        text(output.stdout),
        text(output.stderr),
        output.status.code().unwrap(),
    )
}

#[test]
fn every_command_has_help_with_examples() {
    let commands = [
        "",
        "run",
        "demo",
        "route",
        "arp",
        "ndp",
        "netstat",
        "group",
        "flow",
        "flow list",
        "flow flush",
        "flow stats",
        "ping",
        "status",
    ];
    for name in commands {
        let (out, error, status) = run(&format!("{name} --help"));
        assert_eq!((error.as_str(), status), ("", 0), "{name}");
        let lower = out.to_lowercase();
        for part in ["usage", "examples:", "exit status"] {
            assert!(
                lower.contains(part),
                "no {part} in the help of '{name}':\n{out}"
            );
        }
        let widest = out
            .lines()
            .map(|line| line.chars().count())
            .max()
            .unwrap_or(0);
        assert!(widest <= 110, "{name}: a line of {widest} columns");
    }
}

#[test]
fn help_of_a_tool_is_the_same_however_it_is_asked_for() {
    for tool in ["route", "arp", "ndp", "netstat"] {
        let help = run(&format!("{tool} --help"));
        assert_eq!(run(&format!("help {tool}")), help);
        assert_eq!(run(&format!("{tool} -n --help")), help);
    }
}

#[test]
fn a_link_acts_as_the_tool_that_it_is_named_after() {
    let directory = Directory::new();
    for tool in ["route", "arp", "ndp", "netstat"] {
        let link = directory.join(tool);
        std::os::unix::fs::symlink(BINARY, &link).unwrap();
        let help = told(command(&link, "--help").output().unwrap());
        assert_eq!(help, run(&format!("{tool} --help")));
        let (_, error, status) = told(command(&link, "--no-such").output().unwrap());
        assert!(
            error == format!("{tool}: unknown option --no-such: see --help\n"),
            "{error}"
        );
        assert_eq!(status, 64);
    }
}

#[test]
fn without_a_gateway_every_command_says_so_in_one_line() {
    let commands = [
        "route show",
        "route add 10.0.0.0/8 192.0.2.1",
        "route get 10.0.0.1",
        "route flush",
        "route monitor",
        "arp -an",
        "arp -d 192.0.2.1",
        "ndp -an",
        "netstat -rn",
        "netstat -s",
        "netstat -i",
        "flow list",
        "flow stats",
        "flow flush --all",
        "ping 192.0.2.1",
        "status",
    ];
    for line in commands {
        let (out, error, status) = run(line);
        assert_eq!((out.as_str(), status), ("", 69), "{line}");
        let tool = line.split_whitespace().next().unwrap();
        assert_eq!(
            error,
            format!(
                "{tool}: no flowgate answers at no/such.sock: start one with 'flowgate run --config FILE', \
                 or name its socket with --socket PATH or FLOWGATE_SOCKET\n"
            ),
            "{line}"
        );
        let (out, _, status) = run(&format!("{line} --json"));
        let told: serde_json::Value = serde_json::from_str(&out).unwrap();
        let unreachable = "org.flowgate.Unreachable".into();
        assert_eq!((&told["error"], status), (&unreachable, 69), "{line}");
    }
    let (_, error, status) = run("--socket elsewhere.sock status");
    assert!(error.contains("at elsewhere.sock:"), "{error}");
    assert_eq!(status, 69);
}

#[test]
fn words_that_make_no_sense_are_usage_errors() {
    let cases = [
        (
            "route",
            "route: no command: say add, change, delete, get, show, flush, load, export, monitor or moves\n",
        ),
        ("route ad 10.0.0.0/8", "route: bad keyword: ad: "),
        (
            "route add 10.0.0.1/8 192.0.2.1",
            "route: 10.0.0.1/8 has host bits set: write 10.0.0.0/8\n",
        ),
        ("route add 10.0.0.0/33 192.0.2.1", "route: 10.0.0.0/33 "),
        (
            "route add 10.0.0.0/8 192.0.2.1 -weight 0",
            "route: weight 0 is not valid for add: 0 means drain; use 'route change ... -weight 0'\n",
        ),
        (
            "arp",
            "arp: say one of: -a, HOST, -s HOST MAC, -S HOST MAC, -f FILE, -d HOST, -d -a\n",
        ),
        (
            "ndp",
            "ndp: say one of: -a, HOST, -s HOST MAC, -S HOST MAC, -f FILE, -d HOST, -c\n",
        ),
        ("netstat", "netstat: say what to show: "),
        (
            "flow flush",
            "flow: flow flush without a filter forgets every flow: say --all if that is meant\n",
        ),
        ("flow list --proto tpc", "flow: protocol tpc: "),
        ("ping -c 0 192.0.2.1", "ping: -c 0: write 1 or more, "),
        ("ping localhost", "ping: localhost is not an address: "),
    ];
    for (line, message) in cases {
        let (out, error, status) = run(line);
        assert_eq!((out.as_str(), status), ("", 64), "{line}");
        assert!(error.starts_with(message), "{line}: {error}");
        assert_eq!(error.lines().count(), 1, "{line}: {error}");
        // With --json the same is told to a program.
        let (out, _, status) = run(&format!("{line} --json"));
        let told: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(
            (&told["error"], status),
            (&"org.flowgate.Invalid".into(), 64)
        );
    }
    for line in [
        "",
        "no-such-command",
        "run",
        "demo --connections 0",
        "flow list --port 65536",
        "ping",
        "ping -4 -6 192.0.2.1",
    ] {
        let (out, error, status) = run(line);
        assert_eq!((out.as_str(), status), ("", 64), "{line}: {error}");
        assert_eq!(error.lines().count(), 1, "{line}: {error}");
        assert!(error.trim_end().ends_with("--help'"), "{line}: {error}");
    }
}

#[test]
fn a_wrong_configuration_is_told_with_its_lines() {
    let directory = Directory::new();
    let file = directory.join("wrong.toml");
    std::fs::write(
        &file,
        "[gateway]\nwrokers = 2\n[[port]]\nname = \"a\"\ntype = \"tun\"\nmtu = 1\n",
    )
    .unwrap();
    let file = file.display().to_string();
    for check in ["", "--check"] {
        let (out, error, status) = run(&format!("run --config {file} {check}"));
        assert_eq!((out.as_str(), status), ("", 78));
        assert_eq!(
            error,
            format!(
                "{file}:2: unknown key wrokers in [gateway]: write workers\n\
                 {file}:6: mtu = 1: write a number from 68 to 65535\n"
            )
        );
    }
    let (_, error, status) = run("run --config no/such.toml");
    assert!(
        error.starts_with("no/such.toml: cannot read the configuration: "),
        "{error}"
    );
    assert_eq!(status, 78);
}

#[test]
fn the_example_configuration_is_right() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/flowgate.example.toml");
    let (_, error, status) = run(&format!("run --check --config {}", example.display()));
    assert_eq!((error.as_str(), status), ("", 0));
}

#[test]
fn a_check_refuses_what_a_run_would_in_one_line() {
    let directory = Directory::new();
    let file = directory.join("a.toml");
    let port = "[[port]]\nname = \"a\"\ntype = \"tun\"\naddresses = [\"10.0.0.1/24\"]\n";
    let cases = [
        (
            "[tables]\nflows-v4 = 1073741824\n",
            "flows-v4 = 1073741824 in [tables] wants 73014444032 bytes",
            78,
        ),
        (
            "[control]\ngroup = \"no-such-group\"\n",
            "no group no-such-group for the control socket",
            78,
        ),
        (
            "[gateway]\ncpus = [999]\n",
            "flowgate has no CPU 999 here",
            78,
        ),
        (
            "[secrets]\ngroup-secret-file = \"/dev/zero\"\n",
            "it must be a regular file",
            73,
        ),
        (
            "[secrets]\ngroup-secret-file = \"no/such/file\"\n",
            "cannot make the group secret",
            73,
        ),
        (
            "[[route]]\ndestination = \"10.0.0.1/32\"\nkind = \"reject\"\n",
            "is our own address on port a",
            78,
        ),
        (
            "[control]\nsocket = \"no/such/socket\"\n",
            "cannot serve no/such/socket: No such file or directory (os error 2): make its directory first",
            71,
        ),
        (
            "[control]\nsocket = \"src\"\n",
            "src exists and is not a socket",
            71,
        ),
        (
            "[control]\nsocket = \"Cargo.toml\"\n",
            "Cargo.toml exists and is not a socket",
            71,
        ),
        (
            "[[port]]\nname = \"lo\"\ntype = \"tap\"\n",
            "device 'lo' is in use by another process or is another kind of interface",
            71,
        ),
    ];
    for (lines, message, wanted) in cases {
        std::fs::write(&file, format!("{lines}{port}")).unwrap();
        for check in ["--check", ""] {
            let (out, error, status) = run(&format!("run {check} --config {}", file.display()));
            assert_eq!((out.as_str(), status), ("", wanted), "{lines}{error}");
            assert!(error.contains(message), "{error}");
            assert_eq!(error.lines().count(), 1, "{error}");
        }
    }
}

#[test]
fn a_check_looks_at_the_socket_that_the_environment_names() {
    let directory = Directory::new();
    let file = directory.join("a.toml");
    let port = "[[port]]\nname = \"a\"\ntype = \"tun\"\naddresses = [\"10.0.0.1/24\"]\n";
    let checks = |config: &str, variable: &str| {
        std::fs::write(&file, format!("{config}{port}")).unwrap();
        let line = format!("run --check --config {}", file.display());
        let mut command = command(BINARY, &line);
        let (_, error, status) = told(command.env("FLOWGATE_SOCKET", variable).output().unwrap());
        (error, status)
    };
    let (error, status) = checks("", "no/such.sock");
    assert_eq!(status, 71, "{error}");
    assert!(
        error.starts_with("flowgate: cannot serve no/such.sock: "),
        "{error}"
    );
    let free = directory.join("s").display().to_string();
    assert_eq!(checks("", &free), (String::new(), 0));
    assert_eq!(checks("", ""), (String::new(), 0));
    // The configuration's goes before it.
    let named = format!("[control]\nsocket = {free:?}\n");
    assert_eq!(checks(&named, "no/such.sock"), (String::new(), 0));
}

#[test]
fn a_check_reads_what_is_to_be_logged() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/flowgate.example.toml");
    let line = format!("run --check --config {}", example.display());
    let (out, error, status) = run(&format!("{line} --log foo=bar=baz"));
    assert_eq!((out.as_str(), status), ("", 64));
    assert!(
        error.starts_with("flowgate: --log foo=bar=baz: "),
        "{error}"
    );
    assert_eq!(run(&format!("{line} --log debug")).2, 0);
}

#[test]
fn whatever_fails_is_an_error_object_with_json() {
    let directory = Directory::new();
    let file = directory.join("a.toml");
    let port = "[[port]]\nname = \"a\"\ntype = \"tun\"\naddresses = [\"10.0.0.1/24\"]\n";
    std::fs::write(&file, port).unwrap();
    let wrong = directory.join("wrong.toml");
    std::fs::write(&wrong, "x = 1\n[y\n").unwrap();
    let (file, wrong) = (file.display(), wrong.display());
    let cases = [
        (format!("run --check --config {wrong}"), "Invalid", 78),
        (format!("run --config {wrong}"), "Invalid", 78),
        (
            format!("run --check --log a=b=c --config {file}"),
            "Invalid",
            64,
        ),
        (format!("replay --config {wrong} a=b"), "Invalid", 78),
        (format!("replay --config {file} a=no/such"), "NotFound", 66),
        ("explain -port a -r no/such".into(), "NotFound", 66),
        ("route --socket /dev/null show".into(), "Unreachable", 69),
        ("capture -last -w -".into(), "Invalid", 64),
    ];
    for (line, error, wanted) in cases {
        let (out, told, status) = run(&format!("{line} --json"));
        assert_eq!(status, wanted, "{line}: {told}");
        let object: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(object["error"], format!("org.flowgate.{error}"), "{line}");
        assert_eq!(out.lines().count(), 1, "{out}");
        assert_ne!(told, "", "{line}");
    }
    let (out, error, status) = run(&format!("run --check --json --config {file}"));
    assert_eq!((error.as_str(), status), ("", 0));
    assert_eq!(out, format!("{{\"config\":\"{file}\",\"ok\":true}}\n"));
}

#[test]
fn a_demo_that_the_system_forbids_is_an_error_object_with_json() {
    for (json, wanted) in [("--json", Some("org.flowgate.Denied")), ("", None)] {
        let script = format!("ulimit -n 64; exec \"$0\" demo {json}");
        let mut shell = Command::new("sh");
        let (out, error, status) = told(shell.args(["-c", &script, BINARY]).output().unwrap());
        assert_eq!(status, 71, "{error}");
        let last = error.lines().last().unwrap();
        assert!(
            last.starts_with("flowgate demo: this system allows 64 open files: "),
            "{error}"
        );
        let object: Option<serde_json::Value> = serde_json::from_str(&out).ok();
        let told = object.as_ref().and_then(|object| object["error"].as_str());
        assert_eq!(
            (told, out.lines().count()),
            (wanted, json.len() / 6),
            "{out}"
        );
    }
}

#[test]
fn output_that_cannot_be_written_is_status_74() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/flowgate.example.toml");
    let check = format!("run --check --config {}", example.display());
    for line in [
        "--help",
        "help",
        "help route",
        "--version",
        "run --help",
        "flow list --help",
        "route --help",
        check.as_str(),
        &format!("{check} --json"),
    ] {
        let full = std::fs::File::create("/dev/full").unwrap();
        let done = command(BINARY, line).stdout(full).output().unwrap();
        let (_, error, status) = told(done);
        assert_eq!(status, 74, "{line}: {error}");
        assert!(error.contains("No space left on device"), "{line}: {error}");
        assert_eq!(error.lines().count(), 1, "{line}: {error}");
    }
}

#[test]
fn a_gateway_that_says_nothing_is_busy() {
    let directory = Directory::new();
    let path = directory.join("s");
    // Its backlog takes clients, as that of a stopped gateway does.
    let _listener = UnixListener::bind(&path).unwrap();
    let socket = path.display();
    let (out, error, status) = run(&format!("--socket {socket} status --json"));
    let line = format!(
        "no answer in time: the flowgate at {socket} has said nothing for 10 s: it is busy or stopped; try again"
    );
    assert_eq!((error, status), (format!("status: {line}\n"), 1));
    let told: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(told["error"], "org.flowgate.Busy");
    assert_eq!(told["parameters"]["message"], line);
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    for line in ["route --help", "status --help", "help netstat"] {
        let mut child = command(BINARY, line)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let (_, error, status) = told(child.wait_with_output().unwrap());
        assert_eq!((error.as_str(), status), ("", 0), "{line}");
    }
}

/// A program at a socket that answers one client with these bytes, whatever it asks. It has not ended before its thread is
/// joined: until then its socket is served.
fn program(directory: &Directory, answer: &'static [u8]) -> (PathBuf, JoinHandle<UnixListener>) {
    let path = directory.join("s");
    let listener = UnixListener::bind(&path).unwrap();
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut asked = [0; 4096];
        assert!(stream.read(&mut asked).unwrap() > 0);
        // A client that has enough may have left.
        let _ = stream.write_all(answer);
        listener
    });
    (path, thread)
}

fn run_against(line: &str, answer: &'static [u8]) -> (String, String, i32) {
    let directory = Directory::new();
    let (path, thread) = program(&directory, answer);
    let outcome = told(
        command(BINARY, line)
            .env("FLOWGATE_SOCKET", &path)
            .output()
            .unwrap(),
    );
    thread.join().unwrap();
    outcome
}

#[test]
fn a_program_that_is_no_flowgate_is_told_and_never_a_panic() {
    let answers: [&[u8]; 6] = [
        b"",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"{}\0",
        b"{\"parameters\":{\"routes\":7}}\0",
        b"\0\0\0",
        b"{\"parameters\":{}",
    ];
    for answer in answers {
        for line in ["route show", "status", "flow list"] {
            let (_, error, status) = run_against(line, answer);
            assert_eq!(status, 76, "{line} {answer:?}: {error}");
            assert!(
                error.contains("does not answer as a flowgate does: "),
                "{error}"
            );
            assert_eq!(error.lines().count(), 1, "{error}");
        }
    }
}

#[test]
fn a_refusal_is_status_1_and_json_too_when_asked() {
    let answer =
        b"{\"error\":\"org.flowgate.NotFound\",\"parameters\":{\"message\":\"not in table\"}}\0";
    let line = "delete net 10.0.0.0: not in table\n";
    let plain = run_against("route delete 10.0.0.0/8", answer);
    assert_eq!(plain, (String::new(), line.to_owned(), 1));
    let (out, error, status) = run_against("route delete 10.0.0.0/8 --json", answer);
    assert_eq!((error.as_str(), status), (line, 1));
    assert_eq!(
        out,
        "{\"error\":\"org.flowgate.NotFound\",\"parameters\":{\"message\":\"not in table\"}}\n"
    );
    let denied =
        b"{\"error\":\"org.flowgate.Denied\",\"parameters\":{\"message\":\"permission denied\"}}\0";
    let (_, error, status) = run_against("status", denied);
    assert_eq!(
        (error.as_str(), status),
        ("status: permission denied\n", 77)
    );
}
