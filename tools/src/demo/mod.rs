//! `flowgate demo`: the real gateway on real input, and what became of every flow.
//!
//! ```text
//! clients ──────── kernel TCP ── TUN, a queue a worker ── gateway ── port in memory ── segment ── rack
//!  (driver thread)                                        (stack)                     (thread)    (smoltcp)
//!        ▲                                                   ▲
//!        └──────────── stage: script, judge, report ─────────┘ operator: flowgate route ..., control socket
//! ```
//!
//! In a private network namespace 1,000 kernel TCP connections talk to one service address while next hops are
//! added, drained, deleted, killed and brought back. Both sides are watched: what the clients see, and where
//! the gateway says each flow goes. It ends non-zero if any flow moved or broke although its next hop stays.
//!
//! | module | what it is |
//! |---|---|
//! | `addressing`, `script` | what is to happen, to whom, as plain values |
//! | `kernel`, `clients` | the client side: TUN, addresses, busy TCP connections |
//! | `segment`, `rack` | the server side: smoltcp hosts on an Ethernet segment |
//! | `gateway`, `operator` | the gateway in between, and its control |
//! | `stage`, `judge`, `models`, `compare` | an event, its verdict, and what other gateways would have done |
//! | `report`, `progress`, `shell` | what is said, and how to go on |
//! | `place`, `interrupts` | leaving nothing behind |
//!
//! Concurrency: the main thread runs the script and is the only one that waits for signals; clients, rack, and the
//! gateway's own threads end when their handles are dropped, in the reverse order of their making.

mod addressing;
mod clients;
mod compare;
mod gateway;
mod interrupts;
mod judge;
mod kernel;
mod models;
mod operator;
mod place;
mod progress;
mod rack;
mod report;
mod script;
mod segment;
mod shell;
mod stage;

use std::collections::HashMap;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;
use stack::io::mem;
use stack::io::netns::{self, Namespace};
use stack::io::poll::Clock;

use crate::cli::DemoArgs;
use crate::cli::exit::Exit;
use crate::cli::session::Style;
use crate::wire::message::{CallError, Reason, Reply};
use clients::Clients;
use compare::Comparison;
use gateway::Wires;
use interrupts::{Interrupts, Stop};
use place::Place;
use progress::Progress;
use report::Report;
use script::first_members;
use segment::Segment;
use stage::Stage;

/// Next hops of the service's route when the demo begins; the rack has one server more.
const SERVERS: u8 = 5;
/// Workers, one for each queue of each port.
const WORKERS: usize = 2;
/// Fresh connections after each event, that show where new flows go.
const FRESH: usize = 200;
/// Frames that each queue of the rack's port holds, each way.
const DEPTH: usize = 2048;
/// Largest IP packet on the rack's segment, in bytes.
const MTU: usize = 1500;
/// Descriptors beside one for each connection.
const SPARE_FDS: u64 = 256;

/// Runs the demo. Call it before any thread is started: it moves the process into namespaces of its own.
pub fn run(args: &DemoArgs) -> ExitCode {
    let mut progress = Progress::new();
    match perform(args, &mut progress) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(Stop::Interrupted(how)) => {
            progress.step(&format!(
                "flowgate demo: ended by {}, nothing is left behind",
                how.0
            ));
            ExitCode::from(how.exit_status())
        }
        Err(Stop::Forbidden(line)) => {
            refuse(args, &mut progress, Reason::Denied, &line);
            Exit::System.into()
        }
        Err(Stop::Failed(line)) => {
            refuse(args, &mut progress, Reason::Invalid, &line);
            ExitCode::FAILURE
        }
    }
}

/// Says why it cannot be done, as the error object of other commands too if JSON was asked for.
fn refuse(args: &DemoArgs, progress: &mut Progress, reason: Reason, line: &str) {
    if args.json {
        let error = Reply::from(&CallError::refused(reason, line));
        write(&as_line(&error));
    }
    progress.step(&format!("flowgate demo: {line}"));
}

/// Everything; whether all is well.
fn perform(args: &DemoArgs, progress: &mut Progress) -> Result<bool, Stop> {
    let interrupts =
        Interrupts::install().map_err(|error| format!("cannot block signals: {error}"))?;
    let place = Place::new()?;
    let socket = args.socket.clone().unwrap_or_else(|| place.socket());
    let program = std::env::current_exe()?;
    let namespace = enter(args, progress)?;
    let clock = Clock::start();
    let (wires, segment) = wire(args, &namespace, socket.clone(), clock)?;
    progress.step(&format!(
        "gateway: {} workers, TUN device {}, {} servers on a segment in memory",
        WORKERS,
        wires.device.name,
        SERVERS + 1
    ));
    let (_running, mut operator) = gateway::start(wires, &program)?;
    let clients = Clients::start(clock)?;
    let mut stage = Stage {
        operator: &mut operator,
        cables: &segment,
        clients: &clients,
        interrupts: &interrupts,
        progress,
        clock,
        kept: HashMap::new(),
        comparison: Comparison::new(first_members(SERVERS)),
        fresh: fresh(args, namespace.ipv6),
    };
    let report = play(&mut stage, args, namespace.ipv6)?;
    stage.progress.clear();
    print(args, &report);
    go_on(args, &interrupts, &program, &socket, namespace.ipv6)?;
    Ok(report.is_good())
}

