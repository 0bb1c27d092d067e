//! `ping`: from the gateway's own address, by the routes and flow cache of forwarded packets; FreeBSD's output.

use super::args::PingArgs;
use super::exit::Failure;
use super::exit::usage;
use super::interrupt::Watch;
use super::session::Session;
use crate::client::PATIENCE;
use crate::wire::ping::DEFAULTS;
use crate::wire::ping::INTERVAL;
use crate::wire::ping::Ping;
use crate::wire::ping::PingOutcome;
use crate::wire::ping::PingResult;
use crate::wire::ping::SIZE;
use crate::wire::ping::WAIT;
use serde_json::Value;
use std::io;
use std::io::Write;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

/// Pings until all requests have ended, or Ctrl-C.
///
/// # Errors
/// What is to be printed, and the exit status with it; `NoReply` when nobody answered.
pub(crate) fn run(args: PingArgs, session: &mut Session<'_>) -> Result<(), Failure> {
    let ask = read(&args)?;
    let mut client = session.client()?;
    client.patience(Some(patience(&ask)))?;
    let watch = Watch::start(client.closer()?)?;
    let mut seen = Seen::default();
    let mut written = head(session, &ask);
    let mut ended = Ok(());
    if written.is_ok() {
        ended = client.call_more("Ping", &ask, |result: PingResult, raw: &Value| {
            seen.count(&result);
            written = each(session, &ask, &result, raw);
            written.is_ok()
        });
    }
    let interrupted = watch.end();
    written?;
    let ended = if interrupted { Ok(()) } else { ended };
    // Nothing is to be summed up where nothing was begun.
    if !session.json && (ended.is_ok() || seen.transmitted > 0) {
        seen.print(session.out, &name(&ask, ask.address))?;
    }
    ended?;
    if seen.received == 0 {
        return Err(Failure::NoReply);
    }
    Ok(())
}

/// From one answer to the next there may be an interval, and the wait for it.
fn patience(ask: &Ping) -> Duration {
    PATIENCE + Duration::from_millis(ask.interval.saturating_add(ask.wait))
}

fn read(args: &PingArgs) -> Result<Ping, Failure> {
    let (address, port) = address(args)?;
    Ok(Ping {
        address,
        port,
        count: args.count.as_deref().map(count).transpose()?,
        interval: seconds("-i", args.interval.as_deref(), INTERVAL, DEFAULTS.0)?,
        wait: seconds("-W", args.wait.as_deref(), WAIT, DEFAULTS.1)?,
        size: args.size.as_deref().map_or(Ok(DEFAULTS.2), size)?,
    })
}

/// Whom to ping, a link-local one perhaps with its port.
fn address(args: &PingArgs) -> Result<(IpAddr, Option<String>), Failure> {
    let text = &args.address;
    let (word, port) = match text.split_once('%') {
        Some((word, port)) if !port.is_empty() => (word, Some(port.to_owned())),
        _ => (text.as_str(), None),
    };
    let of_link = |a: &IpAddr| matches!(a, IpAddr::V6(v6) if v6.is_unicast_link_local());
    let read = word.parse::<IpAddr>();
    let Some(address) = read.ok().filter(|a| port.is_none() || of_link(a)) else {
        return usage(format!(
            "{text} is not an address: write one such as 192.0.2.1 or 2001:db8::1; names are not looked up"
        ));
    };
    match address {
        IpAddr::V4(_) if args.v6 => usage(format!("{text} is an IPv4 address: leave -6 out")),
        IpAddr::V6(_) if args.v4 => usage(format!("{text} is an IPv6 address: leave -4 out")),
        _ => Ok((address, port)),
    }
}

fn count(text: &str) -> Result<u64, Failure> {
    match text.parse() {
        Ok(count @ 1..) => Ok(count),
        _ => usage(format!(
            "-c {text}: write 1 or more, or leave -c out to ping until Ctrl-C"
        )),
    }
}

fn size(text: &str) -> Result<u64, Failure> {
    match text.parse() {
        Ok(size) if SIZE.contains(&size) => Ok(size),
        _ => usage(format!(
            "-s {text}: write {} to {} data bytes",
            SIZE.start(),
            SIZE.end()
        )),
    }
}

