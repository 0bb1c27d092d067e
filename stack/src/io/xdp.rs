//! XDP sockets (AF_XDP): a port on an interface that is there, whose frames pass the kernel's network stack by.
//!
//! A small program on the interface ([`program`]) hands each frame to the socket of the queue that it came by, and there is
//! a socket for each worker: worker *i* has queue *i*. Frames lie in memory that is shared with the kernel, and four rings
//! say whose they are ([`ring`]); they are copied once between there and the worker's own buffers, in each direction. What is
//! sent goes in bursts, with a system call a burst where the driver wants to be called at all.
//!
//! Three ways, of which `auto` takes the first that works:
//!
//! | mode | who runs the program | who copies a frame beside us |
//! |---|---|---|
//! | zero-copy | the driver | nobody: the card reads and writes the shared memory |
//! | copy | the driver | the kernel, once |
//! | generic | the kernel, behind the driver | the kernel, once, from a packet that it had made already |
//!
//! Neither side leaves anything undone to the other: a checksum that a software device hands over unfinished is found
//! ([`partial`]), a super-packet does not fit a frame and is dropped by the kernel (`rx_missed`), and what is sent is finished.
//!
//! A queue's memory is fixed: [`FRAMES`] frames of 4 KiB and its rings, 8 MiB.

mod memory;
mod partial;
mod program;
mod queue;
mod refusal;
mod ring;
mod socket;
#[cfg(test)]
mod tests;

pub use program::Place;
pub use queue::XdpQueue;
pub use refusal::{Refused, XdpError};

use super::packet::{self, PacketSpec};
use super::sys;
use arp::Mac;
use nix::errno::Errno;
use program::Attached;
use socket::bound;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;

/// Bytes of a frame's place in the shared memory.
const CHUNK: usize = 4096;
/// Of which the kernel keeps some in front of what comes in (`XDP_PACKET_HEADROOM`).
const KERNELS: usize = 256;
/// Longest frame that can be received, bytes.
pub const FRAME_MOST: usize = CHUNK - KERNELS;
/// The port's MTU at most: a frame less an Ethernet header and two VLAN tags.
pub const MTU_MOST: u32 = FRAME_MOST as u32 - 22;
/// Frames that wait to be filled by the kernel, or to be read by us; each of *fill* and *rx* has room for all.
const RX_FRAMES: u32 = 1024;
/// Frames on their way out; each of *tx* and *completion* has room for all.
const TX_FRAMES: u32 = 1024;
/// Frames of a queue.
pub const FRAMES: u32 = RX_FRAMES + TX_FRAMES;

/// How frames get to the port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// The first that works: zero-copy, copy, generic.
    #[default]
    Auto,
    /// The card reads and writes the shared memory.
    ZeroCopy,
    /// The driver runs the program, the kernel copies.
    Copy,
    /// The kernel runs the program behind the driver, and copies.
    Generic,
}

/// How they do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chosen {
    /// As [`Mode::ZeroCopy`], by all queues.
    ZeroCopy,
    /// As [`Mode::Copy`].
    Copy,
    /// As [`Mode::Generic`].
    Generic,
}

impl Chosen {
    /// As the configuration and listings call it.
    pub fn word(self) -> &'static str {
        match self {
            Self::ZeroCopy => "zero-copy",
            Self::Copy => "copy",
            Self::Generic => "generic",
        }
    }
}

/// A port on an interface by XDP sockets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct XdpSpec {
    /// The interface, with a queue for each worker.
    pub on: PacketSpec,
    /// How frames get there.
    pub mode: Mode,
    /// The interface may have more queues; what comes by those goes to the kernel.
    pub some_queues: bool,
}

