//! From `flowgate run` to its first forwarded packet: a datagram goes every millisecond, until one arrives.

use super::Job;
use super::daemon::{Daemon, PORT, Site};
use super::place::said;
use super::report::{At, Report};
use crate::clock::{now, sleep};
use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Between two datagrams.
const EVERY: Duration = Duration::from_millis(1);

/// Nothing arrives within this: something is wrong.
const PATIENCE: Duration = Duration::from_secs(120);

const WAY: &str = "flowgate run";
const FIRST: &str = "first_packet_ms";
const TOUCHED: &str = "tables_ms";
const BYTES: &str = "tables_mib";

/// Measures every turn and prints the table.
pub(super) fn measure(job: &Job, report: &mut Report) -> Result<(), String> {
    for turn in 0..job.turns {
        for &flows in &job.tables {
            let site = Site::new(job.device)?;
            let (first, daemon) = one(&site, flows)?;
            let mut numbers = vec![(FIRST, first.as_secs_f64() * 1e3)];
            if let Some((bytes, ms)) = daemon.tables() {
                numbers.push((TOUCHED, ms as f64));
                numbers.push((BYTES, bytes as f64 / f64::from(1 << 20)));
            }
            let (way, run) = (WAY, &name(flows));
            report.add(At { turn, way, run }, &numbers)?;
        }
    }
    print(report, job);
    Ok(())
}

fn name(flows: usize) -> String {
    match flows {
        0 => "start with default tables".into(),
        _ => format!("start with {flows} connections"),
    }
}

/// The time from the daemon's start to the arrival of the first datagram.
fn one(site: &Site, flows: usize) -> Result<(Duration, Daemon), String> {
    let receiver = site.receiver()?;
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let began = now();
        let mut daemon = site.run(flows)?;
        scope.spawn(|| send(site, &stop));
        let arrived = arrival(&receiver, began, &mut daemon);
        stop.store(true, Relaxed);
        arrived.map(|took| (took, daemon))
    })
}

fn send(site: &Site, stop: &AtomicBool) {
    let mut socket = None;
    while !stop.load(Relaxed) {
        if socket.is_none() {
            socket = site.sender().ok();
        }
        if let Some(socket) = &socket {
            // Until there is a way, it is refused.
            let _ = socket.send_to(b"first", site.to(PORT));
        }
        sleep(EVERY);
    }
}

fn arrival(receiver: &UdpSocket, began: Instant, daemon: &mut Daemon) -> Result<Duration, String> {
    let look = Some(Duration::from_secs(1));
    receiver.set_read_timeout(look).map_err(said)?;
    let mut data = [0; 16];
    while began.elapsed() < PATIENCE {
        if receiver.recv(&mut data).is_ok() {
            return Ok(began.elapsed());
        }
        daemon.lives()?;
    }
    Err("flowgate run: no packet came through".into())
}

fn print(report: &Report, job: &Job) {
    println!(
        "\n{:<32} {:>14} {:>8} {:>8} {:>12} {:>17}",
        "ms, medians", "first packet", "least", "most", "tables, MiB", "of it the tables"
    );
    for &flows in &job.tables {
        let run = &name(flows);
        if let Some(first) = report.summary(WAY, run, FIRST) {
            let (touched, mib) = (
                report.median(WAY, run, TOUCHED),
                report.median(WAY, run, BYTES),
            );
            println!(
                "{run:<32} {:>14.1} {:>8.1} {:>8.1} {mib:>12.0} {touched:>17.0}",
                first.median, first.min, first.max
            );
        }
    }
}
