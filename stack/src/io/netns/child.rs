//! A test in a network namespace of its own.
//!
//! libtest runs each test in a thread, and a process with threads cannot make a user namespace. So
//! the test runs this executable once more, for itself alone, and has the child enter the namespace
//! between fork and exec, when it has one thread. Whatever happens in the child, the machine's own
//! network is out of its reach, and with the child everything in the namespace goes.

use super::refusal::{Machine, decode, encode, explain};
use super::{Maps, Privilege, settle};
use crate::io::sys::before_exec;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::alarm;
use std::env;
use std::fs::OpenOptions;
use std::io;
use std::process::{Command, Output, Stdio};

/// Names the test that a child runs.
const CHILD_OF: &str = "FLOWGATE_TEST_IN_NAMESPACE";
/// A child that runs longer than this many seconds is ended by SIGALRM.
const LIMIT_S: libc::c_uint = 900;

/// Where a test finds itself after [`in_child_namespace`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a test runs its body only if it is inside"]
pub enum ChildRun {
    /// In the namespace: run the test's body.
    Inside,
    /// Outside, and the child inside has run the body and passed: return.
    Passed,
    /// This machine forbids namespaces or has no TUN, for this reason: return.
    Skipped(String),
}

impl ChildRun {
    /// Whether to run the test's body.
    #[must_use]
    pub fn is_inside(&self) -> bool {
        matches!(self, Self::Inside)
    }
}

/// Runs the calling test in a process of its own in a fresh network namespace, with the rights to
/// make devices there, `lo` up, and IPv6 enabled where there is any. `test` is the test's whole
/// name as `cargo test` prints it.
///
/// ```no_run
/// use stack::io::netns::in_child_namespace;
///
/// #[test]
/// fn a_tun_device_opens() {
///     if !in_child_namespace("a_tun_device_opens").is_inside() {
///         return;
///     }
///     // here the network is ours
/// }
/// ```
///
/// # Panics
/// If the test fails in the child, if there is no test of this name, and, when the environment
/// says `CI=true`, if the machine cannot run it; elsewhere that is skipped with a message.
pub fn in_child_namespace(test: &str) -> ChildRun {
    if env::var_os(CHILD_OF).is_some_and(|name| name == test) {
        settle().unwrap_or_else(|error| panic!("{error}"));
        return ChildRun::Inside;
    }
    let reason = match no_tun() {
        Some(reason) => reason,
        None => match run_child(test) {
            Ok(()) => return ChildRun::Passed,
            Err(reason) => reason,
        },
    };
    skip(test, reason)
}

fn skip(test: &str, reason: String) -> ChildRun {
    let ci = env::var_os("CI").is_some_and(|value| value == "true" || value == "1");
    assert!(!ci, "'{test}' may not be skipped under CI: {reason}");
    // Straight to the terminal, past libtest's capture: a skipped test looks like a passed one.
    let message = format!("\n*** SKIPPED {test}: {reason}\n");
    let _ = io::Write::write_all(&mut io::stderr(), message.as_bytes());
    ChildRun::Skipped(reason)
}

/// Why `/dev/net/tun` cannot be used; opening it does nothing to the system yet.
fn no_tun() -> Option<String> {
    let opened = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/net/tun");
    opened
        .err()
        .map(|error| format!("cannot open /dev/net/tun: {error}"))
}

/// Runs the child to its end. `Err` is the machine's refusal; everything else that goes wrong is a
/// failure of the test.
fn run_child(test: &str) -> Result<(), String> {
    let exe = env::current_exe().unwrap_or_else(|error| panic!("no path to this test: {error}"));
    let mut command = Command::new(exe);
    command.args([
        "--exact",
        test,
        "--nocapture",
        "--include-ignored",
        "--color=never",
    ]);
    command.env(CHILD_OF, test).stdin(Stdio::null());
    let (maps, privilege) = (Maps::current(), Privilege::current());
    before_exec(&mut command, move || enter(&maps, privilege));
    match command.output() {
        Ok(output) => judge(test, &output),
        Err(error) => {
            let Some((step, errno)) = error.raw_os_error().and_then(decode) else {
                panic!("cannot run the child of '{test}': {error}")
            };
            return Err(explain(step, errno, privilege, &Machine::read()).to_string());
        }
    }
    Ok(())
}

/// Passes on what the child said, and fails if it failed. A wrong name runs no test, and passes.
fn judge(test: &str, output: &Output) {
    let said = String::from_utf8_lossy(&output.stdout);
    print!("{said}");
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    assert!(
        output.status.success(),
        "'{test}' failed in its namespace: {}",
        output.status
    );
    assert!(
        said.contains("test result: ok. 1 passed"),
        "there is no test named '{test}'"
    );
}

/// Between fork and exec: only system calls. Last the signal on the parent's death, which a change
/// of user would forget.
fn enter(maps: &Maps, privilege: Privilege) -> io::Result<()> {
    maps.enter(privilege)
        .map_err(|(step, errno)| io::Error::from_raw_os_error(encode(step, errno)))?;
    alarm::set(LIMIT_S);
    set_pdeathsig(Signal::SIGKILL)?;
    Ok(())
}