/// Moves into the private network, with descriptors enough.
fn enter(args: &DemoArgs, progress: &mut Progress) -> Result<Namespace, Stop> {
    let limit = netns::raise_fd_limit();
    let events = script::script(true, SERVERS).len();
    let others = (events * FRESH) as u64 + SPARE_FDS;
    if limit < args.connections as u64 + others {
        let most = limit.saturating_sub(others);
        return Err(Stop::Forbidden(format!(
            "this system allows {limit} open files: run with --connections {most} or raise 'ulimit -Hn'"
        )));
    }
    let namespace = netns::enter_private().map_err(|error| Stop::Forbidden(error.to_string()))?;
    let families = if namespace.ipv6 {
        "IPv4 and IPv6"
    } else {
        "IPv4 only: no IPv6 in this kernel"
    };
    progress.step(&format!("a private network: {families}"));
    Ok(namespace)
}

/// Makes the device, the port in memory and the rack behind it.
fn wire(
    args: &DemoArgs,
    namespace: &Namespace,
    socket: PathBuf,
    clock: Clock,
) -> Result<(Wires, Segment), Stop> {
    let has_v6 = namespace.ipv6;
    let clients =
        kernel::clients_for(args.connections, has_v6) + kernel::clients_for(FRESH, has_v6);
    let device = kernel::open(WORKERS, has_v6, clients).map_err(Stop::Forbidden)?;
    let (rack, peers) = mem::try_pair(WORKERS, DEPTH, MTU)?;
    let segment = Segment::start(SERVERS + 1, peers, clock)?;
    Ok((
        Wires {
            device,
            rack,
            has_v6,
            mtu: MTU as u32,
            socket,
            clock,
        },
        segment,
    ))
}

/// Fresh connections come from addresses behind those of the kept ones.
fn fresh(args: &DemoArgs, has_v6: bool) -> Vec<clients::Route> {
    kernel::routes(kernel::clients_for(args.connections, has_v6), FRESH, has_v6)
}

/// Makes the routes, opens the connections and performs the script.
fn play(stage: &mut Stage<'_>, args: &DemoArgs, has_v6: bool) -> Result<Report, Stop> {
    stage.act(&script::first_routes(has_v6, &first_members(SERVERS)))?;
    for member in first_members(SERVERS) {
        stage.act(&[script::Act::AwaitHealth(member.server, true)])?;
    }
    let since = stage.clock.ms();
    stage
        .progress
        .step(&format!("{} clients connect", args.connections));
    stage.open(kernel::routes(0, args.connections, has_v6))?;
    let script = script::script(has_v6, SERVERS);
    let mut events = Vec::with_capacity(script.len());
    for event in &script {
        let report = stage.perform(event)?;
        stage.progress.step(&report::outcome_line(&report));
        events.push(report);
    }
    let took_ms = stage.clock.ms() - since;
    let (connections, workers) = (args.connections, WORKERS);
    Ok(Report {
        has_v6,
        connections,
        workers,
        events,
        took_ms,
    })
}

/// The result on standard output. A reader that went away is no failure.
fn print(args: &DemoArgs, report: &Report) {
    let text = match args.json {
        true => as_line(&report.json()),
        false => format!("\n{}", report.table()),
    };
    write(&text);
}

/// As JSON. What the demo prints has no key that is none.
fn as_line(value: &impl Serialize) -> String {
    let json = Style::of_stdout().json(value);
    json.map_or_else(|_| String::new(), |line| line + "\n")
}

/// To standard output.
fn write(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// The shell, if asked for; else, on a terminal, how to get it.
fn go_on(
    args: &DemoArgs,
    interrupts: &Interrupts,
    program: &Path,
    socket: &Path,
    has_v6: bool,
) -> Result<(), Stop> {
    if args.shell {
        eprintln!(
            "\nThe gateway keeps running. In this shell:\n{}\n'exit' ends it all.\n",
            shell::hints(has_v6)
        );
        return shell::run(interrupts, program, socket);
    }
    if !args.json && std::io::stdout().is_terminal() {
        println!(
            "\nTo go on: '{} demo --shell' keeps the gateway running and starts a shell, in which\n{}",
            program.display(),
            shell::hints(has_v6)
        );
    }
    Ok(())
}
