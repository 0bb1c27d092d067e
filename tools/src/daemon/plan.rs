//! The configuration as what `stack` is built from: devices, setup, first routes, checks.

mod ports;

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
use stack::Control;
use stack::Host;
use stack::Now;
use stack::Setup;
use stack::host::Check;
use stack::host::CheckId;
use stack::icmp::Rates;
use stack::io::device::Spec;
use stack::io::memfd::Taken;
use stack::io::poll;
use stack::io::poll::Clock;
use stack::io::run::RunConfig;
use stack::io::steer::Steering;
use stack::path::FlowTables;
use stack::ports::Ports;
use stack::slots::even_slots;
use std::path::Path;

/// Bytes in a packet buffer beside the packet: a link header, with room to spare.
const LINK_ROOM: usize = 64;

/// Workers at most, as the configuration allows.
const MAX_WORKERS: usize = 256;

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
            verify_moves: times.verify_moves,
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

#[cfg(test)]
mod tests;
