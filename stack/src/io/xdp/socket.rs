//! An XDP socket: its memory, its rings, its queue.

use super::memory::Shared;
use super::ring::{Desc, Emptied, Entry, Filled, Places};
use super::{CHUNK, FRAMES, Held, RX_FRAMES, Refused, TX_FRAMES, Way, XdpError, XdpQueue};
use crate::io::packet::ring::{get, set};
use crate::io::sys;
use nix::errno::Errno;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

/// Frames that one call may send where the kernel copies them; it began with 32.
const SEND_BUDGET: u32 = 256;
/// `XDP_MAX_TX_SKB_BUDGET` (Linux 6.18), which `libc` lacks.
const XDP_MAX_TX_SKB_BUDGET: libc::c_int = 9;
/// Room for all frames on their way out as packets of the kernel's, bytes.
const SENDING: libc::c_int = 16 << 20;
/// A socket that was closed gives its queue up some milliseconds later: how often, and how long, is waited for that.
const BUSY_TRIES: u32 = 50;
const BUSY_WAIT: Duration = Duration::from_millis(20);

const NO_RING: libc::xdp_ring_offset = libc::xdp_ring_offset {
    producer: 0,
    consumer: 0,
    desc: 0,
    flags: 0,
};
const NOWHERE: libc::xdp_mmap_offsets = libc::xdp_mmap_offsets {
    rx: NO_RING,
    tx: NO_RING,
    fr: NO_RING,
    cr: NO_RING,
};

/// A socket with its memory and rings, bound to a queue of the interface.
pub(super) fn bound(
    name: &str,
    (ifindex, queue): (u32, u32),
    way: Way,
    held: &Arc<Held>,
) -> Result<XdpQueue, XdpError> {
    let at = |doing| XdpError::of(name, doing);
    let socket = sys::xdp_socket().map_err(at("make it"))?;
    let fd = socket.as_fd();
    let frames = frames(name, fd)?;
    let mut rings = Rings::make(fd).map_err(at("make its rings"))?;
    for frame in 0..RX_FRAMES {
        // There is room for all of them.
        let _ = rings.fill.push(place_of(frame));
    }
    rings.fill.submit();
    buffers(fd).map_err(at("set its buffer"))?;
    bind(fd, (ifindex, queue), way.bind).map_err(|errno| unbound(name, queue, way, errno))?;
    let none = libc::xdp_options { flags: 0 };
    let options = get(fd, libc::SOL_XDP, libc::XDP_OPTIONS, none).unwrap_or(none);
    let zero_copy = options.flags & libc::XDP_OPTIONS_ZEROCOPY != 0;
    Ok(XdpQueue::new(
        socket,
        frames,
        rings,
        zero_copy,
        Arc::clone(held),
    ))
}

/// Room for what is sent, and how much of it goes in one call.
fn buffers(socket: BorrowedFd<'_>) -> Result<(), Errno> {
    // Beyond the machine's limit takes CAP_NET_ADMIN; the other gives what there is.
    set(socket, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, &SENDING)
        .or_else(|_| set(socket, libc::SOL_SOCKET, libc::SO_SNDBUF, &SENDING))?;
    // A kernel that does not know it is called more often.
    let _ = set(socket, libc::SOL_XDP, XDP_MAX_TX_SKB_BUDGET, &SEND_BUDGET);
    Ok(())
}

/// Why a socket could not be bound.
fn unbound(name: &str, queue: u32, way: Way, errno: Errno) -> XdpError {
    let what = match way.bind & libc::XDP_ZEROCOPY {
        0 => Refused::Socket,
        _ => Refused::ZeroCopy,
    };
    match errno {
        Errno::EBUSY => XdpError::Busy {
            name: name.to_owned(),
            queue,
        },
        Errno::EPERM | Errno::EACCES | Errno::ENODEV => {
            XdpError::of(name, "bind it to its queue")(errno)
        }
        errno => XdpError::refused(name, what, errno.desc()),
    }
}

