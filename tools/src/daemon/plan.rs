//! The configuration as what `stack` is built from: devices, setup, first routes, checks.

use super::backend::group_spec;
use super::backend::spec_with;
use super::memory;
use super::sandbox::Needs;
use super::sandbox::Sandbox;
use super::secrets::Secrets;
use crate::config;
use crate::config::Config;
use crate::config::HealthCheck;
use crate::config::PortType;
use crate::wire::group::GroupAdd;
use crate::wire::route::PathKind;
use crate::wire::route::PathSpec;
use arp::Mac;
use flowtable::KeyV6;
use flowtable::bucket_hash;
use route::FibId;
use route::PortId;
use stack::Control;
use stack::Host;
use stack::Now;
use stack::Setup;
use stack::host::Check;
use stack::host::CheckId;
use stack::icmp::Rates;
use stack::io::Queue;
use stack::io::device::Opened;
use stack::io::device::Spec;
use stack::io::memfd::Taken;
use stack::io::packet::PacketSpec;
use stack::io::poll;
use stack::io::poll::Clock;
use stack::io::run::RunConfig;
use stack::io::steer::Steering;
use stack::io::tun;
use stack::io::tun::DeviceSpec;
use stack::io::xdp::XdpSpec;
use stack::path::FlowTables;
use stack::ports::Layer;
use stack::ports::Port;
use stack::ports::PortAddr;
use stack::ports::Ports;
use stack::ports::Vlan;
use stack::slots::even_slots;
use std::path::Path;

/// Bytes in a packet buffer beside the packet: a link header, with room to spare.
const LINK_ROOM: usize = 64;

/// Workers at most, as the configuration allows.
const MAX_WORKERS: usize = 256;

/// `queues[worker][port]`.
type Queues = Vec<Vec<Box<dyn Queue>>>;

/// What is to be started.
pub(super) struct Plan<'a> {
    file: &'a Path,
    config: &'a Config,
    workers: usize,
    /// Workers that are made, and queues of each port.
    most: usize,
}

impl<'a> Plan<'a> {
    /// The plan of the configuration that `file` holds.
    pub(super) fn new(file: &'a Path, config: &'a Config) -> Self {
        let gateway = &config.gateway;
        let cpus = if gateway.cpus.is_empty() {
            poll::cpus().len()
        } else {
            gateway.cpus.len()
        };
        let most = gateway.max_workers.unwrap_or(MAX_WORKERS);
        let workers = gateway.workers.unwrap_or_else(|| cpus.min(most));
        let workers = workers.clamp(1, MAX_WORKERS);
        Self {
            file,
            config,
            workers,
            most: gateway.max_workers.unwrap_or(workers).max(workers),
        }
    }

    /// What can only be said now that the number of workers is known.
    ///
    /// # Errors
    /// `FILE:LINE: what is wrong: what to write`.
    pub(super) fn check(&self) -> Result<(), String> {
        let queues = self
            .config
            .ports
            .iter()
            .filter_map(|port| port.queues.as_ref());
        let workers = self.most;
        match queues.clone().find(|queues| queues.value != workers) {
            None => Ok(()),
            Some(wrong) => Err(self.at(
                wrong.line,
                format!("queues = {}, but there are {workers} workers: write {workers}, or leave it out", wrong.value),
            )),
        }
    }

    /// Threads that forward, or may later.
    pub(super) fn most_workers(&self) -> usize {
        self.most
    }

    /// Bytes of a packet buffer: the largest MTU and a link header.
    pub(super) fn packet_size(&self) -> usize {
        let mtus = self.config.ports.iter().map(|port| port.mtu.value as usize);
        let largest = mtus.max().unwrap_or(0) + LINK_ROOM;
        Setup::default().packet_size.max(largest)
    }

    /// `FILE: message`
    pub(super) fn in_file(&self, message: impl std::fmt::Display) -> String {
        format!("{}: {message}", self.file.display())
    }

    /// `FILE:LINE: message`
    fn at(&self, line: usize, message: impl std::fmt::Display) -> String {
        format!("{}:{line}: {message}", self.file.display())
    }

