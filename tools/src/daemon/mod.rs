//! `flowgate run`: from a configuration to a gateway that is served, until a signal ends it.
//!
//! | file | what it is |
//! |---|---|
//! | `plan` | the configuration as what `stack` is built from: devices, setup, routes, checks |
//! | `preflight` | what can be known of this machine before anything is made; `--check` ends behind it |
//! | `secrets` | the installation's group secret in its file, the table secret of this start |
//! | [`gate`] | the running gateway: its threads, control, socket; the demo's too |
//! | [`backend`] | what the control socket's calls do |
//! | `state` | groups kept over a restart, in their file |
//! | `replay` | captures through a gateway in memory, off-line |
//! | `sandbox` | what is given up before the first packet: capabilities, files, system calls |
//! | `signals` | SIGTERM, SIGINT and SIGHUP, read by the main thread |
//! | `log` | `tracing` on standard error |
//!
//! Order: signals are blocked before any thread starts; devices are open before the gateway is built; its first routes are
//! there before a packet can come in; what is not needed any more is given up before any thread starts; the socket is served last. The end goes the other way round.

pub(crate) mod backend;
pub(crate) mod gate;
mod log;
mod memory;
mod plan;
mod preflight;
mod rehearsal;
mod replay;
pub(crate) mod sandbox;
mod secrets;
mod signals;
mod state;

pub use replay::run as replay;

use crate::cli::RunArgs;
use crate::cli::exit::Exit;
use crate::cli::one_line;
use crate::cli::session::Style;
use crate::client::default_socket;
use crate::client::named_socket;
use crate::config;
use crate::config::Config;
use crate::server::ServeError;
use crate::server::SocketSpec;
use crate::wire::message::CallError;
use crate::wire::message::Reason;
use crate::wire::message::Reply;
use gate::Gate;
use gate::Parts;
use gate::StartError;
use plan::Plan;
use secrets::Secrets;
use serde_json::json;
use signals::Signals;
use stack::Setup;
use stack::io::device::OpenError;
use stack::io::device::Opened;
use stack::io::memfd::Taken;
use stack::io::poll::Clock;
use stack::io::steer::Steering;
use std::io;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// A signal this long after the first ends the daemon at once.
const HURRY_AFTER: Duration = Duration::from_secs(1);

/// How often the main thread looks whether every thread is alive, in milliseconds.
const WATCH_MS: u16 = 1000;

/// Why the daemon ends with another status than 0: one line, and that status.
#[derive(Debug)]
struct Stop {
    exit: Exit,
    line: String,
}

impl Stop {
    fn new(exit: Exit, line: impl ToString) -> Self {
        Self {
            exit,
            line: line.to_string(),
        }
    }
}

/// Runs a gateway in the foreground, until a signal ends it. `socket` goes before the configuration's.
pub fn run(args: &RunArgs, socket: Option<PathBuf>, json: bool) -> ExitCode {
    ended(perform(args, socket, json), json)
}

/// The status of what has ended, which is told.
fn ended(done: Result<(), Stop>, json: bool) -> ExitCode {
    let Err(Stop { exit, line }) = done else {
        return Exit::Ok.into();
    };
    if json {
        let error = CallError::refused(called(exit), &line);
        // What cannot be written here is told below all the same.
        let _ = say(&Style::of_stdout().json(&Reply::from(&error)));
    }
    tell(&line);
    exit.into()
}

/// What a failure is called in an error object.
const fn called(exit: Exit) -> Reason {
    match exit {
        Exit::NoInput => Reason::NotFound,
        Exit::NoRight => Reason::Denied,
        // Another gateway has the socket, or the state file.
        Exit::Refused => Reason::AlreadyExists,
        _ => Reason::Invalid,
    }
}

/// A line on standard output. A reader that went away misses nothing.
fn say(line: &io::Result<String>) -> Result<(), Stop> {
    let mut out = io::stdout();
    let written = match line {
        Ok(line) => writeln!(out, "{line}").and_then(|()| out.flush()),
        Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
    };
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            let line = format!("flowgate: cannot write the output: {error}");
            Err(Stop::new(Exit::Io, line))
        }
        _ => Ok(()),
    }
}

/// Says why it ends, on standard error: what is wrong a line each, and no orders to a terminal.
fn tell(lines: &str) {
    for line in lines.lines() {
        // With standard error closed there is nobody to tell.
        let _ = writeln!(std::io::stderr(), "{}", one_line(line));
    }
}

fn perform(args: &RunArgs, socket: Option<PathBuf>, json: bool) -> Result<(), Stop> {
    let config = config::load(&args.config).map_err(|wrong| Stop::new(Exit::Config, wrong))?;
    let plan = Plan::new(&args.config, &config);
    let checked = preflight::check(&plan, &config, socket.clone());
    checked.map_err(|(exit, line)| Stop::new(exit, line))?;
    let filter = log::filter(args.log.as_deref()).map_err(|line| Stop::new(Exit::Usage, line))?;
    if args.check {
        rehearsal::check(&plan).map_err(|(exit, line)| Stop::new(exit, line))?;
        return say(&checked_line(args, json));
    }
    log::start(filter).map_err(|line| Stop::new(Exit::Usage, line))?;
    let system = |error: nix::Error| Stop::new(Exit::System, format!("flowgate: signals: {error}"));
    let signals = Signals::block().map_err(system)?;
    let socket = socket_spec(&config, socket)?;
    let alone = state::alone(plan.state_file());
    let _alone = alone.map_err(|line| Stop::new(Exit::Refused, format!("flowgate: {line}")))?;
    let gate = start(&plan, socket)?;
    let signal = watch(&gate, &signals)?;
    tracing::info!(%signal, "ending; another signal after a second ends at once");
    if let Err(error) = signals.hurry_after(HURRY_AFTER) {
        tracing::warn!(%error, "no signal can hurry the end");
    }
    drop(gate);
    tracing::info!("ended");
    Ok(())
}

