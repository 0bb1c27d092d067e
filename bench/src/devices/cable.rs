//! Cables between the forwarder and both ends, their near ends opened as ports.

use super::Of;
use super::place::{End, Ends, FAR, said};
use arp::Mac;
use stack::io::Queue;
use stack::io::device::{Opened, Spec};
use stack::io::packet::PacketSpec;
use stack::io::tun::Device;
use stack::io::xdp::XdpSpec;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// A device with its queues here, its other side at an end.
pub(super) struct Side {
    pub(super) name: String,
    pub(super) queues: Vec<Box<dyn Queue>>,
    /// Of one that carries frames.
    pub(super) mac: Option<Mac>,
}

impl Side {
    pub(super) fn of_tun(device: Device) -> Self {
        let queues = device.queues.into_iter();
        Self {
            name: device.name,
            queues: queues.map(|q| Box::new(q) as Box<dyn Queue>).collect(),
            mac: None,
        }
    }
}

/// A cable to either end.
pub(super) fn cables(ends: &Ends, of: Of, queues: usize) -> Result<[Side; 2], String> {
    Ok([
        cable(&ends.client, of, queues)?,
        cable(&ends.server, of, queues)?,
    ])
}

/// A name that no other cable of this process has.
fn near() -> String {
    static MADE: AtomicUsize = AtomicUsize::new(0);
    format!("near{}", MADE.fetch_add(1, Relaxed))
}

/// Lays a cable from the calling thread's namespace to an end; its near end, which is up, has the name that is returned.
pub(super) fn lay(end: &End, queues: usize) -> Result<String, String> {
    let near = near();
    let wide = format!("numrxqueues {queues} numtxqueues {queues}");
    let words = format!("link add {near} {wide} type veth peer name {FAR} {wide}");
    let made = Command::new("ip").args(words.split(' ')).status();
    if !made.map_err(said)?.success() {
        return Err(format!("ip {words}: failed"));
    }
    end.take(FAR, Some(end.router.into()))?;
    Ok(near)
}

fn cable(end: &End, of: Of, queues: usize) -> Result<Side, String> {
    let near = lay(end, queues)?;
    let on = PacketSpec {
        queues,
        ..PacketSpec::new(&near)
    };
    let spec = match of {
        Of::Xdp => Spec::Xdp(XdpSpec {
            on,
            ..XdpSpec::new(&near)
        }),
        Of::Packet | Of::Tun => Spec::Found(on),
    };
    let Opened {
        name, queues, mac, ..
    } = spec.open(None).map_err(said)?;
    Ok(Side { name, queues, mac })
}
