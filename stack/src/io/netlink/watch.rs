//! What becomes of the ports' devices: up, down, deleted, moved away, as the kernel announces it.
//!
//! A [`DeviceWatch`] listens in the network namespace in which it was opened. The thread that looks after devices reads
//! it when it is readable ([`crate::io::devices`]); no worker knows of it.

use super::message::{Reply, attrs, replies, u32_at};
use super::{Netlink, NetlinkError, REPLY_ROOM, Result, netlink_socket, refused};
use crate::ports::DeviceState;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, SockFlag, recv};
use route::PortId;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// Length of `struct ifinfomsg`, behind which a link's attributes begin.
const IFINFOMSG: usize = 16;
/// `IFLA_NEW_NETNSID`: with it a deletion is a move to another network namespace.
const IFLA_NEW_NETNSID: u16 = 45;
/// `IFF_LOWER_UP`: there is a carrier.
const LOWER_UP: u32 = 1 << 16;
/// Set up, and with a carrier.
const CARRIES: u32 = libc::IFF_UP.cast_unsigned() | LOWER_UP;

/// A device that is watched, and what was last told of it.
#[derive(Debug)]
struct Watched {
    port: PortId,
    ifindex: u32,
    told: Option<DeviceState>,
}

/// Watches the ports' devices.
#[derive(Debug)]
pub struct DeviceWatch {
    announcements: OwnedFd,
    netlink: Netlink,
    devices: Vec<Watched>,
    /// Ask for every device's state: nothing is known yet, or announcements were lost.
    ask_all: bool,
}

impl DeviceWatch {
    /// Watches these devices, by their interface numbers, from now on.
    ///
    /// # Errors
    /// No descriptor left.
    pub fn open(devices: impl IntoIterator<Item = (PortId, u32)>) -> Result<Self> {
        let groups = libc::RTMGRP_LINK.cast_unsigned();
        let devices = devices.into_iter().map(|(port, ifindex)| Watched {
            port,
            ifindex,
            told: None,
        });
        Ok(Self {
            announcements: netlink_socket(SockFlag::SOCK_NONBLOCK, groups)?,
            netlink: Netlink::open()?,
            devices: devices.collect(),
            ask_all: true,
        })
    }

    /// Readable when there is something to look at.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.announcements.as_fd()
    }

    /// A port has a new device: its state is told with the next look.
    pub fn follow(&mut self, port: PortId, ifindex: u32) {
        if let Some(device) = self.devices.iter_mut().find(|device| device.port == port) {
            device.ifindex = ifindex;
            device.told = None;
            self.ask_all = true;
        }
    }

    /// The MTU of a port's device, if that is there.
    pub fn mtu(&self, port: PortId) -> Option<u32> {
        let device = self.devices.iter().find(|device| device.port == port)?;
        self.netlink.link_mtu(device.ifindex).ok()
    }

    /// Whether the next look will tell something that no announcement wakes for.
    pub fn is_asked(&self) -> bool {
        self.ask_all
    }

    /// Tells of every device whose state is another than was last told; the first time, of all. Does not wait. Says whether
    /// anything was announced, of these devices or others.
    ///
    /// # Errors
    /// The socket is broken: nothing more will be learned.
    pub fn look(&mut self, mut tell: impl FnMut(PortId, DeviceState)) -> Result<bool> {
        let mut room = [0; REPLY_ROOM];
        let mut heard = false;
        loop {
            let fd = self.announcements.as_raw_fd();
            match recv(fd, &mut room, MsgFlags::empty()) {
                Ok(len) => {
                    heard = true;
                    let read = room.get(..len).unwrap_or_default();
                    for (ifindex, state) in replies(read).filter_map(|said| announced(&said)) {
                        // What was announced before a device was ever asked for is how it came to be.
                        if self.is_known(ifindex) {
                            self.note(ifindex, state, &mut tell);
                        }
                    }
                }
                // Asked behind all announcements, or an old one would undo the answer.
                Err(Errno::EAGAIN) if std::mem::take(&mut self.ask_all) => {
                    self.ask_all(&mut tell)?;
                }
                Err(Errno::EAGAIN) => return Ok(heard),
                Err(Errno::EINTR) => {}
                Err(Errno::ENOBUFS) => self.ask_all = true,
                Err(errno) => return Err(refused("watch the ports' devices", errno, None)),
            }
        }
    }

    fn ask_all(&mut self, tell: &mut impl FnMut(PortId, DeviceState)) -> Result<()> {
        for at in 0..self.devices.len() {
            let Some(ifindex) = self.devices.get(at).map(|device| device.ifindex) else {
                continue;
            };
            let state = match self.netlink.link_flags(ifindex) {
                Ok(flags) => state_of(flags),
                Err(NetlinkError {
                    errno: Errno::ENODEV,
                    ..
                }) => DeviceState::Deleted,
                Err(error) => return Err(error),
            };
            self.note(ifindex, state, tell);
        }
        Ok(())
    }

    /// Whether a state was told of this device.
    fn is_known(&self, ifindex: u32) -> bool {
        let mut devices = self.devices.iter();
        devices.any(|device| device.ifindex == ifindex && device.told.is_some())
    }

    /// What is deleted stays so: its number may become another device's. What moved away may come back.
    fn note(
        &mut self,
        ifindex: u32,
        state: DeviceState,
        tell: &mut impl FnMut(PortId, DeviceState),
    ) {
        let mut devices = self.devices.iter_mut();
        let Some(device) = devices.find(|device| device.ifindex == ifindex) else {
            return;
        };
        let away = device.told == Some(DeviceState::Moved) && state == DeviceState::Deleted;
        if device.told == Some(DeviceState::Deleted) || device.told == Some(state) || away {
            return;
        }
        device.told = Some(state);
        tell(device.port, state);
    }
}