/// What `--check` says of a configuration that `run` would take.
fn checked_line(args: &RunArgs, json: bool) -> io::Result<String> {
    let config = args.config.display();
    match json {
        true => Style::of_stdout().json(&json!({ "config": config.to_string(), "ok": true })),
        false => Ok(format!("{config}: nothing is wrong")),
    }
}

/// Opens the devices and starts the gateway on them.
fn start(plan: &Plan<'_>, socket: SocketSpec) -> Result<Gate, Stop> {
    let clock = Clock::start();
    let secrets = Secrets::load(plan.secret_file())
        .map_err(|line| Stop::new(Exit::CantCreate, format!("flowgate: {line}")))?;
    let taken = plan.flow_tables(&secrets, &clock);
    let Taken { tables, how } =
        taken.map_err(|line| Stop::new(Exit::System, format!("flowgate: {line}")))?;
    let steering = plan.steering(&tables);
    let opened = open(plan, steering.as_ref().ok())?;
    let offloads = opened.iter().map(|device| device.offloads).collect();
    let modes = opened.iter().map(|device| device.mode).collect();
    let numbers = opened.iter().map(|device| device.ifindex);
    let devices = plan.devices().into_iter().zip(numbers).collect();
    let (queues, ports) = plan.ports(opened, &secrets);
    let path = socket.path.clone();
    let state_file = Some(plan.state_file()).filter(|file| state::is_ours(file));
    let parts = Parts {
        setup: Setup {
            tables: Some(tables),
            ..plan.setup(ports, &secrets)
        },
        queues,
        kinds: plan.kinds(),
        modes,
        offloads,
        run: plan.run(),
        devices,
        socket,
        clock,
        state_file: state_file.map(ToOwned::to_owned),
        sandbox: plan.sandbox(&path, state_file, steering.is_ok()),
        steering,
        flow_memory: how,
    };
    plan.say();
    let gate = gate::start(parts, |control, host, now| {
        plan.timeouts(control)?;
        if let Some(file) = state_file {
            state::restore(file, control, now);
        }
        plan.install(control, host, now)
    });
    let gate = gate.map_err(|error| refused_start(&error))?;
    tracing::info!(socket = %path.display(), pid = std::process::id(), "serving");
    Ok(gate)
}

/// Makes and opens the devices, with a queue for each worker.
fn open(plan: &Plan<'_>, steering: Option<&Steering>) -> Result<Vec<Opened>, Stop> {
    let mut all = Vec::new();
    for spec in plan.devices() {
        let opened = spec.open(steering.map(Steering::programs));
        let opened = opened.map_err(|error| refused_device(&error))?;
        if let Some(mode) = opened.mode {
            tracing::info!(port = opened.name, mode = mode.word(), "XDP sockets");
        }
        for warning in &opened.warnings {
            tracing::warn!(port = opened.name, "{warning}");
        }
        all.push(opened);
    }
    Ok(all)
}

/// Where to serve. A living gateway there is found out before any device is touched.
fn socket_spec(config: &Config, told: Option<PathBuf>) -> Result<SocketSpec, Stop> {
    let named = named_socket(told, config.control.socket.as_deref());
    let Some(path) = named.or_else(default_socket) else {
        let line = "flowgate: no place for the control socket: XDG_RUNTIME_DIR is not set; name one with \
                    --socket PATH, or socket in [control]";
        return Err(Stop::new(Exit::Config, line));
    };
    if UnixStream::connect(&path).is_ok() {
        return Err(refused_start(&ServeError::Served(path).into()));
    }
    Ok(SocketSpec {
        path,
        group: config.control.group.clone(),
    })
}

fn refused_device(error: &OpenError) -> Stop {
    let exit = if error.is_right() {
        Exit::NoRight
    } else {
        Exit::System
    };
    Stop::new(exit, format!("flowgate: {error}"))
}

fn refused_start(error: &StartError) -> Stop {
    match error {
        // Its line names the file and the line in it.
        StartError::Install(line) => Stop::new(Exit::Config, line),
        StartError::Serve(ServeError::Served(_)) => {
            Stop::new(Exit::Refused, format!("flowgate: {error}"))
        }
        StartError::Serve(ServeError::NoGroup(_)) => {
            Stop::new(Exit::Config, format!("flowgate: {error}"))
        }
        _ => Stop::new(Exit::System, format!("flowgate: {error}")),
    }
}

/// Waits for a signal, and tells its name.
///
/// # Errors
/// A thread has ended by a fault of its own: the gateway is not whole any more.
fn watch(gate: &Gate, signals: &Signals) -> Result<&'static str, Stop> {
    loop {
        if let Some(signal) = signals.wait(WATCH_MS) {
            return Ok(signal);
        }
        if gate.has_crashed() {
            let line = "flowgate: one of the gateway's threads has ended by a fault; its message is above. \
                        This is a bug: please report it";
            return Err(Stop::new(Exit::Software, line));
        }
    }
}
