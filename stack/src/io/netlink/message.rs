//! Netlink messages: how a request is laid out and a reply is read.
//!
//! Pure bytes, no socket. Numbers are in host order and everything is aligned to four bytes
//! (`NLMSG_ALIGN`, `RTA_ALIGN`). Layouts: the kernel's `netlink.h`, `rtnetlink.h`, `if_link.h`.

use std::net::IpAddr;

/// Length of `struct nlmsghdr`: length, type, flags, sequence, port.
const HEADER: usize = 16;
/// Length of `struct rtattr`.
const ATTR_HEADER: usize = 4;
/// The bits of an attribute's type that are its number (`NLA_TYPE_MASK`).
const TYPE_MASK: u16 = 0x3fff;

const fn align(len: usize) -> usize {
    (len + 3) & !3
}

/// A request being built. Lengths are filled in by [`Self::finish`] and at the end of a nest.
#[derive(Debug)]
pub(super) struct Message(Vec<u8>);

impl Message {
    /// A request of `kind` with `flags` (`NLM_F_REQUEST | NLM_F_ACK` are added) and the fixed
    /// `body` of its kind.
    pub(super) fn new(kind: u16, flags: i32, body: &[u8]) -> Self {
        let flags = flags | libc::NLM_F_REQUEST | libc::NLM_F_ACK;
        let mut bytes = vec![0; HEADER];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&(flags as u16).to_ne_bytes());
        bytes.extend_from_slice(body);
        Self(bytes)
    }

    /// A request about a link: `flags` of the link, of which those in `change` are set.
    pub(super) fn link(kind: u16, nl_flags: i32, ifindex: u32, flags: u32, change: u32) -> Self {
        Self::new(kind, nl_flags, &ifinfomsg(ifindex, flags, change))
    }

    /// Appends an attribute.
    pub(super) fn attr(mut self, kind: u16, value: &[u8]) -> Self {
        self.0.resize(align(self.0.len()), 0);
        self.0
            .extend_from_slice(&((ATTR_HEADER + value.len()) as u16).to_ne_bytes());
        self.0.extend_from_slice(&kind.to_ne_bytes());
        self.0.extend_from_slice(value);
        self
    }

    /// Appends an attribute of 32 bits in host order.
    pub(super) fn attr_u32(self, kind: u16, value: u32) -> Self {
        self.attr(kind, &value.to_ne_bytes())
    }

    /// Appends a name, with the NUL that the kernel wants.
    pub(super) fn attr_name(self, kind: u16, name: &str) -> Self {
        self.attr(kind, &[name.as_bytes(), b"\0"].concat())
    }

    /// Appends an address in network order.
    pub(super) fn attr_addr(self, kind: u16, addr: IpAddr) -> Self {
        match addr {
            IpAddr::V4(v4) => self.attr(kind, &v4.octets()),
            IpAddr::V6(v6) => self.attr(kind, &v6.octets()),
        }
    }

    /// Appends an attribute that contains `prefix` and then the attributes that `fill` appends.
    pub(super) fn nest(self, kind: u16, prefix: &[u8], fill: impl FnOnce(Self) -> Self) -> Self {
        let mut outer = self.attr(kind, prefix);
        let start = outer.0.len() - prefix.len() - ATTR_HEADER;
        outer = fill(outer);
        let len = (outer.0.len() - start) as u16;
        outer.0[start..start + 2].copy_from_slice(&len.to_ne_bytes());
        outer
    }

    /// The bytes to send.
    pub(super) fn finish(mut self, seq: u32) -> Vec<u8> {
        self.0.resize(align(self.0.len()), 0);
        let len = self.0.len() as u32;
        self.0[0..4].copy_from_slice(&len.to_ne_bytes());
        self.0[8..12].copy_from_slice(&seq.to_ne_bytes());
        self.0
    }
}

/// `struct ifinfomsg` for any family.
pub(super) fn ifinfomsg(ifindex: u32, flags: u32, change: u32) -> [u8; 16] {
    let mut body = [0; 16];
    body[4..8].copy_from_slice(&ifindex.to_ne_bytes());
    body[8..12].copy_from_slice(&flags.to_ne_bytes());
    body[12..16].copy_from_slice(&change.to_ne_bytes());
    body
}

/// `struct tcmsg` for any family and a handle of the kernel's choice.
pub(super) fn tcmsg(ifindex: u32, parent: u32) -> [u8; 20] {
    let mut body = [0; 20];
    body[4..8].copy_from_slice(&ifindex.to_ne_bytes());
    body[12..16].copy_from_slice(&parent.to_ne_bytes());
    body
}

/// One message of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reply<'a> {
    pub(super) kind: u16,
    pub(super) flags: u16,
    pub(super) seq: u32,
    pub(super) body: &'a [u8],
}

/// The messages in a datagram; ends at the first that is cut short.
pub(super) fn replies(mut bytes: &[u8]) -> impl Iterator<Item = Reply<'_>> {
    std::iter::from_fn(move || {
        let len = u32_at(bytes, 0)? as usize;
        let message = Reply {
            kind: u16_at(bytes, 4)?,
            flags: u16_at(bytes, 6)?,
            seq: u32_at(bytes, 8)?,
            body: bytes.get(HEADER..len)?,
        };
        bytes = bytes.get(align(len)..).unwrap_or_default();
        Some(message)
    })
}