fn state_of(flags: u32) -> DeviceState {
    if flags & CARRIES == CARRIES {
        DeviceState::Up
    } else {
        DeviceState::Down
    }
}

/// The interface that an announcement is about, and what it says. A bridge's word about its members is not about
/// their devices: one that leaves the bridge is "deleted" from it.
fn announced(said: &Reply<'_>) -> Option<(u32, DeviceState)> {
    let family = *said.body.first()?;
    let (ifindex, flags) = (u32_at(said.body, 4)?, u32_at(said.body, 8)?);
    if i32::from(family) != libc::AF_UNSPEC {
        return None;
    }
    let state = match said.kind {
        libc::RTM_NEWLINK => state_of(flags),
        libc::RTM_DELLINK => {
            let attributes = said.body.get(IFINFOMSG..)?;
            let moved = attrs(attributes).any(|(kind, _)| kind == IFLA_NEW_NETNSID);
            if moved {
                DeviceState::Moved
            } else {
                DeviceState::Deleted
            }
        }
        _ => return None,
    };
    Some((ifindex, state))
}

#[cfg(test)]
mod tests {
    use super::super::message::{Message, ifinfomsg};
    use super::*;
    use crate::io::netns::{current_netns, in_child_namespace, new_child_netns_thread};
    use DeviceState::{Deleted, Down, Moved, Up};

    fn looked(watch: &mut DeviceWatch) -> Vec<(u16, DeviceState)> {
        let mut seen = Vec::new();
        watch
            .look(|port, state| seen.push((port.0, state)))
            .unwrap();
        seen
    }

    #[test]
    fn a_device_is_followed_up_and_down_until_it_is_deleted() {
        let test =
            "io::netlink::watch::tests::a_device_is_followed_up_and_down_until_it_is_deleted";
        if !in_child_namespace(test).is_inside() {
            return;
        }
        let netlink = Netlink::open().unwrap();
        netlink.veth("a", "b").unwrap();
        let (a, b) = (
            netlink.link_index("a").unwrap(),
            netlink.link_index("b").unwrap(),
        );
        let mut watch = DeviceWatch::open([(PortId(4), a)]).unwrap();
        assert_eq!(looked(&mut watch), [(4, Down)]);
        assert_eq!(looked(&mut watch), []);
        netlink.set_up(a, true).unwrap();
        assert_eq!(looked(&mut watch), [], "no carrier yet");
        netlink.set_up(b, true).unwrap();
        // The kernel announces a carrier from its work queue.
        let mut seen = Vec::new();
        while seen.is_empty() {
            seen = looked(&mut watch);
        }
        assert_eq!(seen, [(4, Up)]);
        netlink.set_up(a, false).unwrap();
        assert_eq!(looked(&mut watch), [(4, Down)]);
        netlink.link_del(a).unwrap();
        assert_eq!(looked(&mut watch), [(4, Deleted)]);
        netlink.veth("a", "b").unwrap();
        assert_eq!(
            looked(&mut watch),
            [],
            "another one of that name is not the port's"
        );
    }

