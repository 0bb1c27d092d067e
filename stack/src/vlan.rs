//! VLANs (IEEE 802.1Q): which port a tagged frame is for, and by which device a port's frames leave.
//!
//! A VLAN is a port like any other, but for its frames: those of its parent that bear its tag. The tag is taken off before
//! anything else is asked of a frame, and put on when the frame is given to the parent's queue, so nothing between knows of it.
//! Priority is not kept: what leaves has priority 0, as FreeBSD's `vlanpcp`.

use crate::fate::DropReason;
use crate::ports::{Ports, Vlan};
use route::PortId;

/// Both hardware addresses, behind which a tag stands.
pub(crate) const ADDRESSES: usize = 12;

/// A tag's length.
pub(crate) const TAG: usize = 4;

/// A tag's first half, where an untagged frame has its type.
pub(crate) const TPID: [u8; 2] = [0x81, 0x00];

/// A service provider's tag (IEEE 802.1ad), which may stand in front of another.
const TPID_S: [u8; 2] = [0x88, 0xa8];

/// The VLAN identifier, without priority and drop eligibility.
const VID: u16 = 0x0fff;

/// The VLAN whose tag a frame bears; 0: it has priority alone, and is the port's own (IEEE 802.1Q 6.9). `None`: it bears
/// none.
///
/// # Errors
/// It is cut short, or a second tag follows.
pub(crate) fn of_frame(frame: &[u8]) -> Result<Option<u16>, DropReason> {
    if frame.get(ADDRESSES..ADDRESSES + 2) != Some(&TPID) {
        return Ok(None);
    }
    let Some(&[high, low, t0, t1]) = frame.get(ADDRESSES + 2..).and_then(|b| b.first_chunk())
    else {
        return Err(DropReason::EtherShort);
    };
    let vid = u16::from_be_bytes([high, low]) & VID;
    match [t0, t1] {
        TPID | TPID_S => Err(DropReason::SecondTag),
        _ => Ok(Some(vid)),
    }
}

/// A copy of a tagged frame without its tag.
pub(crate) fn without_tag(frame: &[u8]) -> Vec<u8> {
    let (front, behind) = (frame.get(..ADDRESSES), frame.get(ADDRESSES + TAG..));
    [front.unwrap_or_default(), behind.unwrap_or_default()].concat()
}

/// All VLANs of a gateway: made once, they do not change while it runs.
#[derive(Debug)]
pub(crate) struct Vlans {
    /// {parent, VID} and the port, sorted.
    known: Box<[((PortId, u16), PortId)]>,
    /// By the port's number.
    of_port: Box<[Option<Vlan>]>,
}

impl Vlans {
    /// Those among `ports`.
    pub(crate) fn of(ports: &Ports) -> Self {
        let place =
            |port: &crate::ports::Port| port.vlan.map(|vlan| ((vlan.parent, vlan.vid), port.id));
        let mut known: Vec<_> = ports.0.iter().filter_map(place).collect();
        known.sort_unstable();
        Self {
            known: known.into(),
            of_port: ports.0.iter().map(|port| port.vlan).collect(),
        }
    }

    /// The port that has this VLAN of `parent`.
    pub(crate) fn port(&self, parent: PortId, vid: u16) -> Option<PortId> {
        let at = self
            .known
            .binary_search_by_key(&(parent, vid), |(key, _)| *key);
        at.ok()
            .and_then(|at| self.known.get(at))
            .map(|(_, port)| *port)
    }

    /// What a port is made of, if it is a VLAN.
    pub(crate) fn of_port(&self, port: PortId) -> Option<Vlan> {
        self.of_port.get(usize::from(port.0)).copied().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pkt::Pkt;
    use crate::ports::{Layer, Port};
    use arp::Mac;
    use route::FibId;

    fn port(id: u16, vlan: Option<Vlan>) -> Port {
        Port {
            id: PortId(id),
            name: format!("port{id}"),
            fib: FibId(0),
            layer: Layer::L2(Mac([2, 0, 0, 0, 0, 1])),
            mtu: 1500,
            narrowed: None,
            up: true,
            addrs: Vec::new(),
            rules: Default::default(),
            vlan,
        }
    }

    #[test]
    fn each_vlan_is_found_by_its_parent_and_its_tag_alone() {
        let mut ports = vec![port(0, None), port(1, None)];
        for vid in (1..=4094).rev().step_by(37) {
            for parent in [1, 0] {
                let vlan = Vlan {
                    parent: PortId(parent),
                    vid,
                };
                ports.push(port(ports.len() as u16, Some(vlan)));
            }
        }
        let ports = Ports(ports);
        let vlans = Vlans::of(&ports);
        for parent in 0..3 {
            for vid in 0..=4095 {
                let parent = PortId(parent);
                let slow = ports.vlans_of(parent).find(|p| p.vlan.unwrap().vid == vid);
                assert_eq!(vlans.port(parent, vid), slow.map(|port| port.id));
            }
        }
        for port in &ports.0 {
            assert_eq!(vlans.of_port(port.id), port.vlan);
        }
        assert_eq!(vlans.of_port(PortId(u16::MAX)), None);
    }

    fn frame(behind: &[u8]) -> Vec<u8> {
        let addresses: Vec<u8> = (1..=12).collect();
        [&addresses, behind].concat()
    }

    #[test]
    fn a_tag_is_read_without_its_priority() {
        let read = |behind: &[u8]| of_frame(&frame(behind));
        assert_eq!(read(&[8, 0, 1, 2, 3, 4]), Ok(None));
        assert_eq!(read(&[0x81, 0, 0xff, 0xff, 8, 0]), Ok(Some(4095)));
        assert_eq!(read(&[0x81, 0, 0xe0, 0x64, 8, 0]), Ok(Some(100)));
        assert_eq!(read(&[0x81, 0, 0xf0, 0, 8, 0]), Ok(Some(0)));
        assert_eq!(read(&[0x81, 0, 0, 1, 0x81, 0]), Err(DropReason::SecondTag));
        assert_eq!(
            read(&[0x81, 0, 0, 1, 0x88, 0xa8]),
            Err(DropReason::SecondTag)
        );
        assert_eq!(read(&[0x81, 0, 0, 1, 8]), Err(DropReason::EtherShort));
        assert_eq!(read(&[0x81]), Ok(None));
        assert_eq!(read(&[0x88, 0xa8, 0, 1, 8, 0]), Ok(None));
    }

    #[test]
    fn a_tag_that_was_taken_out_can_be_put_in_again() {
        let tagged = frame(&[0x81, 0, 0, 100, 8, 0, 0x45, 7]);
        let mut pkt = Pkt::with_size(100);
        assert!(pkt.copy_from(&tagged));
        pkt.offload.csum = Some(crate::offload::Partial {
            start: 38,
            offset: 16,
        });
        pkt.untag();
        assert_eq!(pkt.bytes(), frame(&[8, 0, 0x45, 7]));
        assert_eq!(pkt.received(), pkt.bytes());
        assert_eq!(pkt.offload.csum.unwrap().start, 34);
        assert!(pkt.tag(100));
        assert_eq!(pkt.bytes(), tagged);
        assert_eq!(pkt.offload.csum.unwrap().start, 38);
        // Without room, and of what is no frame, nothing changes.
        let mut bare = Pkt::with_size(100);
        assert!(bare.copy_from(&[1; 11]));
        assert!(!bare.tag(1));
        assert_eq!(bare.bytes(), [1; 11]);
        while pkt.tag(7) {}
        assert!(pkt.bytes().len() > tagged.len());
        assert!(!pkt.tag(7));
    }
}
