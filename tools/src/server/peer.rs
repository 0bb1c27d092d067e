//! Who is at the other end of a connection, and whether it is served.
//!
//! The rule: the gateway's own user as the gateway sees it, root, and members of the socket's group if one was
//! configured. In a user namespace of its own the gateway sees its user as 0 and everyone from outside, host root
//! included, as the overflow uid 65534; the refusal says as whom to call.

use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt;
use nix::unistd::Gid;
use nix::unistd::Group;
use nix::unistd::Uid;
use nix::unistd::User;
use std::os::unix::net::UnixStream;

/// Whom the socket serves.
#[derive(Debug, Clone)]
pub(super) struct Allowed {
    /// The gateway's own user.
    pub(super) uid: Uid,
    /// The socket's group, when one was configured.
    pub(super) group: Option<Members>,
}

/// The socket's group, looked up once: a running gateway asks nobody for names.
#[derive(Debug, Clone)]
pub(super) struct Members {
    name: String,
    gid: Gid,
    uids: Vec<Uid>,
}

impl Members {
    /// Who is in a group now.
    pub(super) fn of(group: &Group) -> Self {
        let uid = |name: &String| Some(User::from_name(name).ok().flatten()?.uid);
        Self {
            name: group.name.clone(),
            gid: group.gid,
            uids: group.mem.iter().filter_map(uid).collect(),
        }
    }

    /// By the peer's primary group, or by the group's list of members.
    fn has(&self, peer: Peer) -> bool {
        peer.gid == self.gid || self.uids.contains(&peer.uid)
    }
}

/// A peer as `SO_PEERCRED` tells it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer {
    pub(super) uid: Uid,
    pub(super) gid: Gid,
}

impl Peer {
    pub(super) fn of(stream: &UnixStream) -> nix::Result<Self> {
        let peer = getsockopt(stream, sockopt::PeerCredentials)?;
        Ok(Self {
            uid: Uid::from_raw(peer.uid()),
            gid: Gid::from_raw(peer.gid()),
        })
    }
}

impl Allowed {
    /// # Errors
    /// One line that says as whom to call.
    pub(super) fn check(&self, peer: Peer) -> Result<(), String> {
        let in_group = self.group.as_ref().is_some_and(|group| group.has(peer));
        if self.is_owner(peer) || in_group {
            return Ok(());
        }
        Err(self.refusal(peer))
    }

    /// Whether the peer is the gateway's own user or root: nobody may take the last places from these.
    pub(super) fn is_owner(&self, peer: Peer) -> bool {
        peer.uid == self.uid || peer.uid.is_root()
    }

    fn refusal(&self, peer: Peer) -> String {
        let group = self
            .group
            .as_ref()
            .map(|group| format!("members of group {}", group.name));
        let own = (!self.uid.is_root()).then(|| format!("uid {}", self.uid));
        let served: Vec<_> = own
            .into_iter()
            .chain(group)
            .chain(["root".into()])
            .collect();
        format!(
            "permission denied: this flowgate serves {}, and you call as uid {}: \
             call as the user who started it, or from its own shell if it runs in a namespace",
            served.join(" and "),
            peer.uid
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(group: Option<u32>) -> Allowed {
        let group = group.map(|gid| Members {
            name: "net".into(),
            gid: Gid::from_raw(gid),
            uids: vec![Uid::from_raw(2000)],
        });
        Allowed {
            uid: Uid::from_raw(1000),
            group,
        }
    }

    fn peer(uid: u32, gid: u32) -> Peer {
        Peer {
            uid: Uid::from_raw(uid),
            gid: Gid::from_raw(gid),
        }
    }

    #[test]
    fn the_own_user_root_and_the_group_are_served() {
        assert!(allowed(None).check(peer(1000, 1)).is_ok());
        assert!(allowed(None).check(peer(0, 0)).is_ok());
        assert!(allowed(Some(7)).check(peer(1001, 7)).is_ok());
        assert!(allowed(Some(7)).check(peer(2000, 1)).is_ok());
        assert!(allowed(None).check(peer(2000, 7)).is_err());
    }

    #[test]
    fn members_are_known_by_number_and_are_no_owners() {
        let group = Group {
            name: "net".into(),
            passwd: Default::default(),
            gid: Gid::from_raw(7),
            mem: vec!["root".into(), "nobody at all".into()],
        };
        assert_eq!(Members::of(&group).uids, [Uid::from_raw(0)]);
        let allowed = allowed(Some(7));
        assert!(allowed.is_owner(peer(1000, 1)) && allowed.is_owner(peer(0, 0)));
        assert!(!allowed.is_owner(peer(1001, 7)));
    }

    #[test]
    fn others_are_told_as_whom_to_call() {
        let refusal = allowed(None).check(peer(65534, 65534)).unwrap_err();
        assert_eq!(
            refusal,
            "permission denied: this flowgate serves uid 1000 and root, and you call as uid 65534: \
             call as the user who started it, or from its own shell if it runs in a namespace"
        );
        let refusal = allowed(Some(7)).check(peer(1001, 8)).unwrap_err();
        assert!(
            refusal.contains("serves uid 1000 and members of group net and root,"),
            "{refusal}"
        );
        let refusal = Allowed {
            uid: Uid::from_raw(0),
            group: None,
        }
        .check(peer(5, 5))
        .unwrap_err();
        assert!(
            refusal.contains("serves root, and you call as uid 5:"),
            "{refusal}"
        );
    }

    #[test]
    fn a_socket_pair_shows_this_very_user() {
        let (one, _other) = UnixStream::pair().unwrap();
        assert_eq!(Peer::of(&one).unwrap().uid, nix::unistd::geteuid());
    }
}
