//! nginx at the server's end, one connection a request; wrk at the client's.

use super::place::{Ends, said};
use super::tool::{Program, Scratch, find};
use crate::clock::sleep;
use stack::io::netns::sysctl_write;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Both programs, or what is missing.
pub(super) fn tools() -> Result<(), String> {
    find("nginx", "nginx-light")?;
    find("wrk", "wrk").map(drop)
}

/// A web server, until it is dropped.
pub(super) struct Nginx {
    _program: Program,
    _files: Scratch,
}

impl Nginx {
    /// Starts one and waits until it answers; gives the client as many ports as there are.
    pub(super) fn start(ends: &Ends) -> Result<Self, String> {
        // A port is free again once its connection is over at this end; the server's end takes a SYN of a later one.
        let ports = || sysctl_write("net/ipv4/ip_local_port_range", "1024 65535");
        ends.client.enter(ports)?.map_err(said)?;
        let queue = || sysctl_write("net/core/somaxconn", "4096");
        ends.server.enter(queue)?.map_err(said)?;
        let files = Scratch::new()?;
        let file = files.write("nginx.conf", &config(files.dir()))?;
        let mut command = Command::new(find("nginx", "nginx-light")?);
        command.arg("-p").arg(files.dir()).arg("-c").arg(file);
        command.args(["-e", "stderr"]).stdin(Stdio::null());
        let mut program = ends.server.enter(|| Program::start(command))??;
        let to = (ends.server.host, 80);
        for _ in 0..100 {
            if ends.server.enter(|| TcpStream::connect(to).is_ok())? {
                let (_program, _files) = (program, files);
                return Ok(Self { _program, _files });
            }
            if let Some(status) = program.ended() {
                return Err(format!("nginx: {status}"));
            }
            sleep(Duration::from_millis(50));
        }
        Err("nginx does not answer".into())
    }
}

/// One process, all its files in `dir`, a tiny page, and the connection closed behind it.
fn config(dir: &Path) -> String {
    let dir = dir.display();
    let paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("  {kind}_temp_path {dir}/{kind};\n"))
        .concat();
    format!(
        "user root root;\ndaemon off;\nmaster_process off;\npid {dir}/pid;\nerror_log stderr error;\n\
         events {{ worker_connections 8192; }}\n\
         http {{\n  access_log off;\n  keepalive_timeout 0;\n{paths}  server {{\n    \
         listen 80 backlog=4096;\n    location / {{ return 200 \"page\\n\"; }}\n  }}\n}}\n"
    )
}

/// What wrk says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Asked {
    /// Requests a second, each on a connection of its own.
    pub(super) a_second: f64,
    /// All of them.
    pub(super) requests: u64,
    /// Connections that failed, answers that were none.
    pub(super) errors: u64,
}

/// Asks for pages for so many seconds, `at_once` at a time.
pub(super) fn wrk(ends: &Ends, seconds: usize, at_once: usize) -> Result<Asked, String> {
    let mut command = Command::new(find("wrk", "wrk")?);
    let (span, open) = (format!("-d{seconds}s"), format!("-c{at_once}"));
    command.args(["-t1", &open, &span, "--timeout", "5s"]);
    command.args(["-H", "Connection: close"]);
    command.arg(format!("http://{}/", ends.server.host));
    let output = ends.client.enter(|| command.output())?.map_err(said)?;
    let text = String::from_utf8_lossy(&output.stdout);
    let why = String::from_utf8_lossy(&output.stderr);
    read(&text).ok_or_else(|| format!("wrk: {} {}", text.trim(), why.trim()))
}

fn read(text: &str) -> Option<Asked> {
    let line = |what: &str| text.lines().find_map(|line| line.trim().strip_prefix(what));
    let numbers = |line: &str| -> u64 {
        let words = line
            .split([',', ' '])
            .filter_map(|word| word.parse::<u64>().ok());
        words.sum()
    };
    let all = text
        .lines()
        .find_map(|line| line.trim().split_once(" requests in "))?;
    Some(Asked {
        a_second: line("Requests/sec:")?.trim().parse().ok()?,
        requests: all.0.parse().ok()?,
        errors: line("Socket errors:").map_or(0, numbers)
            + line("Non-2xx or 3xx responses:").map_or(0, numbers),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "Running 2s test @ http://10.2.0.2/\n  1 threads and 64 connections\n\
        \x20 24004 requests in 2.10s, 4.21MB read\nRequests/sec:  11430.40\nTransfer/sec:      2.00MB\n";

    #[test]
    fn what_wrk_says_is_read_and_its_errors_are_added_up() {
        let asked = |errors| Asked {
            a_second: 11_430.4,
            requests: 24_004,
            errors,
        };
        assert_eq!(read(GOOD), Some(asked(0)));
        let bad = format!(
            "{GOOD}  Socket errors: connect 1, read 20, write 0, timeout 3\n  Non-2xx or 3xx responses: 400\n"
        );
        assert_eq!(read(&bad), Some(asked(424)));
        assert_eq!(
            read("unable to connect to 10.2.0.2:http Connection refused"),
            None
        );
    }
}
