//! IPv4 options that a router works on: Record Route and Timestamp (RFC 791 §3.1, RFC 1812 §5.3.13.5, §5.3.13.6).
//!
//! [`fault`] is asked before anything is changed, of options that `parse` found well formed; [`work`] then fills them in on
//! the way out. Both look at the option field alone and allocate nothing.

use std::net::Ipv4Addr;

/// Bytes of an IPv4 header in front of its options.
const FIXED: usize = 20;

const RECORD_ROUTE: u8 = 7;
const TIMESTAMP: u8 = 68;

/// Times alone; each behind its address; for addresses that the sender chose.
const TIMES: u8 = 0;
const WITH_ADDRESSES: u8 = 1;
const PRESPECIFIED: u8 = 3;

/// The option at an offset of the header: its end, if it is one of more than one byte.
fn end_of(header: &[u8], at: usize) -> Option<usize> {
    let len = usize::from(*header.get(at + 1)?);
    (len >= 2 && at + len <= header.len()).then_some(at + len)
}

/// The offsets of all options of several bytes.
fn offsets(header: &[u8]) -> impl Iterator<Item = usize> + '_ {
    let mut at = FIXED;
    std::iter::from_fn(move || {
        while header.get(at) == Some(&1) {
            at += 1;
        }
        let here = at;
        if matches!(header.get(here), None | Some(0)) {
            return None;
        }
        at = end_of(header, here)?;
        Some(here)
    })
}

/// The first byte of a header that makes its options impossible to work on: where an ICMP parameter problem points.
pub fn fault(header: &[u8]) -> Option<usize> {
    offsets(header).find_map(|at| {
        let option = header.get(at..end_of(header, at)?)?;
        let byte = match option {
            [RECORD_ROUTE, rest @ ..] => fault_of_route(rest),
            [TIMESTAMP, rest @ ..] => fault_of_times(rest),
            _ => None,
        };
        byte.map(|byte| at + byte)
    })
}

/// `rest` begins with the option's length.
fn fault_of_route(rest: &[u8]) -> Option<usize> {
    let [len, pointer, ..] = *rest else {
        return Some(1);
    };
    // "Some room but not enough" is an error, no room at all is none (RFC 791).
    let room = (u16::from(len) + 1).saturating_sub(pointer.into());
    (pointer < 4 || matches!(room, 1..4)).then_some(2)
}

fn fault_of_times(rest: &[u8]) -> Option<usize> {
    let [len, pointer, flags, ..] = *rest else {
        return Some(1);
    };
    let Some(size) = size_of_time(flags & 15) else {
        return Some(3);
    };
    let room = (u16::from(len) + 1).saturating_sub(pointer.into());
    if pointer < 5 || (room > 0 && usize::from(room) < size) {
        return Some(2);
    }
    // The count of those that found no room has overflowed itself.
    (room == 0 && flags >> 4 == 15).then_some(3)
}

const fn size_of_time(flag: u8) -> Option<usize> {
    match flag {
        TIMES => Some(4),
        WITH_ADDRESSES | PRESPECIFIED => Some(8),
        _ => None,
    }
}

/// Fills in what is asked of a router that sends the packet on from `own` at `ms`; `is_own` knows all its addresses.
/// Returns whether anything changed: then the header needs its checksum.
pub fn work(header: &mut [u8], own: Ipv4Addr, is_own: impl Fn(Ipv4Addr) -> bool, ms: u64) -> bool {
    let (mut at, mut changed) = (FIXED, false);
    while let Some(here) = offsets_from(header, at) {
        let Some(end) = end_of(header, here) else {
            break;
        };
        if let Some(option) = header.get_mut(here..end) {
            changed |= match option.first() {
                Some(&RECORD_ROUTE) => record_route(option, own),
                Some(&TIMESTAMP) => record_time(option, own, &is_own, ms),
                _ => false,
            };
        }
        at = end;
    }
    changed
}

fn offsets_from(header: &[u8], from: usize) -> Option<usize> {
    offsets(header).find(|at| *at >= from)
}

/// Writes at the pointer, and moves it on by `step`. `false` if there is no room.
fn put(option: &mut [u8], skip: usize, bytes: &[u8], step: u8) -> bool {
    let Some(at) = option.get(2).and_then(|p| usize::from(*p).checked_sub(1)) else {
        return false;
    };
    let Some(room) = option.get_mut(at + skip..at + skip + bytes.len()) else {
        return false;
    };
    room.copy_from_slice(bytes);
    option[2] = option[2].saturating_add(step);
    true
}

fn record_route(option: &mut [u8], own: Ipv4Addr) -> bool {
    put(option, 0, &own.octets(), 4)
}

