//! A laboratory of real kernels: clients, a gateway and a rack of servers in network namespaces.
//!
//! ```text
//!   the test's namespace                                        namespaces of their own
//!   client0 ──── gateway ──── rack0 ═ bridge ═ port1 ───────── eth0  server 1
//!   (the kernel's own TCP)                   ═ port2 ───────── eth0  server 2 ...
//! ```
//!
//! Each server has an address of its own and, on `lo`, the service address that all share. The
//! gateway is Flowgate's daemon ([`gateway`]) or, to prove the laboratory itself, a kernel
//! ([`router`]). A test calls [`enter`] first: it then runs in a process and a namespace of its own,
//! so tests run beside each other, reach nothing of the machine's network, and leave nothing.
//!
//! | file | what it is |
//! |---|---|
//! | [`plan`] | who has which address |
//! | [`segment`] | the bridge and the servers' namespaces |
//! | [`gateway`], [`binary`] | Flowgate's daemon and its command line; the executable under test |
//! | [`books`] | whether the daemon's counters account for every frame |
//! | [`router`] | a kernel in the gateway's place |
//! | [`echo`], [`held`] | servers that say who they are; connections that are held and kept busy |
//! | [`rate`] | connections opened at a steady rate from many addresses |
//! | [`bulk`] | transfers large enough to meet every MTU |
//! | [`probes`] | ping, traceroute, path-MTU discovery: what every router must do |
//! | [`nginx`] | a web server in each server's namespace |
//! | [`judge`], `tap` | all that a gateway sends is recorded and judged by tshark, unasked |
//! | [`capture`] | what went over an interface, and whether it was well-formed |
//! | [`process`] | programs with a time limit that never outlive the test |
//! | `sys` | the `unsafe` of starting a program in another namespace, and of packet sockets |
//!
//! Failures panic: only tests call this. Real kernels need the real clock, so this is the one part of
//! the tests that reads it; no test asserts how fast anything is, only that it ends.

#![allow(clippy::disallowed_methods)]

pub mod access;
pub mod binary;
pub mod books;
pub mod bulk;
pub mod capture;
pub mod echo;
pub mod gateway;
pub mod held;
pub mod judge;
pub mod nginx;
pub mod plan;
pub mod probes;
pub mod process;
pub mod rate;
pub mod router;
pub mod segment;
pub mod stall;
pub(crate) mod sys;
mod tap;

use bulk::BulkServers;
use echo::EchoServers;
use plan::Family;
use process::{Ran, Scratch};
use segment::Segment;
use stack::io::netlink::Netlink;
use stack::io::netns::{has_ipv6, in_child_namespace, raise_fd_limit, sysctl_write};
use stack::io::xdp;
use std::env;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

/// The interface behind which the clients are.
pub const CLIENT_PORT: &str = "client0";
/// The gateway's interface on the rack's bridge.
pub const RACK_PORT: &str = "rack0";

/// The clients' end of the gateway's cable, where there is one.
pub const CLIENT_END: &str = "client1";
/// The bridge's end of the gateway's cable, where there is one.
pub const RACK_END: &str = "rack1";

/// The program under test, among the tools that a test needs.
pub const FLOWGATE: &str = "flowgate";

/// Longer than anything here takes on a busy machine; reaching it is a failure.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The whole name of the test that it stands in, as `cargo test` prints it.
#[macro_export]
macro_rules! test_name {
    () => {{
        fn here() {}
        $crate::lab::name_of(std::any::type_name_of_val(&here))
    }};
}

