//! Why a machine refuses a private network namespace, in one line that says what to do.
//!
//! The kernel answers with an errno only; which setting is behind it is found by looking at the
//! settings. [`explain`] is pure: the machine's settings are handed in.

use super::{Privilege, sysctl_number};
use nix::errno::Errno;
use std::path::Path;
use thiserror::Error;

/// No private namespace can be had. Each variant is shown as one line: the cause, the remedy.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NetnsError {
    /// A bug of the caller: unshare(2) works for a process of one thread only.
    #[error(
        "cannot make a network namespace: this process already runs other threads; make it first"
    )]
    Threads,
    /// The kernel was built without the namespaces.
    #[error(
        "cannot make a {kind} namespace: this kernel has none; \
         use a kernel built with CONFIG_USER_NS and CONFIG_NET_NS"
    )]
    Unsupported {
        /// "user" or "network".
        kind: &'static str,
    },
    /// A limit on the number of namespaces is reached (0: nobody may have one).
    #[error(
        "cannot make a {kind} namespace: the limit {setting}={limit} is reached; \
         raise it ('sudo sysctl -w {setting}=10000')"
    )]
    Limit {
        /// "user" or "network".
        kind: &'static str,
        /// The setting, as sysctl(8) names it.
        setting: &'static str,
        /// Its value.
        limit: u64,
    },
    /// A setting keeps ordinary users from making user namespaces.
    #[error(
        "cannot make a user namespace: {who} forbids it ({setting}={value}); \
         run as root ('sudo target/release/flowgate demo'), \
         or allow it ('sudo sysctl -w {setting}={allow}')"
    )]
    Forbidden {
        /// Whose setting it is.
        who: &'static str,
        /// The setting, as sysctl(8) names it.
        setting: &'static str,
        /// Its value.
        value: u64,
        /// The value that allows it.
        allow: u64,
    },
    /// Nothing visible forbids it: a container's system call filter, or root without its rights.
    #[error(
        "cannot make a network namespace: not permitted, as in a container without \
         CAP_SYS_ADMIN or with a system call filter; run outside the container, or start it with \
         '--cap-add SYS_ADMIN --security-opt seccomp=unconfined --device /dev/net/tun'"
    )]
    Container,
    /// A step failed that should not have.
    #[error("cannot set up the network namespace: {doing}: {why}")]
    Setup {
        /// The step.
        doing: String,
        /// The system's reason.
        why: String,
    },
}

/// The steps that a machine may refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Unshare,
    SetGroups,
    UidMap,
    GidMap,
}

impl Step {
    const ALL: [Self; 4] = [Self::Unshare, Self::SetGroups, Self::UidMap, Self::GidMap];

    fn doing(self) -> &'static str {
        match self {
            Self::Unshare => "unshare",
            Self::SetGroups => "write /proc/self/setgroups",
            Self::UidMap => "write /proc/self/uid_map",
            Self::GidMap => "write /proc/self/gid_map",
        }
    }
}

/// A step and its errno in one number, because only an errno comes back from between fork and exec.
pub(super) fn encode(step: Step, errno: Errno) -> i32 {
    (step as i32 + 1) << 16 | errno as i32
}

/// The reverse of [`encode`]; a plain errno (fork or exec failed) is no step.
pub(super) fn decode(raw: i32) -> Option<(Step, Errno)> {
    let step = Step::ALL
        .into_iter()
        .find(|&step| step as i32 + 1 == raw >> 16)?;
    Some((step, Errno::from_raw(raw & 0xffff)))
}

/// The settings that decide.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Machine {
    /// `user.max_user_namespaces`.
    pub(super) max_user: Option<u64>,
    /// `user.max_net_namespaces`.
    pub(super) max_net: Option<u64>,
    /// `kernel.unprivileged_userns_clone` (Debian's kernels).
    pub(super) userns_clone: Option<u64>,
    /// `kernel.apparmor_restrict_unprivileged_userns` (Ubuntu's kernels).
    pub(super) apparmor: Option<u64>,
    /// Whether the kernel has user and network namespaces at all.
    pub(super) has_user: bool,
    pub(super) has_net: bool,
}

impl Machine {
    /// This machine's settings.
    pub(super) fn read() -> Self {
        Self {
            max_user: sysctl_number("user/max_user_namespaces"),
            max_net: sysctl_number("user/max_net_namespaces"),
            userns_clone: sysctl_number("kernel/unprivileged_userns_clone"),
            apparmor: sysctl_number("kernel/apparmor_restrict_unprivileged_userns"),
            has_user: Path::new("/proc/self/ns/user").exists(),
            has_net: Path::new("/proc/self/ns/net").exists(),
        }
    }
}

/// The reason for `errno` at `step` on `machine`, asked with `privilege`.
pub(super) fn explain(
    step: Step,
    errno: Errno,
    privilege: Privilege,
    machine: &Machine,
) -> NetnsError {
    match (step, errno) {
        (Step::Unshare, Errno::EINVAL | Errno::ENOSYS) => missing(privilege, machine),
        (Step::Unshare, Errno::ENOSPC | Errno::EUSERS) => limit(machine),
        (_, Errno::EPERM | Errno::EACCES) => forbidden(privilege, machine),
        _ => NetnsError::Setup {
            doing: step.doing().to_owned(),
            why: errno.desc().to_owned(),
        },
    }
}

