//! Why a packet port cannot be had, in one line that says what to do.

use nix::errno::Errno;
use thiserror::Error;

/// A packet port that cannot be opened. Each variant is shown as one line: the cause, the remedy.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PacketError {
    /// There is no interface of that name.
    #[error(
        "there is no interface '{name}': a port of type packet or xdp is on one that is there ('ip link' lists them)"
    )]
    NoInterface {
        /// The interface asked for.
        name: String,
    },
    /// The process lacks CAP_NET_RAW in its network namespace.
    #[error(
        "may not open a packet socket on '{name}': that takes CAP_NET_RAW; run as root, or give the binary the right \
         ('sudo setcap cap_net_raw,cap_net_admin+ep <binary>')"
    )]
    NoRight {
        /// The interface asked for.
        name: String,
    },
    /// It carries no Ethernet frames.
    #[error(
        "'{name}' has no Ethernet address: a port of type packet or xdp is on an Ethernet interface"
    )]
    NotEthernet {
        /// The interface asked for.
        name: String,
    },
    /// Its MTU is smaller than the port's.
    #[error(
        "interface '{name}' has the MTU {has}, the port {asked}: write mtu = {has}, or 'ip link set {name} mtu {asked}'"
    )]
    Mtu {
        /// The interface.
        name: String,
        /// Its MTU.
        has: u32,
        /// The port's.
        asked: u32,
    },
    /// The kernel refused a step of setting it up.
    #[error("cannot open a packet socket on '{name}': {doing}: {why}")]
    Setup {
        /// The interface.
        name: String,
        /// The step.
        doing: &'static str,
        /// The kernel's reason.
        why: String,
    },
}

impl PacketError {
    pub(super) fn of<'a>(name: &'a str, doing: &'static str) -> impl Fn(Errno) -> Self + 'a {
        move |errno| match errno {
            Errno::EPERM | Errno::EACCES => Self::NoRight {
                name: name.to_owned(),
            },
            Errno::ENODEV | Errno::ENXIO => Self::NoInterface {
                name: name.to_owned(),
            },
            errno => Self::setup(name, doing, errno),
        }
    }

    pub(super) fn setup(name: &str, doing: &'static str, why: impl std::fmt::Display) -> Self {
        Self::Setup {
            name: name.to_owned(),
            doing,
            why: why.to_string(),
        }
    }
}