    /// The configuration's file.
    pub(super) fn file(&self) -> &'a Path {
        self.file
    }

    /// Where groups are kept over a restart.
    pub(super) fn state_file(&self) -> &'a Path {
        &self.config.state_file
    }

    /// Where the group secret is.
    pub(super) fn secret_file(&self) -> &'a Path {
        &self.config.group_secret_file
    }

    /// What the ports' devices are to be, in their order; VLANs, which come behind them, have none.
    pub(super) fn devices(&self) -> Vec<Spec> {
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

    /// The program by which devices deliver packets to their flows' workers.
    ///
    /// # Errors
    /// Why they do not; nothing else is the worse for it.
    pub(super) fn steering(&self, tables: &FlowTables) -> Result<Steering, String> {
        self.may_steer()?;
        let steering = Steering::load(tables.v4.owner(), &even_slots(self.workers));
        steering.map_err(|error| error.to_string())
    }

    fn may_steer(&self) -> Result<(), String> {
        if self.config.gateway.steering == Some(false) {
            return Err("by the configuration".into());
        }
        if self.most == 1 {
            return Err("there is one worker".into());
        }
        let mut ports = self.config.ports.iter();
        if !ports.any(|port| matches!(port.kind, PortType::Tun | PortType::Tap)) {
            return Err("no port is a TUN or TAP device; packets of others come by the queues of their interfaces".into());
        }
        Ok(())
    }

    /// What is needed once everything is open: **whoever opens, makes or changes something later adds it to these**.
    pub(super) fn sandbox(&self, socket: &Path, state: Option<&Path>, steered: bool) -> Sandbox {
        if !self.config.sandbox {
            return Sandbox::Off("by the configuration");
        }
        Sandbox::On(Needs {
            replaced: state.map(Path::to_owned).into_iter().collect(),
            removed: vec![socket.to_owned()],
            steering: steered,
            ..Needs::default()
        })
    }

    /// Gives each worker its queue of every device, and the core its ports.
    pub(super) fn ports(&self, devices: Vec<Opened>, secrets: &Secrets) -> (Queues, Ports) {
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
    pub(super) fn ports_alone(&self, secrets: &Secrets) -> Ports {
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

    /// What the core is built from.
    pub(super) fn setup(&self, ports: Ports, secrets: &Secrets) -> Setup {
        let tables = &self.config.tables;
        let defaults = Setup::default();
        Setup {
            workers: self.workers,
            max_workers: self.most,
            ports,
            flows_v4: tables.flows_v4,
            flows_v6: tables.flows_v6,
            templates: tables.templates,
            route: self.route_limits(),
            neigh: self.neighbour_times(),
            buffers: tables.buffers,
            packet_size: self.packet_size(),
            large_buffers: self.large_buffers(),
            hold: (
                defaults.hold.0.min(tables.held_packets),
                tables.held_packets,
            ),
            fragments: (defaults.fragments.0.min(tables.fragments), tables.fragments),
            icmp: self.icmp_rates(),
            table_secret: secrets.table,
            group_secret: secrets.group,
            seed: secrets.seed,
            ..defaults
        }
    }

    /// Buffers for super-packets, a worker: none if no port brings any.
    pub(super) fn large_buffers(&self) -> usize {
        let any = self.config.ports.iter().any(config::Port::has_offload);
        if any {
            self.config.tables.large_buffers
        } else {
            0
        }
    }

    /// The flow tables, their memory touched.
    ///
    /// # Errors
    /// The line that says why they cannot be made as the configuration says.
    pub(super) fn flow_tables(&self, secrets: &Secrets, clock: &Clock) -> Result<Taken, String> {
        memory::take(&self.config.tables, secrets.table, clock)
    }

    fn route_limits(&self) -> route::Config {
        let tables = &self.config.tables;
        let defaults = route::Config::default();
        // An earlier owner is remembered for as long as any flow may be silent.
        let classes = self.config.timeout_classes.iter();
        let of_classes = classes.flat_map(|class| &class.timeouts);
        let longest = self
            .config
            .timeouts
            .iter()
            .chain(of_classes)
            .map(|(_, seconds)| *seconds)
            .max()
            .unwrap_or(0);
        route::Config {
            fibs: self.config.gateway.fibs.unwrap_or(defaults.fibs),
            max_nhops: tables.next_hops,
            max_groups: tables.groups,
            default_buckets: tables.buckets,
            max_lines: tables.group_lines,
            max_routes: tables.routes,
            max_fib_bytes: tables.fib_bytes,
            idle: defaults.idle.max(longest),
            remember: defaults.remember.max(longest),
            ..defaults
        }
    }

    fn neighbour_times(&self) -> arp::Config {
        let times = &self.config.neighbour;
        arp::Config {
            limit: self.config.tables.neighbours,
            gateway_probe_ms: times.probe_interval_ms,
            gateway_retrans_ms: times.probe_retry_ms,
            gateway_tries: times.probe_tries,
            retrans_ms: times.retry_ms,
            max_tries: times.tries,
            reachable_ms: times.lifetime_s.saturating_mul(1000),
            failed_hold_ms: times.failed_hold_s.saturating_mul(1000),
            ..arp::Config::default()
        }
    }

    fn icmp_rates(&self) -> Rates {
        let icmp = &self.config.icmp;
        let mut rates = Rates::default();
        rates.errors.per_second = icmp.errors_per_second;
        rates.source.per_second = icmp.errors_per_address;
        rates.redirects.per_second = icmp.redirects_per_address;
        rates.echo.per_second = icmp.echo_per_second;
        rates
    }

    /// What each port is, for listings.
    pub(super) fn kinds(&self) -> Vec<&'static str> {
        let vlans = self.config.ports.iter().filter(|port| port.vlan.is_some());
        let devices = self.devices();
        devices
            .iter()
            .map(Spec::kind)
            .chain(vlans.map(|_| "vlan"))
            .collect()
    }

    /// How the threads run.
    pub(super) fn run(&self) -> RunConfig {
        let gateway = &self.config.gateway;
        RunConfig {
            cpus: gateway.cpus.clone(),
            busy_poll: gateway.busy_poll,
        }
    }

    /// Timeouts, before anything names them.
    ///
    /// # Errors
    /// `FILE:LINE: why control refuses`.
    pub(super) fn timeouts(&self, control: &mut Control) -> Result<(), String> {
        for (state, seconds) in &self.config.timeouts {
            control.set_timeout(*state, *seconds);
        }
        for class in &self.config.timeout_classes {
            let config::Located { value: name, line } = class.name;
            let at = |error| self.at(line, error);
            control.add_timeouts(name).map_err(at)?;
            for (state, seconds) in &class.timeouts {
                let set = control.set_class_timeout(name, *state, *seconds);
                set.map_err(at)?;
            }
        }
        Ok(())
    }

    /// Groups, routes and health checks, before a packet can come in.
    ///
    /// # Errors
    /// `FILE:LINE: why control refuses`.
    pub(super) fn install(
        &self,
        control: &mut Control,
        host: &mut Host,
        now: Now,
    ) -> Result<(), String> {
        control.set_source_share(self.config.tables.source_share);
        for group in &self.config.groups {
            let at_line = |error| self.at(group.number.line, error);
            let (number, spec) =
                group_spec(&group_add(group)).map_err(|e| at_line(e.to_string()))?;
            let added = control.group_add(number, &spec, host, now);
            added.map_err(|error| at_line(error.to_string()))?;
        }
        for route in &self.config.routes {
            let line = route.destination.line;
            let destination = route.destination.value;
            let spec = spec_with(destination, &paths(route), None, &route.options)
                .map_err(|error| self.at(line, error))?;
            control
                .route_add(&spec, host, now)
                .map_err(|error| self.at(line, error))?;
        }
        let checks = (0..)
            .map(CheckId)
            .zip(&self.config.health)
            .map(|(id, of)| check(id, of));
        control.set_checks(checks.collect(), host);
        Ok(())
    }

    /// The start in the log.
    pub(super) fn say(&self) {
        let Config {
            gateway,
            tables,
            ports,
            groups,
            routes,
            health,
            ..
        } = self.config;
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            workers = self.workers,
            max_workers = self.most,
            cpus = ?gateway.cpus,
            busy_poll = gateway.busy_poll,
            huge_pages = false,
            "starting"
        );
        tracing::info!(
            flows_v4 = tables.flows_v4,
            flows_v6 = tables.flows_v6,
            templates = tables.templates,
            routes = tables.routes,
            next_hops = tables.next_hops,
            neighbours = tables.neighbours,
            "table limits"
        );
        for (port, kind) in ports.iter().zip(self.kinds()) {
            let addresses = port
                .addresses
                .iter()
                .map(|a| format!("{}/{}", a.value.address, a.value.length));
            let addresses = addresses.collect::<Vec<_>>().join(" ");
            let (name, mtu) = (&port.name.value, port.mtu.value);
            tracing::info!(
                name,
                kind,
                addresses,
                mtu,
                up = port.up,
                queues = if port.vlan.is_some() { 0 } else { self.most },
                "port"
            );
        }
        tracing::info!(
            groups = groups.len(),
            routes = routes.len(),
            checks = health.len(),
            "from the configuration"
        );
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
        up: config.up,
        addrs: addrs.collect(),
        rules: config.rules,
        vlan: None,
    }
}