/// The attributes in `bytes`; ends at the first that is cut short.
pub(super) fn attrs(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let len = usize::from(u16_at(bytes, 0)?);
        let attr = (u16_at(bytes, 2)? & TYPE_MASK, bytes.get(ATTR_HEADER..len)?);
        bytes = bytes.get(align(len)..).unwrap_or_default();
        Some(attr)
    })
}

/// What the kernel answered to a request: `NLMSG_ERROR` is the errno (0: done) and, where the
/// kernel explains itself, its words.
pub(super) fn verdict(reply: &Reply<'_>) -> Option<(i32, Option<String>)> {
    if i32::from(reply.kind) != libc::NLMSG_ERROR {
        return None;
    }
    let errno = u32_at(reply.body, 0)?.cast_signed().wrapping_neg();
    Some((errno, explanation(reply)))
}

/// `NLMSGERR_ATTR_MSG`: it follows the errno and the echoed request, whose payload is left out if
/// `NLM_F_CAPPED` is set.
fn explanation(reply: &Reply<'_>) -> Option<String> {
    const ATTR_MSG: u16 = 1;
    let flags = i32::from(reply.flags);
    if flags & libc::NLM_F_ACK_TLVS == 0 {
        return None;
    }
    let capped = flags & libc::NLM_F_CAPPED != 0;
    let echoed = if capped {
        HEADER
    } else {
        align(u32_at(reply.body, 4)? as usize)
    };
    let text = attrs(reply.body.get(4 + echoed..)?)
        .find(|&(kind, _)| kind == ATTR_MSG)?
        .1;
    Some(
        String::from_utf8_lossy(text)
            .trim_end_matches('\0')
            .to_owned(),
    )
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes
        .get(at..)?
        .first_chunk()
        .copied()
        .map(u32::from_ne_bytes)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes
        .get(at..)?
        .first_chunk()
        .copied()
        .map(u16::from_ne_bytes)
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_laid_out_as_the_kernel_reads_it() {
        let bytes = Message::link(16, 0x400, 7, 1, 1)
            .attr_name(3, "ab")
            .nest(18, &[], |m| m.attr_u32(1, 9))
            .finish(5);
        let expected: &[u8] = &[
            52, 0, 0, 0, 16, 0, 5, 4, 5, 0, 0, 0, 0, 0, 0, 0, // nlmsghdr
            0, 0, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, // ifinfomsg
            7, 0, 3, 0, b'a', b'b', 0, 0, // IFLA_IFNAME, padded
            12, 0, 18, 0, 8, 0, 1, 0, 9, 0, 0, 0, // a nest of one
        ];
        assert_eq!(bytes, expected);
    }

    #[test]
    fn a_nest_may_begin_with_a_structure() {
        let bytes = Message::new(16, 0, &[])
            .nest(1, &[1, 2, 3, 4], |m| m.attr(2, &[5]))
            .finish(0);
        assert_eq!(
            bytes[HEADER..],
            [13, 0, 1, 0, 1, 2, 3, 4, 5, 0, 2, 0, 5, 0, 0, 0]
        );
    }

    #[test]
    fn replies_and_attributes_are_read_to_the_last_whole_one() {
        let one = Message::new(9, 0, &[1, 2, 3, 4]).attr(7, &[8]).finish(1);
        let two = Message::new(10, 0, &[]).finish(2);
        let both = [one.clone(), two].concat();
        let kinds: Vec<_> = replies(&both).map(|r| (r.kind, r.seq)).collect();
        assert_eq!(kinds, [(9, 1), (10, 2)]);
        let first = replies(&both).next().unwrap();
        assert_eq!(attrs(&first.body[4..]).collect::<Vec<_>>(), [(7, &[8][..])]);
        for cut in 0..both.len() {
            let whole = replies(&both[..cut]).count();
            assert_eq!(whole, usize::from(cut >= one.len()), "cut at {cut}");
        }
    }

    #[test]
    fn lengths_that_lie_end_the_reading() {
        for len in [0u32, 1, 15, 17, u32::MAX] {
            let mut bytes = vec![0; HEADER];
            bytes[0..4].copy_from_slice(&len.to_ne_bytes());
            assert_eq!(replies(&bytes).count(), 0, "length {len}");
        }
        for len in [0u16, 1, 3, 9, u16::MAX] {
            let mut bytes = vec![0; 8];
            bytes[0..2].copy_from_slice(&len.to_ne_bytes());
            assert_eq!(attrs(&bytes).count(), 0, "length {len}");
        }
    }

    #[test]
    fn a_refusal_carries_the_errno_and_the_kernels_words() {
        let echoed = Message::new(16, 0, &[]).finish(3);
        let flags = libc::NLM_F_ACK_TLVS | libc::NLM_F_CAPPED;
        let body = [&(-17i32).to_ne_bytes()[..], &echoed].concat();
        let bytes = Message::new(2, flags, &body)
            .attr_name(1, "exists already")
            .finish(3);
        let reply = replies(&bytes).next().unwrap();
        assert_eq!(
            verdict(&reply),
            Some((17, Some("exists already".to_owned())))
        );
        let silent = Message::new(2, 0, &body).finish(3);
        assert_eq!(verdict(&replies(&silent).next().unwrap()), Some((17, None)));
        let other = Message::new(16, 0, &body).finish(3);
        assert_eq!(verdict(&replies(&other).next().unwrap()), None);
    }
}
