//! A gateway that runs and is served: workers, host, control, socket. The daemon and the demo start it alike.
//!
//! ```text
//! fg-worker0..n, fg-host   packets and neighbours (stack::io::run)
//! fg-control               owns the Backend: routes, health, what the socket asks
//! fg-socket, clients       the control socket
//! ```
//!
//! Dropping a [`Gate`] ends control first, so that clients, monitors too, are told that the gateway stops; then the socket,
//! then the packet path. Every thread is joined and the socket's file removed. It installs no signal handler and no subscriber for its log.

use super::backend::About;
use super::backend::DeviceCell;
use super::backend::Live;
use super::sandbox::Sandbox;
use super::state::Keeper;
use crate::server::ServeError;
use crate::server::Server;
use crate::server::SocketSpec;
use crate::server::control;
use crate::server::control::Handle;
use stack::Control;
use stack::ControlError;
use stack::Gateway;
use stack::Host;
use stack::Now;
use stack::Setup;
use stack::Wakers;
use stack::io::Queue;
use stack::io::device::Spec;
use stack::io::devices::Devices;
use stack::io::devices::Keeping;
use stack::io::devices::News as DeviceNews;
use stack::io::poll::Clock;
use stack::io::run;
use stack::io::run::RunConfig;
use stack::io::run::Running;
use stack::io::steer::Programs;
use stack::io::steer::Steering;
use stack::io::wake::Waker;
use stack::io::xdp::Chosen;
use stack::offload::Caps;
use std::io;
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread::JoinHandle;

/// What a gateway is made of.
pub(crate) struct Parts {
    pub(crate) setup: Setup,
    /// `queues[worker][port]`.
    pub(crate) queues: Vec<Vec<Box<dyn Queue>>>,
    /// What each port is: `tun`, `tap`, `packet`, `xdp`, `mem`.
    pub(crate) kinds: Vec<&'static str>,
    /// By which way frames get to each port that is of type xdp; of one that is not here, none.
    pub(crate) modes: Vec<Option<Chosen>>,
    /// What each port's device takes unfinished.
    pub(crate) offloads: Vec<Caps>,
    pub(crate) run: RunConfig,
    /// The ports' devices with their interface numbers, in the ports' order; empty: nothing can become of them.
    pub(crate) devices: Vec<(Spec, u32)>,
    pub(crate) socket: SocketSpec,
    pub(crate) clock: Clock,
    /// Where groups are kept for the next start; `None`: nowhere.
    pub(crate) state_file: Option<PathBuf>,
    /// The program by which devices are steered, or why they are not.
    pub(crate) steering: Result<Steering, String>,
    /// On what memory the flow tables are, and why.
    pub(crate) flow_memory: String,
    /// What this thread and all that it starts are left with.
    pub(crate) sandbox: Sandbox,
}