/// What `cargo test` calls the test that has this function in it: its path without the program's name.
#[doc(hidden)]
pub fn name_of(inner: &'static str) -> &'static str {
    let test = inner.split_once("::").map_or(inner, |(_, path)| path);
    test.strip_suffix("::here").unwrap_or(test)
}

/// Runs the calling test in a namespace of its own, if this machine has the tools that it needs;
/// [`FLOWGATE`] is built if need be. True inside, where the test's body is to run. `test` is
/// [`test_name!`](crate::test_name).
///
/// # Panics
/// The test failed inside; or it cannot run on this machine and the environment says `CI=true`.
/// (Without that, what is missing is printed and the test counts as passed.)
#[must_use = "the body runs only inside"]
pub fn enter(test: &str, tools: &[&str]) -> bool {
    if tools.contains(&FLOWGATE) {
        // Outside, where there is time and cargo has a network.
        binary::flowgate();
    }
    has_tools(test, tools) && in_child_namespace(test).is_inside()
}

/// Whether these programs are installed; if not, that `what` is skipped is said, or fails under CI.
fn has_tools(what: &str, tools: &[&str]) -> bool {
    let tools = tools.iter().filter(|tool| **tool != FLOWGATE);
    let missing: Vec<_> = tools.filter(|tool| find_tool(tool).is_none()).collect();
    if !missing.is_empty() {
        skip(what, &format!("not installed: {missing:?}"));
    }
    missing.is_empty()
}

/// Says that a test, or a part of one, cannot run on this machine.
///
/// # Panics
/// The environment says `CI=true`.
pub fn skip(test: &str, reason: &str) {
    let ci = env::var_os("CI").is_some_and(|value| value == "true" || value == "1");
    assert!(!ci, "'{test}' may not be skipped under CI: {reason}");
    // Straight to the terminal, past libtest's capture: a skipped test looks like a passed one.
    let _ = writeln!(std::io::stderr(), "\n*** SKIPPED {test}: {reason}");
}

/// Where a program is; also in the directories for administrators, which an ordinary user's `PATH`
/// may lack, and in that of FRR's daemons, which no `PATH` has.
fn find_tool(tool: &str) -> Option<std::path::PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<_> = env::split_paths(&path).collect();
    places.extend(["/usr/sbin", "/sbin", "/usr/lib/frr"].map(Into::into));
    places
        .into_iter()
        .map(|place| place.join(tool))
        .find(|file| file.is_file())
}

/// What a laboratory is to be like.
#[derive(Clone, Copy, Debug)]
pub struct LabSpec {
    /// How many servers.
    pub servers: usize,
    /// MTU between the clients and the gateway, in bytes.
    pub client_mtu: u32,
    /// MTU of the rack, in bytes.
    pub rack_mtu: u32,
    /// Places of the gateway's flow table, a family.
    pub flows: u32,
    /// Whether the gateway's port of the clients, and of the rack, leaves checksums and segments to the other side. Off where the
    /// frames themselves are judged.
    pub offload: (bool, bool),
    /// What the gateway's ports are.
    pub wires: Wires,
}

/// What the gateway's ports are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wires {
    /// A TUN device for the clients, a TAP device in the rack's bridge; the gateway makes them.
    Made,
    /// Ends of cables (veth), by packet sockets; the other ends are [`CLIENT_END`] and one in the rack's bridge.
    Cables,
    /// The same by XDP sockets, in this mode; the cables have a queue for each of the gateway's two workers.
    Xdp(xdp::Mode),
}

impl Default for LabSpec {
    fn default() -> Self {
        Self {
            servers: 4,
            client_mtu: 1500,
            rack_mtu: 1500,
            flows: 65_536,
            offload: (true, true),
            wires: Wires::Made,
        }
    }
}

/// A rack of servers, its services running; a gateway is still to be put in front.
#[derive(Debug)]
pub struct Lab {
    // In the order in which they are to end.
    echo: EchoServers,
    bulk: BulkServers,
    /// The rack.
    pub segment: Segment,
    /// What it was made from.
    pub spec: LabSpec,
    /// Files of this test; removed with the laboratory.
    pub scratch: Scratch,
}

impl Lab {
    /// Builds the rack in the calling thread's namespace, which must be the test's own.
    ///
    /// # Panics
    /// The kernel refuses a part of it.
    pub fn new(spec: LabSpec) -> Self {
        raise_fd_limit();
        // One connection a client port, and wrk uses them up fast.
        sysctl_write("net/ipv4/ip_local_port_range", "10000 60999").expect("a port range");
        // Ordinary users' ping; who is root in a namespace only has this group.
        sysctl_write("net/ipv4/ping_group_range", "0 0").expect("ping for group 0");
        let scratch = Scratch::new();
        let segment = Segment::build(&scratch, spec.servers, spec.rack_mtu);
        if spec.wires != Wires::Made {
            lay_cables(&scratch, &spec).expect("cables");
        }
        let (echo, bulk) = (EchoServers::start(&segment), BulkServers::start(&segment));
        Self {
            echo,
            bulk,
            segment,
            spec,
            scratch,
        }
    }

