//! What the daemon gives up before its first packet: it has its devices, socket and files by then, and needs little else.
//!
//! | layer | what is left | file |
//! |---|---|---|
//! | rights | the capabilities in [`Needs::rights`], none by default; none can come back (`no_new_privs`) | `rights.rs` |
//! | files | those in [`Needs`]: the state file's directory to write, the socket's to remove it | `files.rs` |
//! | system calls | a list; what is not on it fails with EPERM | `calls.rs` |
//!
//! Each layer holds for the thread that enters it and for all threads that it starts later, so it is entered before any
//! is started. A kernel without one of them leaves that one out, which is said in the log and in `status`.

mod calls;
mod files;
mod rights;
#[cfg(test)]
mod tests;

use caps::Capability;
use std::path::PathBuf;

/// What the daemon needs from here on, beside what is open already. **This is the place**: whoever opens a file, makes a
/// socket or needs a right after the start names it here, and says why.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Needs {
    /// Capabilities that are kept.
    pub(crate) rights: Vec<Capability>,
    /// Files that are written anew beside the old one and then put in its place: the state file.
    pub(crate) replaced: Vec<PathBuf>,
    /// Files that are removed at the end: the control socket.
    pub(crate) removed: Vec<PathBuf>,
    /// Device files that are opened again.
    pub(crate) devices: Vec<PathBuf>,
    /// Families of sockets that are made (`AF_NETLINK`), beside pairs of Unix sockets.
    pub(crate) sockets: Vec<i32>,
    /// Whether the array of the steering program is written when slots move.
    pub(crate) steering: bool,
}

/// Whether it is entered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sandbox {
    /// It is, with these needs.
    On(Needs),
    /// It is not; why.
    Off(&'static str),
}

impl Sandbox {
    /// Enters it, if that is asked for. Says in one line what came of it.
    pub(crate) fn enter(&self) -> String {
        match self {
            Self::On(needs) => enter(needs),
            Self::Off(why) => {
                tracing::info!("sandbox off: {why}");
                format!("off: {why}")
            }
        }
    }
}

/// Gives up everything but what is needed, for this thread and those that it starts. Says in one line what came of it.
fn enter(needs: &Needs) -> String {
    // Files are looked at with the rights that are left, and opened for the kernel to know them before calls are shut off.
    let rights = rights::drop_all_but(needs);
    let files = files::restrict(needs);
    let calls = calls::restrict(needs);
    let whole = rights.is_ok() && files.is_ok() && calls.is_ok();
    let [rights, files, calls] = [rights, files, calls].map(said);
    let head = if whole { "on" } else { "in part" };
    let line = format!("{head}: capabilities {rights}; files {files}; system calls {calls}");
    if whole {
        tracing::info!("sandbox {line}");
    } else {
        tracing::warn!("sandbox {line}");
    }
    line
}

fn said(layer: Result<String, String>) -> String {
    layer.unwrap_or_else(|why| format!("NOT restricted ({why})"))
}
