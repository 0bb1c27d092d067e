//! A port's device: what it is to be, and how it is opened, at the start or again after it vanished.

use super::Queue;
use super::packet::{self, PacketError, PacketSpec};
use super::steer::Programs;
use super::tun::{self, DeviceError, DeviceSpec, Kind};
use super::xdp::{self, Chosen, XdpError, XdpSpec};
use crate::offload::Caps;
use arp::Mac;

/// What a port's device is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spec {
    /// A TUN or TAP device, made by us.
    Made(DeviceSpec),
    /// An interface that is there, by packet sockets.
    Found(PacketSpec),
    /// The same, by XDP sockets.
    Xdp(XdpSpec),
}

/// A device that was opened.
pub struct Opened {
    /// The name that it has.
    pub name: String,
    /// The kernel's number for it.
    pub ifindex: u32,
    /// One for each worker, in order.
    pub queues: Vec<Box<dyn Queue>>,
    /// The interface's hardware address, if it is one that was there.
    pub mac: Option<Mac>,
    /// What it takes unfinished.
    pub offloads: Caps,
    /// How frames get to a port of XDP sockets.
    pub mode: Option<Chosen>,
    /// What is not as it should be; one line each.
    pub warnings: Vec<String>,
}

/// Why a device cannot be opened: one line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// TUN or TAP.
    #[error(transparent)]
    Made(#[from] DeviceError),
    /// An interface.
    #[error(transparent)]
    Found(#[from] PacketError),
    /// An interface by XDP sockets.
    #[error(transparent)]
    Xdp(#[from] XdpError),
}

impl OpenError {
    /// Whether the process lacks a right that this takes.
    pub fn is_right(&self) -> bool {
        match self {
            Self::Made(error) => matches!(
                error,
                DeviceError::NodeForbidden { .. } | DeviceError::NoRight { .. }
            ),
            Self::Found(error) | Self::Xdp(XdpError::Interface(error)) => {
                matches!(error, PacketError::NoRight { .. })
            }
            Self::Xdp(error) => {
                matches!(error, XdpError::NoRight { .. } | XdpError::Locked { .. })
            }
        }
    }
}

impl Spec {
    /// The interface's name.
    pub fn name(&self) -> &str {
        match self {
            Self::Made(spec) => &spec.name,
            Self::Found(spec) => &spec.name,
            Self::Xdp(spec) => &spec.on.name,
        }
    }

    /// What it is, as the configuration and listings call it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Made(spec) => match spec.kind {
                Kind::Tun => "tun",
                Kind::Tap => "tap",
            },
            Self::Found(_) => "packet",
            Self::Xdp(_) => "xdp",
        }
    }

    /// The port's MTU.
    const fn mtu(&self) -> u32 {
        match self {
            Self::Made(spec) => spec.mtu,
            Self::Found(spec) => spec.mtu,
            Self::Xdp(spec) => spec.on.mtu,
        }
    }

    /// Whether packets of the port's MTU are lost at an interface whose own has become `has`. What is written to a device of our
    /// own may be longer than its MTU.
    pub(super) const fn is_short(&self, has: u32) -> bool {
        !matches!(self, Self::Made(_)) && has < self.mtu()
    }

    /// What to do about an interface whose MTU has become `has`, which is below the port's.
    pub(super) fn too_short(&self, has: u32) -> String {
        let (name, mtu) = (self.name(), self.mtu());
        format!(
            "interface '{name}' has the MTU {has} now, the port {mtu}: what is longer is cut, or refused as too big: \
             'ip link set {name} mtu {mtu}', or write mtu = {has} and start flowgate again"
        )
    }

    /// Opens it. With `steering` it delivers each packet to its flow's worker; where the kernel refuses that, it is opened
    /// without, and warns.
    ///
    /// # Errors
    /// See [`OpenError`]; nothing of it is left then.
    pub fn open(&self, steering: Option<&Programs>) -> Result<Opened, OpenError> {
        match self {
            Self::Made(spec) => made(spec, steering),
            Self::Found(spec) => found(spec, steering),
            Self::Xdp(spec) => by_xdp(spec),
        }
    }
}

fn made(spec: &DeviceSpec, steering: Option<&Programs>) -> Result<Opened, OpenError> {
    let device = tun::open(spec)?;
    let offloads = device.offloads();
    let refused = steering.and_then(|programs| programs.attach(&device).err());
    Ok(Opened {
        warnings: refused.map(|error| error.to_string()).into_iter().collect(),
        name: device.name,
        ifindex: device.ifindex,
        queues: boxed(device.queues),
        mac: None,
        offloads,
        mode: None,
    })
}

fn found(spec: &PacketSpec, steering: Option<&Programs>) -> Result<Opened, OpenError> {
    let device = packet::open(spec, steering)?;
    let offloads = device.queues.first().map(Queue::offloads);
    let offloads = offloads.unwrap_or_default();
    Ok(Opened {
        name: device.name,
        ifindex: device.ifindex,
        queues: boxed(device.queues),
        mac: Some(device.mac),
        offloads,
        mode: None,
        warnings: device.warnings,
    })
}

/// A card chooses the queue of a frame itself, so there is nothing to steer.
fn by_xdp(spec: &XdpSpec) -> Result<Opened, OpenError> {
    let device = xdp::open(spec)?;
    Ok(Opened {
        name: device.name,
        ifindex: device.ifindex,
        queues: boxed(device.queues),
        mac: Some(device.mac),
        offloads: Caps::NONE,
        mode: Some(device.mode),
        warnings: device.warnings,
    })
}

fn boxed<Q: Queue + 'static>(queues: Vec<Q>) -> Vec<Box<dyn Queue>> {
    let boxed = queues.into_iter().map(|q| Box::new(q) as Box<dyn Queue>);
    boxed.collect()
}
