//! Flowgate's daemon in the gateway's place, configured by a file and driven by its command line.

use super::judge::Judge;
use super::plan::{self, Family};
use super::process::{Process, Ran};
use super::{CLIENT_PORT, Lab, PATIENCE, RACK_PORT, Wires, binary, eventually};
use nix::sys::signal::Signal;
use serde_json::Value;
use stack::io::xdp::Mode;
use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// How often and how far apart a daemon at rest is looked at.
const REST_LOOKS: u32 = 10;
const REST_WAIT: Duration = Duration::from_millis(100);

/// A running daemon; ended when this is dropped, and what it sent judged then ([`Judge`]).
#[derive(Debug)]
pub struct Gateway<'a> {
    lab: &'a Lab,
    process: Process,
    /// Its configuration.
    pub config: PathBuf,
    /// Its control socket.
    pub socket: PathBuf,
    // Behind the process: judged when it has ended.
    judge: Option<Judge<'a>>,
}

impl<'a> Gateway<'a> {
    /// Starts a daemon with two workers whose service has these servers as next hops, puts it in front
    /// of the rack, and waits until it has heard from each of them.
    ///
    /// # Panics
    /// It does not come up.
    pub fn start(lab: &'a Lab, servers: &[usize]) -> Self {
        Self::start_with(lab, servers, "")
    }

    /// As [`Self::start`], with further lines of `[gateway]`.
    ///
    /// # Panics
    /// It does not come up.
    pub fn start_with(lab: &'a Lab, servers: &[usize], more: &str) -> Self {
        let socket = lab.scratch.path("control.sock");
        let config = lab
            .scratch
            .write("flowgate.toml", &config(lab, servers, &socket, more));
        let args = ["run", "--config", &*config.to_string_lossy()];
        let judge = Judge::new(&lab.scratch).map(|judge| match lab.spec.wires {
            Wires::Made => judge.bare(lab.client_end()),
            Wires::Cables | Wires::Xdp(_) => judge.ethernet(lab.client_end()),
        });
        let judge = judge.map(|judge| judge.ethernet(lab.rack_end()));
        let process = lab.scratch.start(None, binary::flowgate(), &args, &[]);
        let mut gateway = Self {
            lab,
            process,
            config,
            socket,
            judge,
        };
        let up = eventually(|| gateway.cli("status").status.success() || !gateway.is_running());
        assert!(up && gateway.is_running(), "no daemon: {}", gateway.log());
        lab.segment.attach(&lab.scratch, lab.rack_end());
        lab.route_clients();
        let knows_all = eventually(|| gateway.knows(servers));
        assert!(
            knows_all,
            "next hops: {}\n{}",
            gateway.ask("netstat -o"),
            gateway.log()
        );
        gateway
    }

    /// Runs one of Flowgate's commands, its words separated by blanks.
    ///
    /// # Panics
    /// It does not end.
    pub fn cli(&self, words: &str) -> Ran {
        self.start_cli(words).finish(PATIENCE)
    }

    /// Starts a command that goes on, such as a monitor.
    ///
    /// # Panics
    /// It cannot be started.
    pub fn start_cli(&self, words: &str) -> Process {
        let socket = self.socket.to_string_lossy();
        let args: Vec<_> = ["--socket", &*socket]
            .into_iter()
            .chain(words.split_whitespace())
            .collect();
        self.lab.scratch.start(None, binary::flowgate(), &args, &[])
    }

    /// What a command prints, if it succeeds.
    ///
    /// # Panics
    /// It does not.
    pub fn tell(&self, words: &str) -> String {
        self.cli(words).success()
    }