    /// The address families that this kernel has; says so when it lacks one.
    pub fn families(&self) -> Vec<Family> {
        let mut families = vec![Family::V4];
        if has_ipv6() {
            families.push(Family::V6);
        } else {
            let _ = writeln!(
                std::io::stderr(),
                "\n*** this kernel has no IPv6: IPv4 only"
            );
        }
        families
    }

    /// How many echo messages each server answered, by server.
    pub fn echoes_served(&self) -> Vec<u64> {
        self.echo.served()
    }

    /// How many bytes the bulk servers took in without an error.
    pub fn bulk_received(&self) -> u64 {
        self.bulk.received()
    }

    /// Runs a program in the test's own namespace, to its end.
    ///
    /// # Panics
    /// It cannot be started, or takes longer than [`PATIENCE`].
    pub fn run(&self, program: impl AsRef<Path>, args: &[&str]) -> Ran {
        self.scratch.run(None, program.as_ref(), args, PATIENCE)
    }

    /// The clients' own interface.
    pub fn client_end(&self) -> &'static str {
        match self.spec.wires {
            Wires::Made => CLIENT_PORT,
            Wires::Cables | Wires::Xdp(_) => CLIENT_END,
        }
    }

    /// The interface by which the gateway is in the rack's bridge.
    pub fn rack_end(&self) -> &'static str {
        match self.spec.wires {
            Wires::Made => RACK_PORT,
            Wires::Cables | Wires::Xdp(_) => RACK_END,
        }
    }

    /// The kernel's routes to all that is behind the gateway, and wider windows of time for it.
    fn route_clients(&self) {
        for family in self.families() {
            for net in [plan::rack_net(family), plan::service_net(family)] {
                let via = plan::client_gateway(family).to_string();
                let args = ["route", "add", &net, "via", &via, "dev", self.client_end()];
                self.run("ip", &args).success();
            }
        }
    }
}

/// The cables between the gateway's ports, which have no address, and its neighbours.
fn lay_cables(scratch: &Scratch, spec: &LabSpec) -> std::io::Result<()> {
    let netlink = Netlink::open()?;
    let cables = [
        (CLIENT_PORT, CLIENT_END, spec.client_mtu),
        (RACK_PORT, RACK_END, spec.rack_mtu),
    ];
    for (near, far, mtu) in cables {
        lay_cable(scratch, spec.wires, near, far);
        for end in [near, far] {
            if end != CLIENT_END {
                // On a kernel without IPv6 there is nothing to turn off.
                let _ = sysctl_write(&format!("net/ipv6/conf/{end}/disable_ipv6"), "1");
            }
            let index = netlink.link_index(end)?;
            netlink.set_mtu(index, mtu)?;
            netlink.set_up(index, true)?;
        }
    }
    let end = netlink.link_index(CLIENT_END)?;
    netlink.addr_add(end, plan::client(Family::V4), plan::net_len(Family::V4))?;
    if has_ipv6() {
        netlink.addr_add(end, plan::client(Family::V6), plan::net_len(Family::V6))?;
    }
    Ok(())
}

/// One cable, of the kind that the gateway's ports want.
///
/// # Panics
/// There is one of that name.
pub fn lay_cable(scratch: &Scratch, wires: Wires, near: &str, far: &str) {
    let run = |program: &str, words: &str| {
        let words: Vec<_> = words.split_whitespace().collect();
        let ran = scratch.run(None, Path::new(program), &words, PATIENCE);
        ran.success();
    };
    let wide = match wires {
        Wires::Xdp(_) => "numrxqueues 2 numtxqueues 2",
        Wires::Made | Wires::Cables => "",
    };
    run(
        "ip",
        &format!("link add {near} {wide} type veth peer name {far} {wide}"),
    );
    if wires == Wires::Xdp(xdp::Mode::Generic) {
        // Behind the driver super-packets come as they are, and have no room in a frame.
        run("ethtool", &format!("-K {far} tso off gso off"));
    }
}

/// Whether XDP programs may be loaded here; if not, `test` is skipped.
///
/// # Panics
/// The environment says `CI=true`, and they may not.
pub fn has_xdp(test: &str) -> bool {
    let may = xdp::may_load();
    if let Err(error) = &may {
        skip(test, &error.to_string());
    }
    may.is_ok()
}

/// Asks until the answer is yes, for [`PATIENCE`] at most; says whether it was.
pub fn eventually(mut answer: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if answer() {
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
