//! Why an XDP port cannot be had, in one line that says what to do.

use super::program::Place;
use super::{FRAME_MOST, MTU_MOST};
use crate::io::packet::PacketError;
use nix::errno::Errno;
use std::fmt;
use thiserror::Error;

/// What an interface cannot do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Run the program there.
    Program(Place),
    /// Bind a socket with zero copies.
    ZeroCopy,
    /// Bind a socket at all.
    Socket,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Program(Place::Driver) => "a program in its driver",
            Self::Program(Place::Kernel) => "a program behind its driver",
            Self::ZeroCopy => "zero-copy",
            Self::Socket => "an XDP socket on its queue",
        })
    }
}

/// An XDP port that cannot be opened. Each variant is shown as one line: the cause, the remedy.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum XdpError {
    /// The interface is not there, or cannot be a port.
    #[error(transparent)]
    Interface(#[from] PacketError),
    /// The process lacks a right.
    #[error(
        "may not open XDP sockets on '{name}': that takes CAP_NET_RAW, CAP_NET_ADMIN and CAP_BPF outside of any user \
         namespace; run as root, or give the binary the rights \
         ('sudo setcap cap_net_raw,cap_net_admin,cap_bpf+ep <binary>')"
    )]
    NoRight {
        /// The interface.
        name: String,
    },
    /// The memory of frames would be over the limit on locked memory.
    #[error(
        "may not lock the 8 MiB that a queue of '{name}' takes: run with CAP_IPC_LOCK, or with a higher limit ('ulimit -l')"
    )]
    Locked {
        /// The interface.
        name: String,
    },
    /// Frames of the port's MTU have no room.
    #[error(
        "the port on '{name}' has the MTU {mtu}, and a frame of type xdp holds {FRAME_MOST} bytes: write mtu = {MTU_MOST} or \
         less, or type = \"packet\""
    )]
    Mtu {
        /// The interface.
        name: String,
        /// The port's MTU.
        mtu: u32,
    },
    /// Fewer queues than workers.
    #[error(
        "interface '{name}' has {has} queue(s), and there are {asked} workers, each of which has a queue of its own: \
         'ethtool -L {name} combined {asked}' (a veth: rx {asked} tx {asked}), or write workers = {has}, or type = \"packet\""
    )]
    Few {
        /// The interface.
        name: String,
        /// Its queues.
        has: u32,
        /// The port's.
        asked: u32,
    },
    /// More queues than workers, which nobody has said to be right.
    #[error(
        "interface '{name}' has {has} queues and there are {asked} worker(s): what comes by the others would go to the \
         kernel: 'ethtool -L {name} combined {asked}' (a veth: rx {asked} tx {asked}), or write workers = {has}, or \
         queues = {asked} if that is meant"
    )]
    Many {
        /// The interface.
        name: String,
        /// Its queues.
        has: u32,
        /// The port's.
        asked: u32,
    },
    /// Another program is on the interface.
    #[error(
        "interface '{name}' runs an XDP program already ('ip link show {name}'): take it off ('ip link set {name} xdp off', \
         or end who holds it), or write type = \"packet\""
    )]
    Taken {
        /// The interface.
        name: String,
    },
    /// Another socket is bound to the queue.
    #[error("another XDP socket has queue {queue} of '{name}': end who holds it")]
    Busy {
        /// The interface.
        name: String,
        /// The queue.
        queue: u32,
    },
    /// The interface, or its driver, cannot do it.
    #[error("interface '{name}' refuses {what}: {why}{remedy}")]
    Refused {
        /// The interface.
        name: String,
        /// What it refuses.
        what: Refused,
        /// The kernel's reason.
        why: String,
        /// What else would do.
        remedy: &'static str,
    },
    /// The kernel refused a step of setting it up.
    #[error("cannot open an XDP socket on '{name}': {doing}: {why}")]
    Setup {
        /// The interface.
        name: String,
        /// The step.
        doing: &'static str,
        /// The kernel's reason.
        why: String,
    },
}

impl XdpError {
    pub(super) fn of<'a>(name: &'a str, doing: &'static str) -> impl Fn(Errno) -> Self + 'a {
        move |errno| match errno {
            Errno::EPERM | Errno::EACCES => Self::NoRight {
                name: name.to_owned(),
            },
            errno => Self::Setup {
                name: name.to_owned(),
                doing,
                why: errno.desc().to_owned(),
            },
        }
    }

    pub(super) fn refused(name: &str, what: Refused, why: &str) -> Self {
        Self::Refused {
            name: name.to_owned(),
            what,
            why: why.to_owned(),
            remedy: "",
        }
    }

    /// The same, with what else would do.
    pub(super) fn or_else(self, words: &'static str) -> Self {
        match self {
            Self::Refused {
                name, what, why, ..
            } => Self::Refused {
                name,
                what,
                why,
                remedy: words,
            },
            other => other,
        }
    }
}
