//! The gateway between the two sides: the real stack with two ports, its control socket served as the
//! daemon serves it.

use std::path::{Path, PathBuf};

use arp::Mac;
use flowtable::{GroupSecret, TableSecret};
use route::PortId;
use stack::Setup;
use stack::io::Queue;
use stack::io::mem::MemQueue;
use stack::io::poll::Clock;
use stack::io::run::RunConfig;
use stack::io::tun::Device;
use stack::ports::{Layer, Port, PortAddr, Ports};

use super::addressing::{
    CLIENT_GATEWAY4, CLIENT_GATEWAY6, CLIENT_LEN4, CLIENT_LEN6, RACK_GATEWAY_MAC, RACK_GATEWAY4,
    RACK_GATEWAY6, RACK_LEN4, RACK_LEN6,
};
use super::operator::SocketOperator;
use crate::daemon::gate::{self, Gate, Parts};
use crate::daemon::sandbox::Sandbox;
use crate::server::SocketSpec;

/// What the gateway is put between.
pub(crate) struct Wires {
    pub(crate) device: Device,
    pub(crate) rack: Vec<MemQueue>,
    pub(crate) has_v6: bool,
    pub(crate) mtu: u32,
    pub(crate) socket: PathBuf,
    pub(crate) clock: Clock,
}

/// The running gateway; dropping it ends its threads and removes its socket.
pub(crate) struct Running {
    _gate: Gate,
}

/// Starts the gateway, and connects its operator.
pub(crate) fn start(wires: Wires, program: &Path) -> Result<(Running, SocketOperator), String> {
    let Wires {
        device,
        rack,
        has_v6,
        mtu,
        socket,
        clock,
    } = wires;
    let ports = ports(&device.name, has_v6, mtu);
    let workers = rack.len();
    let clients = device.queues.into_iter();
    let queues = clients
        .zip(rack)
        .map(|(client, rack)| -> Vec<Box<dyn Queue>> { vec![Box::new(client), Box::new(rack)] });
    let parts = Parts {
        setup: setup(workers, ports)?,
        queues: queues.collect(),
        kinds: vec!["tun", "mem"],
        modes: Vec::new(),
        offloads: Vec::new(),
        run: RunConfig::default(),
        devices: Vec::new(),
        socket: SocketSpec {
            path: socket.clone(),
            group: None,
        },
        clock,
        state_file: None,
        steering: Err("the demo's workers learn".into()),
        flow_memory: "anonymous: the demo's tables are small".into(),
        sandbox: Sandbox::Off("the demo lives in a namespace of its own"),
    };
    let gate = gate::start(parts, |_, _, _| Ok(())).map_err(|error| error.to_string())?;
    let operator = SocketOperator::connect(program, &socket)?;
    Ok((Running { _gate: gate }, operator))
}

fn setup(workers: usize, ports: Ports) -> Result<Setup, String> {
    let mut secrets = [0; 32];
    getrandom::fill(&mut secrets).map_err(|error| format!("no randomness: {error}"))?;
    let half = |from: usize| std::array::from_fn(|i| secrets[from + i]);
    Ok(Setup {
        workers,
        ports,
        table_secret: TableSecret(half(0)),
        group_secret: GroupSecret(half(16)),
        seed: fastrand::u64(..),
        ..Setup::default()
    })
}

fn ports(device: &str, has_v6: bool, mtu: u32) -> Ports {
    let addrs = |v4: (std::net::Ipv4Addr, u8), v6: (std::net::Ipv6Addr, u8)| {
        let v4 = PortAddr {
            addr: v4.0.into(),
            len: v4.1,
        };
        let v6 = PortAddr {
            addr: v6.0.into(),
            len: v6.1,
        };
        [Some(v4), has_v6.then_some(v6)]
            .into_iter()
            .flatten()
            .collect()
    };
    let port = |id, name: &str, layer, addrs| Port {
        fib: route::FibId(0),
        id: PortId(id),
        name: name.to_owned(),
        layer,
        mtu,
        narrowed: None,
        up: true,
        addrs,
        rules: Default::default(),
        vlan: None,
    };
    let clients = addrs(
        (CLIENT_GATEWAY4, CLIENT_LEN4),
        (CLIENT_GATEWAY6, CLIENT_LEN6),
    );
    let rack = addrs((RACK_GATEWAY4, RACK_LEN4), (RACK_GATEWAY6, RACK_LEN6));
    Ports(vec![
        port(0, device, Layer::L3, clients),
        port(1, "rack", Layer::L2(Mac(RACK_GATEWAY_MAC)), rack),
    ])
}