fn paths(route: &config::Route) -> Vec<PathSpec> {
    let path = PathSpec {
        kind: route.kind,
        mtu: route.mtu,
        recursive: route.recursive,
        ..PathSpec::default()
    };
    if let Some(port) = &route.iface {
        return vec![PathSpec {
            kind: PathKind::Interface,
            port: Some(port.value.clone()),
            ..path
        }];
    }
    if route.kind != PathKind::Gateway {
        return vec![path];
    }
    by_gateways(&route.gateways, &path)
}

fn by_gateways(gateways: &[config::Located<config::GatewayOf>], like: &PathSpec) -> Vec<PathSpec> {
    let gateway = |gateway: &config::Located<config::GatewayOf>| PathSpec {
        gateway: Some(gateway.value.address),
        port: gateway.value.port.clone(),
        weight: Some(gateway.value.weight),
        ..like.clone()
    };
    gateways.iter().map(gateway).collect()
}

/// What would be asked for to have this group.
fn group_add(group: &config::Group) -> GroupAdd {
    let like = PathSpec {
        mtu: group.mtu,
        recursive: group.recursive,
        ..PathSpec::default()
    };
    GroupAdd {
        group: group.number.value,
        fib: group.fib.value,
        paths: by_gateways(&group.gateways, &like),
        options: group.options,
    }
}

