//! iperf3 between the two ends.

use super::place::{Ends, said};
use crate::clock::sleep;
use serde_json::Value;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// What is to be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) streams: usize,
    /// From the server to the client.
    pub(super) back: bool,
    pub(super) seconds: usize,
}

impl Run {
    pub(super) fn name(&self) -> String {
        let way = if self.back { "back" } else { "there" };
        format!("{} stream(s) {way}", self.streams)
    }
}

/// What was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Got {
    /// Received, Gbit/s.
    pub(super) gbit: f64,
    /// Received, bytes.
    pub(super) bytes: f64,
    /// TCP segments sent again.
    pub(super) again: u64,
}

/// Until the two reach each other.
pub(super) fn wait(ends: &Ends) -> Result<(), String> {
    let to = ends.server.host.to_string();
    for _ in 0..100 {
        let mut ping = Command::new("ping");
        ping.args(["-c", "1", "-W", "1", &to]).stdout(Stdio::null());
        let done = ends.client.enter(|| ping.status())?.map_err(said)?;
        if done.success() {
            return Ok(());
        }
    }
    Err("the ends do not reach each other".into())
}

/// Has a server serve once, and a client use it.
pub(super) fn measure(ends: &Ends, run: &Run) -> Result<Got, String> {
    let mut serve = Command::new("iperf3");
    serve.args(["-s", "-1"]);
    serve.stdout(Stdio::null()).stderr(Stdio::null());
    let spawned = ends.server.enter(|| serve.spawn())?;
    let mut server = spawned.map_err(|error| format!("iperf3: {error}"))?;
    // It listens within some milliseconds; there is nothing to wait for in another namespace.
    sleep(Duration::from_millis(300));
    let got = client(ends, run);
    end(&mut server, got.is_err());
    got
}

fn end(server: &mut Child, failed: bool) {
    if failed {
        let _ = server.kill();
    }
    let _ = server.wait();
}

fn client(ends: &Ends, run: &Run) -> Result<Got, String> {
    let mut client = Command::new("iperf3");
    client.args(["-J", "-c", &ends.server.host.to_string()]);
    client.args([
        "-t",
        &run.seconds.to_string(),
        "-P",
        &run.streams.to_string(),
    ]);
    if run.back {
        client.arg("-R");
    }
    let output = ends.client.enter(|| client.output())?.map_err(said)?;
    let answer: Value = serde_json::from_slice(&output.stdout).map_err(said)?;
    read(&answer).ok_or_else(|| format!("iperf3: {}", answer["error"]))
}

fn read(answer: &Value) -> Option<Got> {
    let end = &answer["end"];
    let received = &end["sum_received"];
    Some(Got {
        gbit: received["bits_per_second"].as_f64()? / 1e9,
        bytes: received["bytes"].as_f64()?,
        again: end["sum_sent"]["retransmits"].as_u64().unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_iperf3_says_is_read_and_an_error_is_none() {
        let said = json!({"end": {
            "sum_sent": {"retransmits": 3}, "sum_received": {"bits_per_second": 2.5e9, "bytes": 1e6}
        }});
        let got = Got {
            gbit: 2.5,
            bytes: 1e6,
            again: 3,
        };
        assert_eq!(read(&said), Some(got));
        assert_eq!(read(&json!({"error": "no route"})), None);
    }
}