impl XdpSpec {
    /// A port on `name`, as [`PacketSpec::new`] has it; its only queue.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            on: PacketSpec::new(name),
            mode: Mode::Auto,
            some_queues: false,
        }
    }

    /// Bytes that its queues share with the kernel.
    pub fn shared_bytes(&self) -> u64 {
        u64::from(FRAMES) * CHUNK as u64 * u64::from(self.queues())
    }

    fn queues(&self) -> u32 {
        u32::try_from(self.on.queues.max(1)).unwrap_or(u32::MAX)
    }
}

/// A port that was opened. Its queues go to the workers.
#[derive(Debug)]
pub struct Device {
    /// The interface's name.
    pub name: String,
    /// The kernel's number for it.
    pub ifindex: u32,
    /// The gateway's hardware address there.
    pub mac: Mac,
    /// One for each worker, in order.
    pub queues: Vec<XdpQueue>,
    /// How frames get there.
    pub mode: Chosen,
    /// What is not as it should be; one line each.
    pub warnings: Vec<String>,
}

/// What all queues of a port hold on to: with the last of them the program goes from the interface.
#[derive(Debug)]
struct Held {
    attached: Attached,
    /// Hears nothing; has the card pass on what is for us.
    _groups: OwnedFd,
}

/// One way to open a port: who runs the program, and how sockets are bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Way {
    place: Place,
    bind: u16,
}

impl Mode {
    fn ways(self) -> &'static [Way] {
        const ANY: u16 = libc::XDP_USE_NEED_WAKEUP;
        const fn way(place: Place, bind: u16) -> Way {
            Way { place, bind }
        }
        match self {
            // With neither word the kernel tries zero-copy first.
            Self::Auto => {
                const {
                    &[
                        way(Place::Driver, ANY),
                        way(Place::Kernel, ANY | libc::XDP_COPY),
                    ]
                }
            }
            Self::ZeroCopy => const { &[way(Place::Driver, ANY | libc::XDP_ZEROCOPY)] },
            Self::Copy => const { &[way(Place::Driver, ANY | libc::XDP_COPY)] },
            Self::Generic => const { &[way(Place::Kernel, ANY | libc::XDP_COPY)] },
        }
    }
}

/// Opens a port on the interface of `spec`.
///
/// # Errors
/// See [`XdpError`]; nothing is left open then.
pub fn open(spec: &XdpSpec) -> Result<Device, XdpError> {
    let (ifindex, own) = interface(spec)?;
    let mut warnings = warnings(spec);
    let mut last = None;
    for way in spec.mode.ways() {
        match open_so(spec, (ifindex, own), *way) {
            Ok((queues, mode)) => {
                return Ok(Device {
                    name: spec.on.name.clone(),
                    ifindex,
                    mac: spec.on.mac.unwrap_or(own),
                    queues,
                    mode,
                    warnings,
                });
            }
            Err(error @ XdpError::Refused { .. }) => {
                warnings.push(error.to_string());
                last = Some(error);
            }
            Err(error) => return Err(error),
        }
    }
    // There is a way at least, so there was an error.
    let last = last.unwrap_or_else(|| XdpError::of(&spec.on.name, "open it")(Errno::EINVAL));
    Err(last.or_else(match spec.mode {
        Mode::Auto | Mode::Generic => ": write type = \"packet\"",
        _ => ": write xdp-mode = \"auto\", or leave it out",
    }))
}

/// Whether there is such an interface that could be a port; changes nothing.
///
/// # Errors
/// See [`XdpError`]; what only opening it shows is not found.
pub fn check(spec: &XdpSpec) -> Result<(), XdpError> {
    let mut spec = spec.clone();
    spec.on.up = false;
    interface(&spec).map(drop)
}

/// Whether this process may load the program; changes nothing.
///
/// # Errors
/// It may not, or the kernel cannot.
pub fn may_load() -> Result<(), XdpError> {
    program::load("any", 1).map(drop)
}

