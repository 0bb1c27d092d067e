//! The ports of a configuration: which devices they are to be, and what the core is told of them.

use super::super::secrets::Secrets;
use super::Plan;
use crate::config;
use crate::config::PortType;
use arp::Mac;
use flowtable::KeyV6;
use flowtable::bucket_hash;
use route::FibId;
use route::PortId;
use stack::io::Queue;
use stack::io::device::Opened;
use stack::io::device::Spec;
use stack::io::packet::PacketSpec;
use stack::io::tun;
use stack::io::tun::DeviceSpec;
use stack::io::xdp::XdpSpec;
use stack::ports::Layer;
use stack::ports::Port;
use stack::ports::PortAddr;
use stack::ports::Ports;
use stack::ports::Vlan;

/// `queues[worker][port]`.
type Queues = Vec<Vec<Box<dyn Queue>>>;

impl<'a> Plan<'a> {
    /// What the ports' devices are to be, in their order; VLANs, which come behind them, have none.
    pub(in crate::daemon) fn devices(&self) -> Vec<Spec> {
        let ports = self.config.ports.iter();
        ports.filter_map(|port| self.device(port)).collect()
    }

    fn device(&self, port: &config::Port) -> Option<Spec> {
        Some(match port.kind {
            PortType::Tun => Spec::Made(self.made(port, tun::Kind::Tun)),
            PortType::Tap => Spec::Made(self.made(port, tun::Kind::Tap)),
            PortType::Packet => Spec::Found(self.found(port)),
            PortType::Xdp => Spec::Xdp(XdpSpec {
                on: self.found(port),
                mode: port
                    .xdp_mode
                    .as_ref()
                    .map_or_else(Default::default, |mode| mode.value),
                // Who writes the number down means it.
                some_queues: port.queues.is_some(),
            }),
            PortType::Vlan => return None,
        })
    }

    /// A card that passes on tagged frames only to who asked for their VLAN passes on all when it is promiscuous.
    fn found(&self, port: &config::Port) -> PacketSpec {
        let vlans = || self.vlans_of(&port.name.value);
        let told = port.promiscuous.as_ref().map(|on| on.value);
        let addrs = vlans().chain([port]).flat_map(|port| &port.addresses);
        PacketSpec {
            queues: self.most,
            mtu: port.mtu.value,
            mac: port.mac.as_ref().map(|mac| mac.value),
            addrs: addrs.map(|a| a.value.address).collect(),
            promiscuous: told.unwrap_or_else(|| vlans().next().is_some()),
            up: port.up,
            ..PacketSpec::new(&port.name.value)
        }
    }

    fn vlans_of(&self, parent: &'a str) -> impl Iterator<Item = &'a config::Port> {
        let of_parent = move |port: &&config::Port| {
            let vlan = port.vlan.as_ref();
            vlan.is_some_and(|vlan| vlan.parent.value == parent)
        };
        self.config.ports.iter().filter(of_parent)
    }

    fn made(&self, port: &config::Port, kind: tun::Kind) -> DeviceSpec {
        let addresses = port
            .host_addresses
            .iter()
            .map(|a| (a.value.address, a.value.length));
        DeviceSpec {
            queues: self.most,
            mtu: port.mtu.value,
            up: port.up,
            offload: port.has_offload(),
            host_addrs: addresses.collect(),
            ..DeviceSpec::new(kind, &port.name.value)
        }
    }

    /// Gives each worker its queue of every device, and the core its ports.
    pub(in crate::daemon) fn ports(
        &self,
        devices: Vec<Opened>,
        secrets: &Secrets,
    ) -> (Queues, Ports) {
        let mut queues: Queues = (0..self.most).map(|_| Vec::new()).collect();
        let mut ports = Vec::with_capacity(devices.len());
        for ((id, config), device) in (0..).map(PortId).zip(&self.config.ports).zip(devices) {
            ports.push(port(id, config, device.name, device.mac, secrets));
            for (mine, queue) in queues.iter_mut().zip(device.queues) {
                mine.push(queue);
            }
        }
        (queues, self.with_vlans(ports, secrets))
    }

    /// The ports as they would be, without devices.
    pub(in crate::daemon) fn ports_alone(&self, secrets: &Secrets) -> Ports {
        let named = (0..).map(PortId).zip(&self.config.ports);
        let devices = named.filter(|(_, of)| of.vlan.is_none());
        let ports = devices.map(|(id, of)| port(id, of, of.name.value.clone(), None, secrets));
        self.with_vlans(ports.collect(), secrets)
    }

    /// The VLANs behind the ports that have devices.
    fn with_vlans(&self, mut ports: Vec<Port>, secrets: &Secrets) -> Ports {
        let named = (0..).map(PortId).zip(&self.config.ports);
        for (id, of) in named.skip(ports.len()) {
            let parent = of.vlan.as_ref().and_then(|vlan| {
                let parent = ports.iter().find(|port| port.name == vlan.parent.value)?;
                let (parent, vid) = (parent.clone(), vlan.vid.value);
                Some((
                    parent.layer,
                    Vlan {
                        parent: parent.id,
                        vid,
                    },
                ))
            });
            let port = port(id, of, of.name.value.clone(), None, secrets);
            // The configuration's check has seen to it that there is one.
            ports.extend(parent.map(|(layer, vlan)| Port {
                layer,
                vlan: Some(vlan),
                ..port
            }));
        }
        Ports(ports)
    }
}

/// `has` is the hardware address that the device has, if it is one that was there.
fn port(
    id: PortId,
    config: &config::Port,
    device: String,
    has: Option<Mac>,
    secrets: &Secrets,
) -> Port {
    let told = config.mac.as_ref().map(|mac| mac.value);
    let layer = match config.kind {
        PortType::Tun => Layer::L3,
        PortType::Tap | PortType::Packet | PortType::Xdp | PortType::Vlan => {
            let mac = told.or(has);
            Layer::L2(mac.unwrap_or_else(|| own_mac(&device, secrets)))
        }
    };
    let addrs = config.addresses.iter().map(|a| PortAddr {
        addr: a.value.address,
        len: a.value.length,
    });
    Port {
        id,
        name: device,
        fib: FibId(config.fib.value),
        layer,
        mtu: config.mtu.value,
        narrowed: None,
        up: config.up,
        addrs: addrs.collect(),
        rules: config.rules,
        vlan: None,
    }
}

/// A hardware address for a port that was given none: the same at each start, another on each machine. The keyed hash by
/// which groups choose makes it of the installation's secret, the machine's id and the port's name.
pub(super) fn own_mac(port: &str, secrets: &Secrets) -> Mac {
    let machine = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
    let (key, _) = KeyV6::new(0, 0, fold(machine.trim()), 0, fold(port), 0);
    let [first, second, third, fourth, fifth, sixth, ..] =
        bucket_hash(&secrets.group, &key).to_be_bytes();
    // One host's (even), administered locally: no maker's (IEEE 802, RFC 9542 §2.1).
    Mac([first & 0xfc | 0x02, second, third, fourth, fifth, sixth])
}

/// FNV-1a, 128 bits: tells texts apart, keeps no secret.
fn fold(text: &str) -> u128 {
    const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    text.bytes().fold(OFFSET, |hash, byte| {
        (hash ^ u128::from(byte)).wrapping_mul(PRIME)
    })
}
