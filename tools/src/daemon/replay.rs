//! `flowgate replay`: captures through a gateway in memory, without devices, threads or a clock of its own.
//!
//! The configuration's ports become captures: what a capture holds comes in at its own times, what the gateway sends goes
//! into a capture a port. Virtual time is the captures'; between two records the gateway's timers run as they would have.
//! Secrets are fixed, so the same captures give the same result. One worker does everything.
//!
//! Nobody answers in a capture. So by default each port answers the gateway's questions for neighbours itself, and takes
//! every frame to one station for the gateway's.

mod play;
mod report;
mod source;

use super::Stop;
use super::plan::Plan;
use super::secrets::Secrets;
use crate::cli::ReplayArgs;
use crate::cli::exit::Exit;
use crate::config;
use flowtable::GroupSecret;
use flowtable::TableSecret;
use play::Player;
use report::Report;
use source::Sources;
use stack::Now;
use stack::Setup;
use stack::Wakers;
use stack::io::Queue;
use stack::io::pcap::Manner;
use stack::io::pcap::PcapQueue;
use stack::io::pcap::PlayTime;
use stack::io::pcap::Played;
use stack::io::pcap::Records;
use stack::io::pcap::Writer;
use stack::ports::Layer;
use stack::ports::Port;
use std::fs;
use std::fs::File;
use std::io;
use std::io::BufWriter;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::Mutex;

/// What became of each port's records, in the ports' order.
type AllPlayed = Vec<Arc<Mutex<Played>>>;

/// Plays captures through the gateway of a configuration.
pub fn run(args: &ReplayArgs, json: bool) -> ExitCode {
    match perform(args, json) {
        // The report is the output.
        Ok(verdict) => super::ended(verdict, false),
        Err(stop) => super::ended(Err(stop), json),
    }
}

/// Plays and reports; what the report says is wrong is how it ends.
fn perform(args: &ReplayArgs, json: bool) -> Result<Result<(), Stop>, Stop> {
    let config = config::load(&args.config).map_err(|wrong| Stop::new(Exit::Config, wrong))?;
    let plan = Plan::new(&args.config, &config);
    let secrets = Secrets {
        table: TableSecret([0; 16]),
        group: GroupSecret([0; 16]),
        seed: 0,
    };
    let ports = plan.ports_alone(&secrets);
    let sources = Sources::find(&args.captures, &ports)?;
    let time = PlayTime::default();
    let (queues, played) = open(args, &ports.0, &sources, &time)?;
    let setup = Setup {
        workers: 1,
        max_workers: 1,
        ..plan.setup(ports, &secrets)
    };
    let built = stack::build(setup, &Wakers::null(1), Now(0));
    let mut gateway = built.map_err(|e| Stop::new(Exit::System, format!("flowgate: {e}")))?;
    let (control, host) = (&mut gateway.control, &mut gateway.host);
    let wrong = |line: String| Stop::new(Exit::Config, line);
    plan.timeouts(control).map_err(wrong)?;
    plan.install(control, host, Now(0)).map_err(wrong)?;
    let mut player = Player::new(gateway, queues, played, time, args.realtime);
    player.play();
    let report = Report::of(player, &sources);
    match report.print(&mut std::io::stdout(), json) {
        // A reader that went away misses nothing.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            let line = format!("flowgate: standard output: {error}");
            Err(Stop::new(Exit::Io, line))
        }
        _ => Ok(report.verdict()),
    }
}

/// A queue for each port, and what becomes of its records.
fn open(
    args: &ReplayArgs,
    ports: &[Port],
    sources: &Sources,
    time: &PlayTime,
) -> Result<(Vec<Box<dyn Queue>>, AllPlayed), Stop> {
    if let Some(dir) = &args.out_dir {
        let cannot = |e| Stop::new(Exit::CantCreate, format!("{}: {e}", dir.display()));
        fs::create_dir_all(dir).map_err(cannot)?;
    }
    let (mut queues, mut all): (Vec<Box<dyn Queue>>, AllPlayed) = (Vec::new(), Vec::new());
    // VLANs come behind, and have no queues.
    for (at, port) in ports
        .iter()
        .enumerate()
        .filter(|(_, port)| port.vlan.is_none())
    {
        let source = sources.of(at);
        let manner = Manner {
            layer: port.layer,
            for_us: !args.as_sent,
            answers: !args.no_answers,
            records: source.map_or(Records::All(None), |source| source.records.clone()),
        };
        let read = source.map(|source| source.open()).transpose()?;
        let write = args.out_dir.as_deref().map(|dir| writer(dir, port));
        let queue = PcapQueue::new(read, write.transpose()?, time.clone(), manner);
        all.push(queue.played());
        queues.push(Box::new(queue));
    }
    Ok((queues, all))
}

/// The capture of what a port sends.
fn writer(dir: &Path, port: &Port) -> Result<Writer<BufWriter<File>>, Stop> {
    let file = dir.join(format!("{}.pcap", port.name));
    let ether = port.layer != Layer::L3;
    File::create(&file)
        .and_then(|output| Writer::new(BufWriter::new(output), ether))
        .and_then(|mut writer| writer.flush().map(|()| writer))
        .map_err(|error| Stop::new(Exit::CantCreate, format!("{}: {error}", file.display())))
}