    /// What a command answers with `--json`.
    ///
    /// # Panics
    /// It fails, or that is no JSON.
    pub fn ask(&self, words: &str) -> Value {
        let text = self.tell(&format!("--json {words}"));
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("'{words}' answers {text}: {e}"))
    }

    /// A command on the service's route of each family, such as `add` or `change`; `rest` follows the
    /// server's address.
    ///
    /// # Panics
    /// It fails.
    pub fn route(&self, verb: &str, server: usize, rest: &str) {
        for family in self.lab.families() {
            let (service, gateway) = (plan::service_net(family), plan::server(family, server));
            self.tell(&format!("route {verb} {service} {gateway} {rest}"));
        }
    }

    /// The flows that a filter of `flow list` selects.
    ///
    /// # Panics
    /// The listing fails or lacks what every flow has.
    pub fn flows(&self, filter: &str) -> Vec<Flow> {
        let listed = self.ask(&format!("flow list {filter}"));
        let flows = listed["flows"]
            .as_array()
            .unwrap_or_else(|| panic!("no flows in {listed}"));
        flows.iter().map(Flow::read).collect()
    }

    /// Whether every one of these servers is alive as a next hop in every family, and no other is.
    pub fn knows(&self, servers: &[usize]) -> bool {
        let mut wanted: Vec<_> = self
            .lab
            .families()
            .into_iter()
            .flat_map(|family| {
                servers
                    .iter()
                    .map(move |&server| plan::server(family, server))
            })
            .collect();
        let mut alive = self.nexthops_alive();
        wanted.sort();
        alive.sort();
        wanted == alive
    }

    fn nexthops_alive(&self) -> Vec<IpAddr> {
        let heard: Vec<IpAddr> = ["arp -an", "ndp -an"]
            .into_iter()
            .flat_map(|words| list(&self.ask(words), "neighbours"))
            .filter(|neighbour| neighbour["mac"].is_string())
            .filter_map(|neighbour| address(&neighbour["address"]))
            .collect();
        let nexthops = list(&self.ask("netstat -o"), "nexthops").into_iter();
        let gateways = nexthops
            .filter(|nexthop| nexthop["health"] == "up")
            .filter_map(|nexthop| address(&nexthop["gateway"]));
        gateways.filter(|gateway| heard.contains(gateway)).collect()
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// It has ended.
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// What it sends may be wrong where tshark's display filter `filter` says so, because of `reason`: a router passes on as it
    /// is what a test sends wrong.
    pub fn excuse(&mut self, filter: &str, reason: &str) {
        if let Some(judge) = &mut self.judge {
            judge.excuse(filter, reason);
        }
    }

    /// Waits for its end; what it sent is judged then.
    ///
    /// # Panics
    /// It does not end, or sent something wrong.
    pub fn finish(self) -> Ran {
        self.process.finish(PATIENCE)
    }

    /// Whether it runs.
    pub fn is_running(&mut self) -> bool {
        self.process.is_running()
    }

    /// What it has open, a line a descriptor, sorted.
    ///
    /// # Panics
    /// It has ended.
    pub fn descriptors(&self) -> Vec<String> {
        let place = format!("/proc/{}/fd", self.process.id());
        let open = std::fs::read_dir(place).expect("its descriptors");
        // One that was closed since has no name any more.
        let mut names: Vec<_> = open
            .filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok())
            .map(|name| unnumbered(&name.to_string_lossy()))
            .collect();
        names.sort_unstable();
        names
    }

    /// The same while it is asked for nothing: a client that has just gone, or a file being written, may be open for a moment.
    ///
    /// # Panics
    /// As [`descriptors`](Self::descriptors).
    pub fn descriptors_at_rest(&self) -> Vec<String> {
        let looks = (0..REST_LOOKS).map(|_| {
            std::thread::sleep(REST_WAIT);
            self.descriptors()
        });
        looks.min_by_key(Vec::len).unwrap_or_default()
    }

    /// What it logged.
    pub fn log(&self) -> String {
        format!("{}{}", self.process.stdout(), self.process.stderr())
    }
}

/// A descriptor's name without the number that tells it from others of its kind.
fn unnumbered(name: &str) -> String {
    let numbered = name.strip_suffix(']').unwrap_or(name);
    numbered
        .trim_end_matches(|c: char| c.is_ascii_digit())
        .to_owned()
}