fn record_time(
    option: &mut [u8],
    own: Ipv4Addr,
    is_own: &impl Fn(Ipv4Addr) -> bool,
    ms: u64,
) -> bool {
    let (Some(&pointer), Some(&flags)) = (option.get(2), option.get(3)) else {
        return false;
    };
    if usize::from(pointer) > option.len() {
        option[3] = flags.saturating_add(0x10);
        return flags < 0xf0;
    }
    // No time of day: any clock will do, if its highest bit says so (RFC 791).
    let time = (ms as u32 | 1 << 31).to_be_bytes();
    match flags & 15 {
        TIMES => put(option, 0, &time, 4),
        WITH_ADDRESSES => {
            let [a, b, c, d] = own.octets();
            let [e, f, g, h] = time;
            put(option, 0, &[a, b, c, d, e, f, g, h], 8)
        }
        PRESPECIFIED => {
            let at = usize::from(pointer).saturating_sub(1);
            let next = option.get(at..at + 4).and_then(|b| b.first_chunk::<4>());
            let ours = next.is_some_and(|addr| is_own(Ipv4Addr::from(*addr)));
            ours && put(option, 4, &time, 8)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

    fn header(options: &[u8]) -> Vec<u8> {
        [&[0x45; FIXED], options].concat()
    }

    fn worked(options: &[u8]) -> (bool, Vec<u8>) {
        let mut header = header(options);
        let changed = work(&mut header, OWN, |addr| addr == OWN, 5);
        (changed, header[FIXED..].to_vec())
    }

    #[test]
    fn a_route_is_recorded_while_there_is_room() {
        let (changed, option) = worked(&[1, 7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert!(changed);
        assert_eq!(option, [1, 7, 11, 8, 192, 0, 2, 1, 0, 0, 0, 0]);
        let full = [7, 7, 8, 1, 2, 3, 4, 0];
        assert_eq!(worked(&full), (false, full.to_vec()));
        assert_eq!(fault(&header(&full)), None);
    }

    #[test]
    fn room_for_half_an_address_is_a_fault_at_the_pointer() {
        for pointer in 0..=8 {
            let fault = fault(&header(&[1, 7, 8, pointer, 0, 0, 0, 0, 0, 0]));
            assert_eq!(
                fault,
                (!matches!(pointer, 4 | 5)).then_some(FIXED + 3),
                "{pointer}"
            );
        }
        assert_eq!(fault(&header(&[7, 8, 9, 0, 0, 0, 0, 0])), None);
        assert_eq!(fault(&header(&[7, 2, 0, 0])), Some(FIXED + 1));
    }

    #[test]
    fn times_are_recorded_in_three_ways_or_counted() {
        let time = [0x80, 0, 0, 5];
        assert_eq!(
            worked(&[68, 8, 5, 0, 0, 0, 0, 0]).1,
            [&[68, 8, 9, 0][..], &time].concat()
        );
        let (_, both) = worked(&[68, 12, 5, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(both, [&[68, 12, 13, 1, 192, 0, 2, 1][..], &time].concat());
        let (_, ours) = worked(&[68, 12, 5, 3, 192, 0, 2, 1, 0, 0, 0, 0]);
        assert_eq!(ours, [&[68, 12, 13, 3, 192, 0, 2, 1][..], &time].concat());
        assert!(!worked(&[68, 12, 5, 3, 192, 0, 2, 2, 0, 0, 0, 0]).0);
        assert_eq!(worked(&[68, 4, 5, 0x10]), (true, vec![68, 4, 5, 0x20]));
        assert_eq!(fault(&header(&[68, 4, 5, 0xf0])), Some(FIXED + 3));
        assert_eq!(fault(&header(&[68, 4, 5, 2])), Some(FIXED + 3));
        assert_eq!(fault(&header(&[68, 8, 4, 0, 0, 0, 0, 0])), Some(FIXED + 2));
        assert_eq!(fault(&header(&[68, 8, 5, 1, 0, 0, 0, 0])), Some(FIXED + 2));
        assert_eq!(fault(&header(&[68, 3, 5, 0])), Some(FIXED + 1));
    }

    #[test]
    fn any_bytes_are_worked_on_without_harm() {
        let mut random = fastrand::Rng::with_seed(35);
        for _ in 0..200_000 {
            let options: Vec<u8> = (0..random.usize(0..=40))
                .map(|_| [7, 68, 1, 0, 4, 5, 8, 11, random.u8(..)][random.usize(..9)])
                .collect();
            let mut header = header(&options);
            let before = header.clone();
            let sound = fault(&header).is_none();
            let changed = work(&mut header, OWN, |_| true, random.u64(..));
            assert_eq!(header.len(), before.len());
            assert!(!sound || changed == (header != before), "{options:?}");
        }
    }
}