/// Queues that the interface has beside those that the port reads, which nobody has said to be right: what comes by them goes
/// to the kernel. One line that says so, and what to do; `None`: there are none, or its driver does not say.
pub fn beside(spec: &XdpSpec) -> Option<String> {
    let (name, asked) = (&spec.on.name, spec.queues());
    let (has, _) = queues_of(name).filter(|(has, _)| *has > asked && !spec.some_queues)?;
    Some(format!(
        "'{name}' has {has} queues now, and {asked} are read: what comes by the last {} passes the gateway by, to the kernel: \
         'ethtool -L {name} combined {asked}' (a veth: rx {asked} tx {asked}), or start flowgate again with workers = {has}",
        has - asked
    ))
}

/// Its number and hardware address, if it is as it must be; it is set up if the port is.
fn interface(spec: &XdpSpec) -> Result<(u32, Mac), XdpError> {
    let (name, mtu) = (&spec.on.name, spec.on.mtu);
    if mtu > MTU_MOST {
        return Err(XdpError::Mtu {
            name: name.clone(),
            mtu,
        });
    }
    let found = packet::interface(&spec.on)?;
    let (name, asked) = (name.clone(), spec.queues());
    match queues_of(&name) {
        Some((rx, tx)) if rx.min(tx) < asked => {
            let has = rx.min(tx);
            Err(XdpError::Few { name, has, asked })
        }
        // Frames come by all that it receives by.
        Some((has, _)) if has > asked && !spec.some_queues => {
            Err(XdpError::Many { name, has, asked })
        }
        _ => Ok(found),
    }
}

/// Queues by which an interface receives, and sends; `None` if its driver does not say.
fn queues_of(name: &str) -> Option<(u32, u32)> {
    // A socket of any kind is a way to the calling thread's network namespace.
    let socket = UnixDatagram::unbound().ok()?;
    let (rx, tx) = sys::ethtool_queues(socket.as_fd(), name).ok()?;
    Some((rx, tx)).filter(|(rx, tx)| *rx.min(tx) > 0)
}

/// Everything that one way takes, or nothing.
fn open_so(
    spec: &XdpSpec,
    (ifindex, own): (u32, Mac),
    way: Way,
) -> Result<(Vec<XdpQueue>, Chosen), XdpError> {
    let name = spec.on.name.as_str();
    let at = |doing| XdpError::of(name, doing);
    let attached = Attached::new(name, ifindex, spec.queues(), way.place)?;
    let groups = packet::ring::socket().map_err(at("make a packet socket"))?;
    packet::listen(groups.as_fd(), ifindex, &spec.on, own).map_err(at("hear what is for us"))?;
    let held = Arc::new(Held {
        attached,
        _groups: groups,
    });
    let mut queues = Vec::with_capacity(spec.on.queues);
    for queue in 0..spec.queues() {
        queues.push(bound(name, (ifindex, queue), way, &held)?);
    }
    for (number, queue) in (0..).zip(&queues) {
        let directed = held.attached.direct(number, queue.socket());
        directed.map_err(at("direct its frames to the socket"))?;
    }
    let all_zero_copy = queues.iter().all(XdpQueue::is_zero_copy);
    let mode = match way.place {
        Place::Kernel => Chosen::Generic,
        Place::Driver if all_zero_copy => Chosen::ZeroCopy,
        Place::Driver => Chosen::Copy,
    };
    Ok((queues, mode))
}

/// What the operator may not know.
fn warnings(spec: &XdpSpec) -> Vec<String> {
    let name = &spec.on.name;
    let addrs = packet::kernels_addrs(name).into_iter();
    let mut found: Vec<_> = addrs
        .map(|addr| {
            format!(
                "the kernel has the address {addr} on '{name}', and hears nothing there any more: take it away \
                 ('ip addr flush dev {name}')"
            )
        })
        .collect();
    let asked = spec.queues();
    if let Some((has, _)) = queues_of(name).filter(|(has, _)| *has > asked) {
        found.push(format!(
            "what comes by the last {} of '{name}'s {has} queues goes to the kernel, as the configuration says",
            has - asked
        ));
    }
    found
}
