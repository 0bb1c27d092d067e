//! `demo --shell`: the user's shell in the demo's network, the gateway still running.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Child, Command};

use nix::sys::signal::Signal;

use super::addressing::{SERVICE4, SERVICE6};
use super::interrupts::{Interrupted, Interrupts, Stop};
use crate::client::SOCKET_VARIABLE;

/// The pause between two looks whether the shell has ended, in milliseconds.
const LOOK_MS: u16 = 100;

/// How to go on, for the shell or towards it.
pub(crate) fn hints(has_v6: bool) -> String {
    let mut lines = vec![
        format!("  curl http://{SERVICE4}/            which server answers?"),
        format!("  ping -c 3 {SERVICE4}"),
        "  flowgate status                     workers, tables, moved flows".to_owned(),
        "  flowgate netstat -rn                the routing table".to_owned(),
        format!("  flowgate route get {SERVICE4}"),
        format!("  flowgate route change -host {SERVICE4} 192.0.2.11 -weight 0"),
        "  flowgate arp -an                    the neighbours".to_owned(),
        "  flowgate flow list --limit 20       who is pinned where".to_owned(),
    ];
    if has_v6 {
        lines.insert(1, format!("  curl 'http://[{SERVICE6}]/'"));
    }
    lines.join("\n")
}

/// Starts `$SHELL` with flowgate in its `PATH` and the gateway's socket in its environment, and waits for its end.
///
/// # Errors
/// No such shell; or SIGTERM or SIGHUP came, which end the shell too.
pub(crate) fn run(interrupts: &Interrupts, program: &Path, socket: &Path) -> Result<(), Stop> {
    let shell = std::env::var_os("SHELL").filter(|s| !s.is_empty());
    let shell = shell.unwrap_or_else(|| "/bin/sh".into());
    let mut command = Command::new(&shell);
    command
        .env(SOCKET_VARIABLE, socket)
        .env("PATH", path_with(program));
    let mut child = interrupts
        .unblocked(|| command.spawn())
        .map_err(|error| format!("cannot start {}: {error}", Path::new(&shell).display()))?;
    let ended = wait(&mut child, interrupts);
    if ended.is_err() {
        // Already gone is as good.
        let _ = child.kill();
        let _ = child.wait();
    }
    ended
}

fn wait(child: &mut Child, interrupts: &Interrupts) -> Result<(), Stop> {
    while child.try_wait()?.is_none() {
        match interrupts.rest(LOOK_MS) {
            // Ctrl-C is for what runs in the shell.
            Ok(()) | Err(Interrupted(Signal::SIGINT)) => {}
            Err(other) => return Err(other.into()),
        }
    }
    Ok(())
}

/// `PATH` with the program's directory in front.
fn path_with(program: &Path) -> OsString {
    let old = std::env::var_os("PATH").unwrap_or_default();
    let own = program.parent().map(Path::to_path_buf);
    let all = own.into_iter().chain(std::env::split_paths(&old));
    std::env::join_paths(all).unwrap_or(old)
}