/// One flow of `flow list`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flow {
    /// The client's end.
    pub client: SocketAddr,
    /// The service's end.
    pub service: SocketAddr,
    /// To whom its packets to the service go, if that holds.
    pub gateway: Option<IpAddr>,
    /// Packets to the service and back.
    pub packets: (u64, u64),
}

impl Flow {
    /// Of a connection that it picked up in the middle, Flowgate takes whom it heard first for the
    /// client; here the client is always the laboratory's.
    fn read(flow: &Value) -> Self {
        let ends = ["client", "server"].map(|end| {
            let text = flow[end].as_str().unwrap_or_default();
            text.parse::<SocketAddr>()
                .unwrap_or_else(|_| panic!("no {end} in {flow}"))
        });
        let directions = ["forward", "reverse"].map(|direction| &flow[direction]);
        let packets = directions.map(|direction| {
            direction["packets"]
                .as_u64()
                .unwrap_or_else(|| panic!("no packets in {flow}"))
        });
        let client = usize::from(ends[0].ip() != plan::client(Family::of(ends[0].ip())));
        let nexthop = &directions[client]["nexthop"];
        Self {
            client: ends[client],
            service: ends[1 - client],
            gateway: address(&nexthop["gateway"]).filter(|_| nexthop["state"] == "live"),
            packets: (packets[client], packets[1 - client]),
        }
    }
}

/// The elements of a list in an answer; none if it has no such list.
pub fn list(answer: &Value, name: &str) -> Vec<Value> {
    answer[name].as_array().cloned().unwrap_or_default()
}

fn address(value: &Value) -> Option<IpAddr> {
    value.as_str()?.parse().ok()
}

fn config(lab: &Lab, servers: &[usize], socket: &std::path::Path, more: &str) -> String {
    let families = lab.families();
    let addresses =
        |of: fn(Family) -> IpAddr| quoted(families.iter().map(|&f| plan::with_len(of(f))));
    let (client, rack, kernel) = match lab.spec.wires {
        Wires::Made => {
            let own = addresses(plan::client);
            ("tun", "tap", format!("host-addresses = {own}\n"))
        }
        Wires::Cables => ("packet", "packet", String::new()),
        Wires::Xdp(_) => ("xdp", "xdp", String::new()),
    };
    let mut text = format!(
        "[gateway]\nworkers = 2\n{more}\n[control]\nsocket = \"{}\"\n\
         [tables]\nflows-v4 = {flows}\nflows-v6 = {flows}\n\
         [icmp]\nerrors-per-address = 1000\n\
         [[port]]\nname = \"{CLIENT_PORT}\"\ntype = \"{client}\"\nmtu = {}\naddresses = {}\n{kernel}{}\
         [[port]]\nname = \"{RACK_PORT}\"\ntype = \"{rack}\"\nmtu = {}\naddresses = {}\n{}",
        socket.display(),
        lab.spec.client_mtu,
        addresses(plan::client_gateway),
        offload(lab, lab.spec.offload.0),
        lab.spec.rack_mtu,
        addresses(plan::rack_gateway),
        offload(lab, lab.spec.offload.1),
        flows = lab.spec.flows,
    );
    for &family in &families {
        let gateways = quoted(servers.iter().map(|&n| plan::server(family, n).to_string()));
        let service = plan::service_net(family);
        let _ = write!(
            text,
            "[[route]]\ndestination = \"{service}\"\ngateways = {gateways}\n"
        );
    }
    text
}

/// What is said of a port's offloads; nothing of an interface's, which are its own.
fn offload(lab: &Lab, is_on: bool) -> String {
    let word = if is_on { "on" } else { "off" };
    match lab.spec.wires {
        Wires::Xdp(Mode::Generic) => "xdp-mode = \"generic\"\n".into(),
        Wires::Xdp(_) => String::new(),
        Wires::Made => format!("offload = \"{word}\"\n"),
        Wires::Cables => String::new(),
    }
}

/// A TOML list of strings.
fn quoted(words: impl Iterator<Item = String>) -> String {
    format!("{:?}", words.collect::<Vec<_>>())
}
