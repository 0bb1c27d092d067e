//! The rack's bridge as a switch with VLANs: a server's port becomes an access port, behind which its VLAN has no tag.
//!
//! Two small programs (eBPF, on the port's interface) put the tag on what the server sends, as a VLAN device of Linux does
//! (beside the frame, so that super-packets stay whole), and take it off what goes to the server, frames of other VLANs with
//! it. So no kernel needs its 802.1Q module.

use super::{Lab, skip, sys};
use nix::errno::Errno;
use stack::io::netlink::Netlink;
use std::os::fd::OwnedFd;

/// A server's port with its VLAN; dropped, it is an ordinary one again.
#[derive(Debug)]
pub struct AccessPort(#[allow(dead_code, reason = "held")] [OwnedFd; 2]);

// `bpf_skb_vlan_push`, `bpf_skb_vlan_pop`; the fields of `__sk_buff`.
const VLAN_PUSH: i32 = 18;
const VLAN_POP: i32 = 19;
const VLAN_PRESENT: i16 = 20;
const VLAN_TCI: i16 = 24;

// What a program says of a frame.
const NEXT: i32 = -1;
const DROP: i32 = 2;

fn insn(code: u8, registers: u8, off: i16, imm: i32) -> [u8; 8] {
    let ([a, b], [c, d, e, f]) = (off.to_ne_bytes(), imm.to_ne_bytes());
    [code, registers, a, b, c, d, e, f]
}

fn set(register: u8, number: i32) -> [u8; 8] {
    insn(0xb7, register, 0, number)
}

fn end() -> [u8; 8] {
    insn(0x95, 0, 0, 0)
}

/// Puts the tag on.
fn push(vid: u16) -> Vec<[u8; 8]> {
    let protocol = u16::from_ne_bytes([0x81, 0x00]);
    vec![
        set(2, protocol.into()),
        set(3, vid.into()),
        insn(0x85, 0, 0, VLAN_PUSH),
        set(0, NEXT),
        end(),
    ]
}

/// Takes it off, and drops what has another or none.
fn pop(vid: u16) -> Vec<[u8; 8]> {
    vec![
        insn(0x61, 0x12, VLAN_PRESENT, 0),
        insn(0x15, 2, 6, 0),
        insn(0x61, 0x12, VLAN_TCI, 0),
        insn(0x57, 2, 0, 0x0fff),
        insn(0x55, 2, 3, vid.into()),
        insn(0x85, 0, 0, VLAN_POP),
        set(0, NEXT),
        end(),
        set(0, DROP),
        end(),
    ]
}

impl AccessPort {
    /// Puts a server into a VLAN. `None` where this may not be done, which is said.
    ///
    /// # Panics
    /// The kernel refuses it for another reason.
    pub fn new(lab: &Lab, server: usize, vid: u16) -> Option<Self> {
        let port = lab.segment.server(server).port();
        match Self::of(&port, vid) {
            Ok(port) => Some(port),
            // No root, or a kernel before 6.6.
            Err(errno @ (Errno::EPERM | Errno::EINVAL | Errno::EOPNOTSUPP)) => {
                skip(
                    "VLANs of the rack",
                    &format!("no programs on interfaces: {errno}"),
                );
                None
            }
            Err(errno) => panic!("a VLAN of {port}: {errno}"),
        }
    }

    fn of(port: &str, vid: u16) -> Result<Self, Errno> {
        let netlink = Netlink::open().map_err(|error| error.errno)?;
        let index = netlink.link_index(port).map_err(|error| error.errno)?;
        let incoming = sys::attach(index, sys::Side::In, &push(vid))?;
        let outgoing = sys::attach(index, sys::Side::Out, &pop(vid))?;
        Ok(Self([incoming, outgoing]))
    }
}
