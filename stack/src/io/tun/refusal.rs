//! Why a TUN or TAP device cannot be had, in one line that says what to do.

use super::{DeviceSpec, MAX_QUEUES};
use nix::errno::Errno;
use thiserror::Error;

/// A device that cannot be made. Each variant is shown as one line: the cause, the remedy.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DeviceError {
    /// The kernel has no TUN driver, or this container no node for it.
    #[error(
        "no TUN device on this machine: /dev/net/tun is missing ({errno}); \
         load the driver ('sudo modprobe tun'), or start the container with '--device /dev/net/tun'"
    )]
    NoDriver {
        /// What opening it answered.
        errno: Errno,
    },
    /// The node's permissions forbid it.
    #[error(
        "may not open /dev/net/tun ({errno}); run as root, \
         or open it to all as distributions do ('sudo chmod 666 /dev/net/tun')"
    )]
    NodeForbidden {
        /// What opening it answered.
        errno: Errno,
    },
    /// The process lacks CAP_NET_ADMIN in its network namespace.
    #[error(
        "may not make device '{name}': that takes CAP_NET_ADMIN; run as root, give the binary the \
         right ('sudo setcap cap_net_admin+ep <binary>'), or see 'flowgate demo', which needs none"
    )]
    NoRight {
        /// The device asked for.
        name: String,
    },
    /// There is an interface of this name.
    #[error(
        "device '{name}' is in use by another process or is another kind of interface; \
         choose another name, or end who has it ('ip link show {name}')"
    )]
    InUse {
        /// The device asked for.
        name: String,
    },
    /// No interface can be called that.
    #[error(
        "'{name}' is no name for an interface: {why}; \
         use 1 to 15 letters, digits, '-', '_' or '.', such as 'fg0'"
    )]
    BadName {
        /// The name asked for.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A number of queues that no device can have.
    #[error(
        "device '{name}' cannot have {asked} queues; a device has 1 to {MAX_QUEUES}, one a worker"
    )]
    BadQueues {
        /// The device asked for.
        name: String,
        /// The number asked for.
        asked: usize,
    },
    /// An MTU that no device can have.
    #[error("device '{name}' cannot have the MTU {asked}; a device has {min} to {max}")]
    BadMtu {
        /// The device asked for.
        name: String,
        /// The MTU asked for.
        asked: u32,
        /// The least possible.
        min: u32,
        /// The most possible.
        max: u32,
    },
    /// A hardware address was asked for a device that has none, or one that no station may have.
    #[error("device '{name}' cannot have this hardware address: {why}")]
    BadMac {
        /// The device asked for.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The process has no descriptor left.
    #[error(
        "no descriptor left for device '{name}' ({errno}); \
         raise the limit ('ulimit -n 65536') or use fewer queues"
    )]
    NoDescriptor {
        /// The device asked for.
        name: String,
        /// What opening answered.
        errno: Errno,
    },
    /// The kernel refused a step of setting it up.
    #[error("cannot set up device '{name}': {doing}: {why}")]
    Setup {
        /// The device.
        name: String,
        /// The step.
        doing: String,
        /// The kernel's reason.
        why: String,
    },
}

impl DeviceError {
    pub(super) fn setup(name: &str, doing: &str, why: impl std::fmt::Display) -> Self {
        Self::Setup {
            name: name.to_owned(),
            doing: doing.to_owned(),
            why: why.to_string(),
        }
    }

    /// Opening `/dev/net/tun` answered `errno`.
    pub(super) fn of_open(name: &str, errno: Errno) -> Self {
        let name = name.to_owned();
        match errno {
            Errno::ENOENT | Errno::ENODEV | Errno::ENXIO => Self::NoDriver { errno },
            Errno::EACCES | Errno::EPERM => Self::NodeForbidden { errno },
            Errno::EMFILE | Errno::ENFILE => Self::NoDescriptor { name, errno },
            _ => Self::setup(&name, "open /dev/net/tun", errno),
        }
    }

    /// `TUNSETIFF` for queue number `queue` answered `errno`.
    pub(super) fn of_attach(spec: &DeviceSpec, name: &str, queue: usize, errno: Errno) -> Self {
        let name = name.to_owned();
        match errno {
            Errno::EPERM | Errno::EACCES => Self::NoRight { name },
            Errno::EBUSY | Errno::EEXIST if queue == 0 => Self::InUse { name },
            Errno::E2BIG => Self::BadQueues {
                name,
                asked: spec.queues,
            },
            // What we checked ourselves is right; so an older kernel's rule for names.
            Errno::EINVAL if queue == 0 => Self::BadName {
                name,
                why: "the kernel refuses it",
            },
            _ => Self::setup(&name, &format!("attach queue {queue}"), errno),
        }
    }
}

/// What can be said without asking the kernel.
pub(super) fn check(spec: &DeviceSpec) -> Result<(), DeviceError> {
    let name = || spec.name.clone();
    if let Some(why) = bad_name(&spec.name) {
        return Err(DeviceError::BadName { name: name(), why });
    }
    if !(1..=MAX_QUEUES).contains(&spec.queues) {
        return Err(DeviceError::BadQueues {
            name: name(),
            asked: spec.queues,
        });
    }
    let (min, max) = spec.kind.mtu_range();
    if !(min..=max).contains(&spec.mtu) {
        return Err(DeviceError::BadMtu {
            name: name(),
            asked: spec.mtu,
            min,
            max,
        });
    }
    match spec.host_mac.and_then(|mac| bad_mac(spec, mac)) {
        Some(why) => Err(DeviceError::BadMac { name: name(), why }),
        None => Ok(()),
    }
}

/// The kernel's rules for names (`dev_valid_name`, `dev_alloc_name`); the empty name is "you choose".
fn bad_name(name: &str) -> Option<&'static str> {
    let template = name.replacen("%d", "", 1);
    if name.len() >= libc::IFNAMSIZ {
        Some("it is longer than 15 bytes")
    } else if name == "." || name == ".." {
        Some("it is a directory's")
    } else if name.contains(|c: char| c == '/' || c == ':' || c.is_whitespace() || c.is_control()) {
        Some("it contains '/', ':', a space or a control character")
    } else if template.contains('%') {
        Some("'%' may stand in it once, as '%d'")
    } else {
        None
    }
}

fn bad_mac(spec: &DeviceSpec, mac: [u8; 6]) -> Option<&'static str> {
    if spec.kind == super::Kind::Tun {
        Some("a TUN device has none; use TAP")
    } else if mac[0] & 1 != 0 {
        Some("it is a group's; the first byte must be even, such as 02")
    } else if mac == [0; 6] {
        Some("it is all zeros")
    } else {
        None
    }
}