/// Seconds, perhaps with a fraction, as milliseconds.
fn seconds(
    option: &str,
    text: Option<&str>,
    range: RangeInclusive<u64>,
    default: u64,
) -> Result<u64, Failure> {
    let Some(text) = text else { return Ok(default) };
    let (least, most) = (*range.start() as f64 / 1e3, *range.end() as f64 / 1e3);
    match text.parse::<f64>() {
        Ok(seconds) if (least..=most).contains(&seconds) => Ok((seconds * 1e3).round() as u64),
        _ => usage(format!("{option} {text}: write {least} to {most} seconds")),
    }
}

/// How an address is printed: that which is pinged with its port, if it has one.
fn name(ask: &Ping, address: IpAddr) -> String {
    match &ask.port {
        Some(port) if address == ask.address => format!("{address}%{port}"),
        _ => address.to_string(),
    }
}

/// Before the first answer, as FreeBSD does.
fn head(session: &mut Session<'_>, ask: &Ping) -> io::Result<()> {
    if !session.json {
        let (name, size) = (name(ask, ask.address), ask.size);
        writeln!(session.out, "PING {name} ({name}): {size} data bytes")?;
    }
    session.out.flush()
}

/// A line a request, at once.
fn each(session: &mut Session<'_>, ask: &Ping, result: &PingResult, raw: &Value) -> io::Result<()> {
    if session.json {
        writeln!(session.out, "{raw}")?;
    } else {
        print(session.out, &name(ask, result.address), result)?;
    }
    session.out.flush()
}

/// One result; `address` is who answered.
fn print(out: &mut dyn Write, address: &str, result: &PingResult) -> io::Result<()> {
    let sequence = result.sequence;
    // The number that the packet carries.
    let seq = sequence & 0xffff;
    match result.outcome {
        PingOutcome::Reply => {
            let ttl = result
                .ttl
                .map_or_else(String::new, |ttl| format!(" ttl={ttl}"));
            let (bytes, rtt) = (result.bytes.unwrap_or(0), result.rtt.unwrap_or(0));
            let time = ms(rtt as f64);
            writeln!(
                out,
                "{bytes} bytes from {address}: icmp_seq={seq}{ttl} time={time} ms"
            )
        }
        PingOutcome::Timeout => writeln!(out, "Request timeout for icmp_seq={seq}"),
        PingOutcome::Unreachable => {
            let reason = result
                .reason
                .as_deref()
                .unwrap_or("Destination Unreachable");
            writeln!(out, "From {address}: icmp_seq={seq} {reason}")
        }
    }
}

/// Microseconds as milliseconds, as FreeBSD prints them.
fn ms(us: f64) -> String {
    format!("{:.3}", us / 1e3)
}

/// What was seen so far: no list, so a ping may go on for ever.
#[derive(Default)]
struct Seen {
    transmitted: u64,
    received: u64,
    least: u64,
    most: u64,
    sum: f64,
    squares: f64,
}

impl Seen {
    fn count(&mut self, result: &PingResult) {
        // A request that still waits when Ctrl-C comes is not counted as lost.
        self.transmitted = self.transmitted.max(result.sequence.saturating_add(1));
        if result.outcome != PingOutcome::Reply {
            return;
        }
        let rtt = result.rtt.unwrap_or(0);
        self.least = if self.received == 0 {
            rtt
        } else {
            self.least.min(rtt)
        };
        self.most = self.most.max(rtt);
        self.received += 1;
        self.sum += rtt as f64;
        self.squares += (rtt as f64).powi(2);
    }

    fn print(&self, out: &mut dyn Write, address: &str) -> io::Result<()> {
        let (sent, received) = (self.transmitted, self.received);
        writeln!(out, "\n--- {address} ping statistics ---")?;
        write!(
            out,
            "{sent} packets transmitted, {received} packets received"
        )?;
        if sent > 0 {
            let lost = sent.saturating_sub(received);
            write!(
                out,
                ", {:.1}% packet loss",
                lost as f64 * 100.0 / sent as f64
            )?;
        }
        writeln!(out)?;
        if received > 0 {
            let mean = self.sum / received as f64;
            let spread = (self.squares / received as f64 - mean * mean)
                .max(0.0)
                .sqrt();
            let [least, most] = [self.least, self.most].map(|us| ms(us as f64));
            let (mean, spread) = (ms(mean), ms(spread));
            writeln!(
                out,
                "round-trip min/avg/max/stddev = {least}/{mean}/{most}/{spread} ms"
            )?;
        }
        out.flush()
    }
}

#[cfg(test)]
mod tests;
