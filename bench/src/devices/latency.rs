//! Ping-pong: a small datagram there and back, the next one when it is back.
//!
//! Either end is a thread that blocks in its socket. All three forwarders stand ready and take turns of a second, so that what the machine
//! does meanwhile meets them alike.

use super::place::{Ends, said};
use super::report::{At, Report};
use super::{Forwarder, Job, Way, start};
use crate::clock::now;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

/// What a datagram carries, bytes.
const PAYLOAD: usize = 16;

/// One that is not back by then is lost.
const PATIENCE: Duration = Duration::from_millis(500);

/// One lane's time, until the next has its.
const SLICE: Duration = Duration::from_secs(1);

/// Before a slice is counted.
const LEAD: Duration = Duration::from_millis(30);

const RUN: &str = "latency";
/// The share that is no slower, and the name of that number.
const POINTS: [(f64, &str); 3] = [(0.5, "p50_us"), (0.99, "p99_us"), (0.999, "p999_us")];
const LOST: &str = "lost";

/// One forwarder between two sockets.
struct Lane {
    way: Way,
    ping: UdpSocket,
    pong: Pong,
    _ends: Ends,
    _forwarder: Box<dyn Forwarder>,
}

/// Sends back what comes.
struct Pong {
    at: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Times there and back, ns, and how many did not come back.
#[derive(Default)]
struct Times {
    ns: Vec<u64>,
    lost: u64,
}

/// Measures every turn and prints the table.
pub(super) fn measure(job: &Job, report: &mut Report) -> Result<(), String> {
    for group in Way::groups(job) {
        let lanes = group.into_iter().map(|way| Lane::new(way, job));
        let lanes = lanes.collect::<Result<Vec<_>, _>>()?;
        for turn in 0..job.turns {
            play(&lanes, turn, job.seconds, report)?;
        }
    }
    print(report, &Way::groups(job).concat());
    Ok(())
}

/// One turn: so many slices of each.
fn play(lanes: &[Lane], turn: usize, slices: usize, report: &mut Report) -> Result<(), String> {
    let mut times: Vec<Times> = lanes.iter().map(|_| Times::default()).collect();
    for _ in 0..slices {
        for (lane, times) in lanes.iter().zip(&mut times) {
            lane.play(LEAD, &mut Times::default())?;
            lane.play(SLICE, times)?;
        }
    }
    for (lane, times) in lanes.iter().zip(times) {
        let numbers = times.numbers().ok_or("no datagram came back")?;
        let (way, run) = (lane.way.name(), RUN);
        report.add(At { turn, way, run }, &numbers)?;
    }
    Ok(())
}

impl Lane {
    fn new(way: Way, job: &Job) -> Result<Self, String> {
        let (ends, forwarder) = start(way, job)?;
        let bound = |end: &super::place::End| end.enter(|| UdpSocket::bind((end.host, 0)));
        let ping = bound(&ends.client)?.map_err(said)?;
        let pong = Pong::start(bound(&ends.server)?.map_err(said)?)?;
        ping.connect(pong.at).map_err(said)?;
        ping.set_read_timeout(Some(PATIENCE)).map_err(said)?;
        Ok(Self {
            way,
            ping,
            pong,
            _ends: ends,
            _forwarder: forwarder,
        })
    }

    /// Plays for `span`. A datagram has its number, so that one that was given up is not taken for the next.
    fn play(&self, span: Duration, times: &mut Times) -> Result<(), String> {
        let (began, mut number) = (now(), 0_u64);
        let mut sent = began;
        while sent - began < span {
            number += 1;
            let mut data = [0; PAYLOAD];
            data[..8].copy_from_slice(&number.to_be_bytes());
            self.ping.send(&data).map_err(said)?;
            match self.back(&data) {
                true => times.ns.push(sent.elapsed().as_nanos() as u64),
                false => times.lost += 1,
            }
            sent = now();
        }
        match self
            .pong
            .thread
            .as_ref()
            .is_some_and(JoinHandle::is_finished)
        {
            true => Err("the other end has ended".into()),
            false => Ok(()),
        }
    }

    /// Whether this very datagram comes back in time.
    fn back(&self, data: &[u8; PAYLOAD]) -> bool {
        let mut got = [0; PAYLOAD];
        while let Ok(len) = self.ping.recv(&mut got) {
            if len == PAYLOAD && got == *data {
                return true;
            }
        }
        false
    }
}

impl Pong {
    fn start(socket: UdpSocket) -> Result<Self, String> {
        let at = socket.local_addr().map_err(said)?;
        // It only ends what waits for nothing; in a game the next datagram is there long before.
        socket.set_read_timeout(Some(PATIENCE)).map_err(said)?;
        let stop: Arc<AtomicBool> = Arc::default();
        let halt = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("pong".into());
        let thread = thread.spawn(move || {
            let mut data = [0; PAYLOAD];
            while !halt.load(Relaxed) {
                if let Ok((len, from)) = socket.recv_from(&mut data) {
                    let _ = socket.send_to(&data[..len], from);
                }
            }
        });
        let thread = Some(thread.map_err(said)?);
        Ok(Self { at, stop, thread })
    }
}

impl Drop for Pong {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Times {
    /// The points of their distribution; none without any.
    fn numbers(mut self) -> Option<Vec<(&'static str, f64)>> {
        self.ns.sort_unstable();
        let last = self.ns.len().checked_sub(1)?;
        let point = |(share, name): (f64, &'static str)| {
            let rank = (share * last as f64).round() as usize;
            (name, self.ns[rank.min(last)] as f64 / 1000.0)
        };
        let mut numbers: Vec<_> = POINTS.into_iter().map(point).collect();
        numbers.extend([
            ("exchanges", self.ns.len() as f64),
            (LOST, self.lost as f64),
        ]);
        Some(numbers)
    }
}

fn print(report: &Report, ways: &[Way]) {
    println!(
        "\n{:<12} {:>10} {:>10} {:>10} {:>8}   µs there and back, {PAYLOAD}-byte datagrams, medians of the turns",
        RUN, "p50", "p99", "p99.9", "lost"
    );
    for &way in ways {
        let name = way.name();
        let [p50, p99, p999] = POINTS.map(|(_, what)| report.median(name, RUN, what));
        let lost: f64 = report.all(name, RUN, LOST).iter().sum();
        println!("{name:<12} {p50:>10.1} {p99:>10.1} {p999:>10.1} {lost:>8}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_of_a_distribution_are_those_that_so_many_do_not_pass() {
        let times = Times {
            ns: (0..=1000).rev().map(|us| us * 1000).collect(),
            lost: 2,
        };
        let wanted = [
            ("p50_us", 500.0),
            ("p99_us", 990.0),
            ("p999_us", 999.0),
            ("exchanges", 1001.0),
            ("lost", 2.0),
        ];
        assert_eq!(times.numbers().expect("numbers"), wanted);
        assert!(Times::default().numbers().is_none());
    }
}