    #[test]
    fn a_device_that_was_made_again_is_up_once() {
        let test = "io::netlink::watch::tests::a_device_that_was_made_again_is_up_once";
        if !in_child_namespace(test).is_inside() {
            return;
        }
        let netlink = Netlink::open().unwrap();
        let made = || {
            netlink.veth("a", "b").unwrap();
            let [a, b] = ["a", "b"].map(|name| netlink.link_index(name).unwrap());
            netlink.set_up(a, true).unwrap();
            netlink.set_up(b, true).unwrap();
            while !netlink.is_running(a).unwrap() {}
            a
        };
        let old = made();
        let mut watch = DeviceWatch::open([(PortId(0), old)]).unwrap();
        assert_eq!(looked(&mut watch), [(0, Up)]);
        netlink.link_del(old).unwrap();
        let new = made();
        netlink.set_up(new, false).unwrap();
        netlink.set_up(new, true).unwrap();
        while !netlink.is_running(new).unwrap() {}
        watch.follow(PortId(0), new);
        assert_eq!(looked(&mut watch), [(0, Up)], "how it came up is not told");
        assert_eq!(looked(&mut watch), []);
    }

    #[test]
    fn a_device_that_moves_to_another_namespace_is_not_deleted() {
        let test =
            "io::netlink::watch::tests::a_device_that_moves_to_another_namespace_is_not_deleted";
        if !in_child_namespace(test).is_inside() {
            return;
        }
        let netlink = Netlink::open().unwrap();
        netlink.veth("a", "b").unwrap();
        let a = netlink.link_index("a").unwrap();
        let mut watch = DeviceWatch::open([(PortId(0), a)]).unwrap();
        looked(&mut watch);
        let other = new_child_netns_thread(current_netns).unwrap().unwrap();
        netlink.move_to_netns(a, &other).unwrap();
        assert_eq!(looked(&mut watch), [(0, Moved)]);
    }

    #[test]
    fn lost_announcements_are_made_up_for_by_asking() {
        let test = "io::netlink::watch::tests::lost_announcements_are_made_up_for_by_asking";
        if !in_child_namespace(test).is_inside() {
            return;
        }
        let netlink = Netlink::open().unwrap();
        netlink.veth("a", "b").unwrap();
        let a = netlink.link_index("a").unwrap();
        let mut watch = DeviceWatch::open([(PortId(0), a)]).unwrap();
        looked(&mut watch);
        // Far more than the socket's buffer holds.
        for round in 0..2000 {
            netlink.set_mtu(a, 1400 + round % 2).unwrap();
        }
        netlink.link_del(a).unwrap();
        assert_eq!(looked(&mut watch), [(0, Deleted)]);
    }

    #[test]
    fn only_what_is_said_of_a_device_itself_counts() {
        let message = |kind, family: u8| {
            let mut body = ifinfomsg(7, CARRIES, 0);
            body[0] = family;
            Message::new(kind, 0, &body).finish(1)
        };
        let says = |bytes: &[u8]| replies(bytes).next().and_then(|said| announced(&said));
        let up = message(libc::RTM_NEWLINK, 0);
        assert_eq!(says(&up), Some((7, Up)));
        assert_eq!(says(&message(libc::RTM_DELLINK, 0)), Some((7, Deleted)));
        let bridge = libc::AF_BRIDGE as u8;
        assert_eq!(says(&message(libc::RTM_DELLINK, bridge)), None);
        assert_eq!(says(&message(libc::RTM_NEWADDR, 0)), None);
        for cut in 0..up.len() {
            assert_eq!(says(&up[..cut]), None);
        }
    }
}