/// The place of a frame by its number: the first are for receiving, the others for sending.
pub(super) fn place_of(frame: u32) -> Desc {
    Desc {
        at: u64::from(frame) * CHUNK as u64,
        len: 0,
    }
}

/// The memory of a socket's frames, known to the kernel.
fn frames(name: &str, socket: BorrowedFd<'_>) -> Result<Shared, XdpError> {
    let at = |doing| XdpError::of(name, doing);
    let memory = Shared::fresh(CHUNK * FRAMES as usize).map_err(at("get memory"))?;
    let request = libc::xdp_umem_reg {
        addr: memory.address(),
        len: memory.len() as u64,
        chunk_size: CHUNK as u32,
        headroom: 0,
        flags: 0,
        tx_metadata_len: 0,
    };
    let told = set(socket, libc::SOL_XDP, libc::XDP_UMEM_REG, &request);
    told.map_err(|errno| match errno {
        Errno::ENOBUFS => XdpError::Locked {
            name: name.to_owned(),
        },
        errno => at("share its memory")(errno),
    })?;
    Ok(memory)
}

/// A socket's rings.
#[derive(Debug)]
pub(super) struct Rings {
    pub(super) fill: Filled,
    pub(super) rx: Emptied,
    pub(super) tx: Filled,
    pub(super) completion: Emptied,
}

impl Rings {
    /// Has the kernel make the rings of a socket that is not bound yet, and maps them.
    fn make(socket: BorrowedFd<'_>) -> Result<Self, Errno> {
        let sizes = [
            (libc::XDP_UMEM_FILL_RING, RX_FRAMES),
            (libc::XDP_RX_RING, RX_FRAMES),
            (libc::XDP_TX_RING, TX_FRAMES),
            (libc::XDP_UMEM_COMPLETION_RING, TX_FRAMES),
        ];
        for (ring, size) in sizes {
            set(socket, libc::SOL_XDP, ring, &size)?;
        }
        let at = get(socket, libc::SOL_XDP, libc::XDP_MMAP_OFFSETS, NOWHERE)?;
        let map = |of: libc::xdp_ring_offset, entry: Entry, size: u32, offset| {
            let places = Places::from(of);
            let len = places.entries + entry.size() * size as usize;
            Shared::of(socket, len, offset).map(|memory| (memory, places, entry, size))
        };
        let fill = libc::XDP_UMEM_PGOFF_FILL_RING as libc::off_t;
        let completion = libc::XDP_UMEM_PGOFF_COMPLETION_RING as libc::off_t;
        let fill = map(at.fr, Entry::Place, RX_FRAMES, fill)?;
        let rx = map(at.rx, Entry::Frame, RX_FRAMES, libc::XDP_PGOFF_RX_RING)?;
        let tx = map(at.tx, Entry::Frame, TX_FRAMES, libc::XDP_PGOFF_TX_RING)?;
        let completion = map(at.cr, Entry::Place, TX_FRAMES, completion)?;
        let filled = |(memory, places, entry, size)| Filled::new(memory, places, entry, size);
        let emptied = |(memory, places, entry, size)| Emptied::new(memory, places, entry, size);
        let rings = || {
            Some(Self {
                fill: filled(fill)?,
                rx: emptied(rx)?,
                tx: filled(tx)?,
                completion: emptied(completion)?,
            })
        };
        rings().ok_or(Errno::EPROTO)
    }
}

/// Binds a socket to a queue, which one that was just closed may still have.
#[allow(clippy::disallowed_methods)] // the I/O edge, at set-up
fn bind(socket: BorrowedFd<'_>, (ifindex, queue): (u32, u32), flags: u16) -> Result<(), Errno> {
    for _ in 0..BUSY_TRIES {
        match sys::xdp_bind(socket, ifindex, queue, flags) {
            Err(Errno::EBUSY) => std::thread::sleep(BUSY_WAIT),
            done => return done,
        }
    }
    Err(Errno::EBUSY)
}