/// Why a gateway does not start: one line.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error(transparent)]
    Control(#[from] ControlError),
    #[error("cannot start: {0}")]
    Thread(#[from] io::Error),
    #[error(transparent)]
    Serve(#[from] ServeError),
    #[error("{0}")]
    Install(String),
}

/// A running gateway.
pub(crate) struct Gate {
    // In the order of their ends.
    control: Option<(Handle, JoinHandle<Live>)>,
    server: Option<Server>,
    keeping: Option<Keeping>,
    running: Option<Running>,
}

/// Where each port's device is told of.
fn cells(ports: usize, modes: &[Option<Chosen>]) -> Vec<DeviceCell> {
    let mode = |port| modes.get(port).copied().flatten();
    (0..ports).map(|port| DeviceCell::of(mode(port))).collect()
}

/// Has somebody look after the devices; without, one that goes stays away.
fn look_after(
    devices: Vec<(Spec, u32)>,
    steering: Option<Programs>,
    clock: Clock,
    told: (mpsc::Sender<DeviceNews>, Waker),
) -> Option<Keeping> {
    if devices.is_empty() {
        return None;
    }
    let keeping = Devices::new(devices, steering, clock, told).and_then(Devices::start);
    keeping
        .inspect_err(|error| tracing::warn!(%error, "devices are not watched"))
        .ok()
}

/// Starts a gateway. `install` gives it its first routes and checks, before a packet can come in.
pub(crate) fn start(
    parts: Parts,
    install: impl FnOnce(&mut Control, &mut Host, Now) -> Result<(), String>,
) -> Result<Gate, StartError> {
    let Parts {
        setup,
        queues,
        kinds,
        modes,
        offloads,
        run,
        devices,
        socket,
        clock,
        state_file,
        steering,
        flow_memory,
        sandbox,
    } = parts;
    let wakers = Wakers::new(setup.all_workers())?;
    let now = Now(clock.ms());
    let Gateway {
        mut control,
        mut host,
        workers,
    } = stack::build(setup, &wakers, now)?;
    install(&mut control, &mut host, now).map_err(StartError::Install)?;
    let bound = Server::bind(&socket)?;
    // From here on a failure drops the gate, which ends what runs already.
    let mut gate = Gate {
        control: None,
        server: None,
        keeping: None,
        running: None,
    };
    let programs = steering
        .as_ref()
        .ok()
        .map(|steering| steering.programs().clone());
    let (told, news) = mpsc::channel();
    // Before any other thread: what opens devices again keeps the rights of the start, whatever the others give up.
    gate.keeping = look_after(devices, programs, clock, (told, wakers.control.clone()));
    let sandbox = sandbox.enter();
    let running = run::start(workers, queues, host, clock, &run)?;
    let about = About {
        devices: cells(kinds.len(), &modes),
        kinds,
        offloads,
        cpus: run.cpus,
        steering: match &steering {
            Ok(_) => "on: TUN and TAP deliver packets to their flows' workers (eBPF)".into(),
            Err(why) => format!("off: {why}"),
        },
        flow_memory,
        sandbox,
    };
    tracing::info!("steering {}", about.steering);
    let mut live = Live::new(control, running.host.clone(), clock, about);
    live.hear(news);
    gate.running = Some(running);
    if let Ok(steering) = steering {
        live.steer(steering);
    }
    if let Some(file) = state_file {
        live.keep_state(Keeper::start(file)?);
    }
    let (handle, thread) = control::spawn(live, wakers.control)?;
    gate.control = Some((handle.clone(), thread));
    gate.server = Some(bound.serve(handle)?);
    Ok(gate)
}

impl Gate {
    /// Whether a thread has ended that should not have.
    pub(crate) fn has_crashed(&self) -> bool {
        self.running.as_ref().is_some_and(Running::crashed)
            || self
                .control
                .as_ref()
                .is_some_and(|(_, thread)| thread.is_finished())
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        if let Some((handle, thread)) = self.control.take() {
            handle.stop();
            // It has said so itself if it panicked.
            if let Ok(live) = thread.join() {
                live.end();
            }
        }
        drop(self.server.take());
        if let Some(keeping) = self.keeping.take() {
            keeping.stop();
        }
        if let Some(running) = self.running.take() {
            running.stop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client;
    use crate::client::Client;
    use crate::wire::message::CallError;
    use crate::wire::message::Reason;
    use crate::wire::route::Event;
    use crate::wire::route::RouteDone;
    use crate::wire::stats::Status;
    use serde_json::json;
    use stack::io::Tx;
    use stack::io::mem;
    use stack::pkt::Pkt;
    use stack::pkt::Pool;
    use stack::ports::Layer;
    use stack::ports::Port;
    use stack::ports::Ports;
    use std::os::fd::BorrowedFd;
    use std::path::Path;

    /// A device driver with a bug.
    struct Buggy;

    impl Queue for Buggy {
        fn rx_burst(&mut self, _: &mut Pool, _: &mut Vec<Pkt>, _: usize) -> io::Result<usize> {
            panic!("a bug, on purpose");
        }

        fn tx(&mut self, _: &[u8]) -> Tx {
            Tx::Refused
        }

        fn fd(&self) -> Option<BorrowedFd<'_>> {
            None
        }

        fn truncated(&self) -> u64 {
            0
        }
    }

    fn parts(queue: Box<dyn Queue>, socket: &Path) -> Parts {
        let port = Port {
            id: route::PortId(0),
            name: "uplink".into(),
            fib: route::FibId(0),
            layer: Layer::L3,
            mtu: 1500,
            narrowed: None,
            up: true,
            addrs: Vec::new(),
            rules: Default::default(),
            vlan: None,
        };
        Parts {
            setup: Setup {
                ports: Ports(vec![port]),
                flows_v4: 4096,
                flows_v6: 4096,
                buffers: 64,
                ..Setup::default()
            },
            queues: vec![vec![queue]],
            kinds: vec!["mem"],
            modes: Vec::new(),
            offloads: Vec::new(),
            run: RunConfig::default(),
            devices: Vec::new(),
            socket: SocketSpec {
                path: socket.into(),
                group: None,
            },
            clock: Clock::start(),
            state_file: None,
            steering: Err("a test".into()),
            flow_memory: "a test's".into(),
            sandbox: Sandbox::Off("a test"),
        }
    }

    fn socket(name: &str) -> std::path::PathBuf {
        std::env::temp_dir().join(format!("flowgate-{name}-{}.sock", std::process::id()))
    }

    #[test]
    fn a_gate_is_served_while_it_lives_and_leaves_nothing() {
        let path = socket("gate");
        let (mut queues, _peers) = mem::try_pair(1, 16, 1500).unwrap();
        let parts = parts(Box::new(queues.remove(0)), &path);
        let gate = start(parts, |_, _, _| Ok(())).unwrap();
        let mut client = Client::connect(&path).unwrap();
        let status: Status = client.call("Status", &json!({})).unwrap();
        assert_eq!(status.workers.len(), 1);
        assert!(!gate.has_crashed());
        drop(gate);
        assert!(!path.exists());
        assert!(client.call::<Status>("Status", &json!({})).is_err());
    }

    #[test]
    fn a_monitor_is_told_that_the_gateway_stops() {
        let path = socket("monitored");
        let (mut queues, _peers) = mem::try_pair(1, 16, 1500).unwrap();
        let gate = start(parts(Box::new(queues.remove(0)), &path), |_, _, _| Ok(())).unwrap();
        let mut client = Client::connect(&path).unwrap();
        let (began, begins) = std::sync::mpsc::channel();
        let monitor = std::thread::spawn(move || {
            client.call_more("RouteMonitor", &json!({}), |_: Event, _| {
                // The first one says that the monitor is there; nobody waits for the others.
                let _ = began.send(());
                true
            })
        });
        let mut other = Client::connect(&path).unwrap();
        let net: route::Prefix = "192.0.2.0/24".parse().unwrap();
        let add = json!({ "destination": net.to_string(), "paths": [{ "kind": "blackhole" }] });
        let delete = json!({ "destination": net.to_string() });
        while begins.try_recv().is_err() {
            other.call::<RouteDone>("RouteAdd", &add).unwrap();
            other.call::<RouteDone>("RouteDelete", &delete).unwrap();
        }
        drop(gate);
        let end = monitor.join().unwrap().unwrap_err();
        let told = matches!(
            &end,
            client::Error::Call(CallError::Refused(Reason::Stopping, _))
        );
        assert!(told, "{end:?}");
    }

    #[test]
    fn what_cannot_be_installed_starts_nothing() {
        let path = socket("refused");
        let (mut queues, _peers) = mem::try_pair(1, 16, 1500).unwrap();
        let parts = parts(Box::new(queues.remove(0)), &path);
        let Err(refused) = start(parts, |_, _, _| Err("a.toml:3: no".into())) else {
            panic!("it started");
        };
        assert_eq!(refused.to_string(), "a.toml:3: no");
        assert!(!path.exists());
    }

    #[test]
    fn a_thread_that_ends_by_a_fault_is_noticed() {
        let path = socket("buggy");
        let gate = start(parts(Box::new(Buggy), &path), |_, _, _| Ok(())).unwrap();
        let clock = Clock::start();
        while !gate.has_crashed() {
            assert!(clock.ms() < 10_000, "nobody noticed");
            std::thread::yield_now();
        }
        drop(gate);
        assert!(!path.exists());
    }
}
