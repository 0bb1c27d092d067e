//! Private network namespaces: a network of one's own, made without root where the system allows.
//!
//! [`enter_private`] moves the whole process into a fresh one and must be called before any thread
//! runs. [`new_child_netns_thread`] gives one to a thread and what it leaves open. Neither touches
//! the host's network. [`in_child_namespace`] runs a test in a process of its own inside one.
//!
//! An ordinary user gets a user namespace as well, in which he is root (uid 0 is mapped to himself)
//! and may make devices; his rights over files stay his own. Root gets a network namespace only,
//! since with a user namespace he would lose his rights over others' files.

mod child;
mod refusal;
#[cfg(test)]
mod tests;

pub use child::{ChildRun, in_child_namespace};
pub use refusal::NetnsError;

use super::netlink::Netlink;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::prctl::set_dumpable;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::stat::Mode;
use nix::unistd::{getegid, geteuid, write};
use refusal::{Machine, Step, explain};
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::panic::resume_unwind;
use std::path::{Component, Path, PathBuf};

/// With which rights a namespace is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privilege {
    /// Root: a network namespace, and the user stays who he is.
    Root,
    /// Anybody: a user namespace around the network namespace.
    User,
}

impl Privilege {
    /// That of the calling process.
    fn current() -> Self {
        if geteuid().is_root() {
            Self::Root
        } else {
            Self::User
        }
    }
}

/// The private namespace that the process is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Namespace {
    /// Whether IPv6 works in it; if not, the kernel has none or does not allow it to be enabled.
    pub ipv6: bool,
    /// With which rights it was made.
    pub privilege: Privilege,
}

/// Moves this process, which must have one thread only, into a network namespace of its own, with
/// `lo` up and IPv6 enabled. It goes when the last process and descriptor in it are gone.
///
/// Inside, an ordinary user is uid 0; take paths and names that depend on the user before.
///
/// # Errors
/// The machine refuses; the error names the setting and the remedy. The process may then already
/// be in a new user namespace: it should end.
pub fn enter_private() -> Result<Namespace, NetnsError> {
    if threads() > 1 {
        return Err(NetnsError::Threads);
    }
    let privilege = Privilege::current();
    let machine = Machine::read();
    let made = Maps::current()
        .enter(privilege)
        .map_err(|(step, errno)| explain(step, errno, privilege, &machine))?;
    let ipv6 = settle()?;
    Ok(Namespace {
        ipv6,
        privilege: made,
    })
}

/// Makes a fresh namespace usable: `lo` up, IPv6 enabled and its addresses usable at once. Says
/// whether there is IPv6.
fn settle() -> Result<bool, NetnsError> {
    let netlink = Netlink::open().and_then(|netlink| netlink.link_up("lo"));
    netlink.map_err(|error| NetnsError::Setup {
        doing: "set 'lo' up".to_owned(),
        why: error.to_string(),
    })?;
    Ok(enable_ipv6())
}

/// Whether IPv6 is enabled in the calling thread's namespace; never on a kernel without it.
pub fn has_ipv6() -> bool {
    IPV6_CONFS
        .into_iter()
        .all(|conf| sysctl_number(&disable_ipv6(conf)) == Some(0))
}

const IPV6_CONFS: [&str; 3] = ["all", "default", "lo"];

fn disable_ipv6(conf: &str) -> String {
    format!("net/ipv6/conf/{conf}/disable_ipv6")
}

/// A namespace inherits the host's defaults, which may disable IPv6.
fn enable_ipv6() -> bool {
    // What is refused is seen by looking again.
    for conf in IPV6_CONFS {
        let _ = sysctl_write(&disable_ipv6(conf), "0");
    }
    // Link-local addresses without the second or two of duplicate address detection.
    let _ = sysctl_write("net/ipv6/conf/default/accept_dad", "0");
    has_ipv6()
}

fn threads() -> usize {
    fs::read_dir("/proc/self/task").map_or(1, Iterator::count)
}

/// What the id maps of a new user namespace say, written down before a fork, since after it
/// nothing may allocate.
#[derive(Clone, Debug)]
struct Maps {
    uid: String,
    gid: String,
}

impl Maps {
    /// Uid and gid 0 inside are the caller's own outside. (An identity map would do for the rights,
    /// but a program started inside would lose them at its exec.)
    fn current() -> Self {
        Self {
            uid: format!("0 {} 1", geteuid()),
            gid: format!("0 {} 1", getegid()),
        }
    }