fn check(id: CheckId, of: &HealthCheck) -> Check {
    Check {
        id,
        gateway: of.gateway.value,
        server: (of.address, of.port).into(),
        interval_ms: of.interval_ms,
        timeout_ms: of.timeout_ms,
        tries: of.tries,
    }
}

/// A hardware address for a port that was given none: the same at each start, another on each machine. The keyed hash by
/// which groups choose makes it of the installation's secret, the machine's id and the port's name.
fn own_mac(port: &str, secrets: &Secrets) -> Mac {
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

#[cfg(test)]
mod tests {
    use super::*;
    use flowtable::GroupSecret;
    use flowtable::TableSecret;
    use route::GroupNo;

    const FILE: &str = "flowgate.toml";

    fn config(text: &str) -> Config {
        config::parse(Path::new(FILE), text).unwrap()
    }

    fn secrets(group: u8) -> Secrets {
        Secrets {
            table: TableSecret([0; 16]),
            group: GroupSecret([group; 16]),
            seed: 0,
        }
    }

    #[test]
    fn an_address_that_nobody_gave_is_a_local_station_and_always_the_same() {
        let mac = own_mac("rack", &secrets(1));
        assert_eq!(mac, own_mac("rack", &secrets(1)));
        assert_ne!(mac, own_mac("rack2", &secrets(1)));
        assert_ne!(mac, own_mac("rack", &secrets(2)));
        assert_eq!(mac.0[0] & 3, 2);
    }

    #[test]
    fn the_example_becomes_a_setup_routes_and_checks() {
        let text = include_str!("../../../docs/flowgate.example.toml");
        let config = config(text);
        let plan = Plan::new(Path::new(FILE), &config);
        plan.check().unwrap();
        let ports = plan.ports_alone(&secrets(1));
        let setup = plan.setup(ports, &secrets(1));
        assert_eq!(setup.workers, 2);
        assert_eq!(setup.flows_v4, config.tables.flows_v4);
        let wakers = stack::Wakers::null(2);
        let mut gateway = stack::build(setup, &wakers, Now(0)).unwrap();
        plan.timeouts(&mut gateway.control).unwrap();
        plan.install(&mut gateway.control, &mut gateway.host, Now(0))
            .unwrap();
        let seven = gateway.control.group_numbered(GroupNo(7)).unwrap();
        let info = gateway.control.group_info(seven).unwrap();
        assert_eq!((info.members.len(), info.routes, info.size), (2, 1, 4096));
        for route in &config.routes {
            assert!(
                gateway
                    .control
                    .route_exact(route.destination.value)
                    .is_some()
            );
        }
    }

    #[test]
    fn only_tun_and_tap_are_steered() {
        let port = |kind: &str, name: &str| {
            format!("[[port]]\nname = \"{name}\"\ntype = \"{kind}\"\naddresses = []\n")
        };
        let may = |ports: &[String], more: &str| {
            let config = config(&format!("[gateway]\nworkers = 2\n{more}{}", ports.concat()));
            Plan::new(Path::new(FILE), &config).may_steer()
        };
        let found = [port("xdp", "eth0"), port("packet", "eth1")];
        let why = may(&found, "").unwrap_err();
        assert!(why.starts_with("no port is a TUN or TAP device"), "{why}");
        let [eth0, _] = found;
        assert_eq!(may(&[eth0, port("tap", "rack")], ""), Ok(()));
        assert_eq!(may(&[port("tun", "up")], ""), Ok(()));
        let off = may(&[port("tun", "up")], "steering = \"off\"\n");
        assert_eq!(off, Err("by the configuration".into()));
    }

    #[test]
    fn vlans_come_behind_the_devices_and_have_their_parents_hardware_address() {
        let vlan = |parent: &str, vid| {
            format!(
                "[[port]]\ntype = \"vlan\"\nparent = \"{parent}\"\nvlan = {vid}\naddresses = [\"fd00:{vid}::1/64\"]\n"
            )
        };
        let eth = "[[port]]\nname = \"eth\"\ntype = \"packet\"\naddresses = [\"fd00::1/64\"]\n";
        let tap = "[[port]]\nname = \"tap\"\ntype = \"tap\"\noffload = \"off\"\nmac = \"02:00:00:00:00:07\"\n";
        let config = config(&format!("{}{eth}{tap}{}", vlan("tap", 7), vlan("eth", 8)));
        let plan = Plan::new(Path::new(FILE), &config);
        assert_eq!(plan.kinds(), ["packet", "tap", "vlan", "vlan"]);
        let devices = plan.devices();
        let [Spec::Found(found), Spec::Made(_)] = &devices[..] else {
            panic!("{devices:?}");
        };
        let addrs: Vec<String> = found.addrs.iter().map(ToString::to_string).collect();
        assert_eq!(addrs, ["fd00:8::1", "fd00::1"], "its VLANs' groups too");
        assert!(found.promiscuous, "a card may hold tagged frames back");
        let ports = plan.ports_alone(&secrets(1)).0;
        let ids: Vec<u16> = ports.iter().map(|port| port.id.0).collect();
        assert_eq!(ids, [0, 1, 2, 3]);
        let of = |port: &Port| port.vlan.map(|vlan| (vlan.parent.0, vlan.vid));
        let vlans: Vec<_> = ports.iter().map(of).collect();
        assert_eq!(vlans, [None, None, Some((1, 7)), Some((0, 8))]);
        assert_eq!(ports[2].layer, Layer::L2(Mac([2, 0, 0, 0, 0, 7])));
        assert_eq!(ports[3].layer, ports[0].layer);
    }

    #[test]
    fn queues_that_are_no_workers_are_refused_with_their_line() {
        let text = "[gateway]\nworkers = 2\n[[port]]\nname = \"a\"\ntype = \"tun\"\nqueues = 2\naddresses = [\"10.0.0.1/24\"]\n";
        let mut config = config(text);
        Plan::new(Path::new(FILE), &config).check().unwrap();
        config.gateway.workers = Some(3);
        let wrong = Plan::new(Path::new(FILE), &config).check().unwrap_err();
        config.gateway.max_workers = Some(2);
        config.gateway.workers = Some(1);
        let plan = Plan::new(Path::new(FILE), &config);
        plan.check().unwrap();
        let setup = plan.setup(Ports::default(), &secrets(1));
        assert_eq!((setup.workers, setup.max_workers), (1, 2));
        config.gateway.workers = None;
        assert!(Plan::new(Path::new(FILE), &config).workers <= 2);
        assert_eq!(
            wrong,
            "flowgate.toml:6: queues = 2, but there are 3 workers: write 3, or leave it out"
        );
    }
}