fn missing(privilege: Privilege, machine: &Machine) -> NetnsError {
    if !machine.has_net {
        NetnsError::Unsupported { kind: "network" }
    } else if privilege == Privilege::User && !machine.has_user {
        NetnsError::Unsupported { kind: "user" }
    } else {
        NetnsError::Threads
    }
}

/// Which of the two limits is reached: the one that is 0, else the lower one.
fn limit(machine: &Machine) -> NetnsError {
    let user = machine.max_user.unwrap_or(u64::MAX);
    let net = machine.max_net.unwrap_or(u64::MAX);
    if user <= net {
        NetnsError::Limit {
            kind: "user",
            setting: "user.max_user_namespaces",
            limit: user,
        }
    } else {
        NetnsError::Limit {
            kind: "network",
            setting: "user.max_net_namespaces",
            limit: net,
        }
    }
}

fn forbidden(privilege: Privilege, machine: &Machine) -> NetnsError {
    if privilege == Privilege::Root {
        return NetnsError::Container;
    }
    if let Some(value @ 0) = machine.userns_clone {
        let setting = "kernel.unprivileged_userns_clone";
        return NetnsError::Forbidden {
            who: "this system",
            setting,
            value,
            allow: 1,
        };
    }
    if let Some(value @ 1..) = machine.apparmor {
        let setting = "kernel.apparmor_restrict_unprivileged_userns";
        return NetnsError::Forbidden {
            who: "Ubuntu's AppArmor",
            setting,
            value,
            allow: 0,
        };
    }
    NetnsError::Container
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: Machine = Machine {
        max_user: Some(1000),
        max_net: Some(1000),
        userns_clone: None,
        apparmor: None,
        has_user: true,
        has_net: true,
    };

    fn line(step: Step, errno: Errno, privilege: Privilege, machine: Machine) -> String {
        explain(step, errno, privilege, &machine).to_string()
    }

    #[test]
    fn each_refusal_names_the_setting_that_is_on_and_the_remedy() {
        use Errno::{EACCES, EINVAL, ENOSPC, EPERM};
        use Privilege::{Root, User};
        let debian = Machine {
            userns_clone: Some(0),
            ..OPEN
        };
        let ubuntu = Machine {
            apparmor: Some(1),
            userns_clone: Some(1),
            ..OPEN
        };
        let no_user = Machine {
            max_user: Some(0),
            ..OPEN
        };
        let no_net = Machine {
            max_net: Some(0),
            ..OPEN
        };
        let bare = Machine {
            has_user: false,
            ..OPEN
        };
        for (step, errno, privilege, machine, parts) in [
            (
                Step::Unshare,
                EINVAL,
                User,
                OPEN,
                ["other threads", "make it first"],
            ),
            (
                Step::Unshare,
                EINVAL,
                User,
                bare,
                ["this kernel has none", "CONFIG_USER_NS"],
            ),
            (
                Step::Unshare,
                ENOSPC,
                User,
                no_user,
                ["max_user_namespaces=0", "sysctl -w"],
            ),
            (
                Step::Unshare,
                ENOSPC,
                Root,
                no_net,
                ["max_net_namespaces=0", "sysctl -w"],
            ),
            (
                Step::Unshare,
                EPERM,
                User,
                debian,
                ["unprivileged_userns_clone=0", "sudo"],
            ),
            (
                Step::UidMap,
                EPERM,
                User,
                ubuntu,
                ["restrict_unprivileged_userns=1", "sudo"],
            ),
            (
                Step::SetGroups,
                EACCES,
                User,
                ubuntu,
                ["restrict_unprivileged_userns=1", "sudo"],
            ),
            (
                Step::Unshare,
                EPERM,
                Root,
                ubuntu,
                ["container", "CAP_SYS_ADMIN"],
            ),
            (Step::Unshare, EPERM, User, OPEN, ["container", "seccomp"]),
            (Step::GidMap, ENOSPC, User, OPEN, ["gid_map", "space"]),
        ] {
            let line = line(step, errno, privilege, machine);
            for part in parts {
                assert!(
                    line.contains(part),
                    "{step:?} {errno:?}: no '{part}' in: {line}"
                );
            }
            assert!(
                !line.contains('\n') && !line.contains("  "),
                "one clean line: {line}"
            );
        }
    }

    #[test]
    fn a_step_and_its_errno_survive_the_way_through_one_number() {
        for step in Step::ALL {
            for errno in [Errno::EPERM, Errno::ENOSPC, Errno::EINVAL] {
                assert_eq!(decode(encode(step, errno)), Some((step, errno)));
            }
        }
        assert_eq!(decode(Errno::ENOENT as i32), None, "exec failed");
        assert_eq!(decode(5 << 16), None);
    }
}