    /// Enters new namespaces; says with which rights. Only system calls: see [`child`].
    ///
    /// Root who may not (in a container without CAP_SYS_ADMIN) tries it as anybody.
    fn enter(&self, privilege: Privilege) -> Result<Privilege, (Step, Errno)> {
        if privilege == Privilege::Root {
            match unshare(CloneFlags::CLONE_NEWNET) {
                Ok(()) => return Ok(Privilege::Root),
                Err(Errno::EPERM) => {}
                Err(errno) => return Err((Step::Unshare, errno)),
            }
        }
        unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET)
            .map_err(|errno| (Step::Unshare, errno))?;
        // user_namespaces(7): setgroups must be denied before an ordinary user may map his group.
        put("/proc/self/setgroups", "deny").map_err(|errno| (Step::SetGroups, errno))?;
        put("/proc/self/uid_map", &self.uid).map_err(|errno| (Step::UidMap, errno))?;
        put("/proc/self/gid_map", &self.gid).map_err(|errno| (Step::GidMap, errno))?;
        Ok(Privilege::User)
    }
}

/// Writes one of our own `/proc` files; a process that changed its user is not dumpable and does
/// not own them until it is again.
fn put(path: &str, text: &str) -> Result<(), Errno> {
    let attempt = || {
        let file = open(path, OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty())?;
        write(&file, text.as_bytes()).map(drop)
    };
    attempt().or_else(|first| {
        set_dumpable(true)?;
        attempt().map_err(|_| first)
    })
}

/// Runs `f` in a thread of its own in a fresh network namespace, in which `lo` is up, and waits for
/// it. The namespace lives on as long as what `f` returns holds a socket, a device queue or a
/// [`current_netns`] descriptor of it.
///
/// # Errors
/// The system refuses the namespace (`PermissionDenied` without CAP_SYS_ADMIN: call
/// [`enter_private`] first) or a thread.
pub fn new_child_netns_thread<R: Send>(f: impl FnOnce() -> R + Send) -> io::Result<R> {
    in_thread(|| {
        unshare(CloneFlags::CLONE_NEWNET)?;
        settle().map_err(io::Error::other)?;
        Ok(f())
    })
}

/// Runs `f` in a thread of its own in the network namespace of `netns`, and waits for it.
///
/// # Errors
/// `netns` is no network namespace, no right to enter it, or no thread to be had.
pub fn thread_in_netns<R: Send>(
    netns: impl AsFd + Send,
    f: impl FnOnce() -> R + Send,
) -> io::Result<R> {
    in_thread(|| {
        setns(netns, CloneFlags::CLONE_NEWNET)?;
        Ok(f())
    })
}

fn in_thread<R: Send>(f: impl FnOnce() -> io::Result<R> + Send) -> io::Result<R> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("netns".to_owned())
            .spawn_scoped(scope, f)?;
        thread.join().unwrap_or_else(|panic| resume_unwind(panic))
    })
}

/// A descriptor of the calling thread's network namespace. It keeps the namespace alive, and
/// [`thread_in_netns`] and [`Netlink::move_to_netns`] take it.
///
/// # Errors
/// No `/proc`, no descriptor left.
pub fn current_netns() -> io::Result<OwnedFd> {
    Ok(File::open("/proc/thread-self/ns/net")?.into())
}

/// Raises the limit on open descriptors as far as this process may, and returns it.
pub fn raise_fd_limit() -> u64 {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return 1024;
    };
    if soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() {
        return hard;
    }
    soft
}

/// Writes a setting of the kernel, such as `net/ipv4/ip_forward`. Those below `net` are those of
/// the calling thread's network namespace.
///
/// # Errors
/// Named with the setting: there is none of that name, it may not be written, the value is wrong.
pub fn sysctl_write(path: &str, value: &str) -> io::Result<()> {
    let named = |error: io::Error| {
        io::Error::new(
            error.kind(),
            format!("cannot set {path} to '{value}': {error}"),
        )
    };
    sysctl_path(path)
        .and_then(|file| fs::write(file, value))
        .map_err(named)
}

/// Reads a setting of the kernel, without the newline. As for [`sysctl_write`], of the calling
/// thread's namespace.
///
/// # Errors
/// Named with the setting: there is none of that name, it may not be read.
pub fn sysctl_read(path: &str) -> io::Result<String> {
    let named =
        |error: io::Error| io::Error::new(error.kind(), format!("cannot read {path}: {error}"));
    let text = sysctl_path(path)
        .and_then(fs::read_to_string)
        .map_err(named)?;
    Ok(text.trim_end().to_owned())
}

fn sysctl_number(path: &str) -> Option<u64> {
    sysctl_read(path).ok()?.parse().ok()
}

/// The file of a setting. The kernel shows each thread the files of its own network namespace.
fn sysctl_path(path: &str) -> io::Result<PathBuf> {
    if Path::new(path)
        .components()
        .all(|part| matches!(part, Component::Normal(_)))
    {
        return Ok(Path::new("/proc/sys").join(path));
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        "not the name of a setting",
    ))
}
