//! What came of a play.

use super::Stop;
use super::play::Player;
use super::source::Sources;
use crate::cli::exit::Exit;
use crate::daemon::backend::counters_of;
use crate::wire::stats::CounterBlock;
use serde::Serialize;
use stack::io::pcap::Played;
use std::io;
use std::io::Write;

/// A port's part.
#[derive(Debug, Serialize)]
struct OfPort {
    port: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    capture: Option<String>,
    /// Records given to the gateway; of them, not all of the packet had been captured.
    records: u64,
    cut: u64,
    /// Records that were not for the gateway.
    skipped: u64,
    /// Questions for neighbours that were answered.
    answered: u64,
    sent: u64,
    dropped: u64,
    /// What ended the reading or the writing, other than the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    bad: Option<String>,
    /// That was the writing.
    #[serde(skip)]
    unwritten: bool,
}

/// What came of it.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    ports: Vec<OfPort>,
    /// From the first record to the last, by their times.
    seconds: f64,
    /// Of these, silence that was gone through in strides, not by the gateway's timers.
    #[serde(skip_serializing_if = "Option::is_none")]
    strided_seconds: Option<f64>,
    /// Whether every frame that came has a fate and every one that left an origin; if not, which has not.
    #[serde(skip_serializing_if = "Option::is_none")]
    imbalance: Option<String>,
    /// Counters that have counted, as `netstat -ss` shows them.
    blocks: Vec<CounterBlock>,
}

impl Report {
    pub(super) fn of(mut player: Player, sources: &Sources) -> Self {
        let (outcome, lasted) = (player.outcome(), player.lasted_ms());
        let strided = player.strided_ms();
        let reader = player.gateway.control.reader();
        let ports = reader.port_reports();
        let ports = ports
            .iter()
            .zip(
                outcome
                    .into_iter()
                    .chain(std::iter::repeat_with(Played::default)),
            )
            .enumerate()
            .map(|(at, (of, played))| {
                let capture = sources.of(at).map(|of| of.file.display().to_string());
                OfPort {
                    port: of.port.name.clone(),
                    bad: bad(&played, capture.as_deref()),
                    unwritten: played.bad.is_none() && played.unwritten.is_some(),
                    capture,
                    records: played.played,
                    cut: played.cut,
                    skipped: played.skipped,
                    answered: played.answered,
                    sent: of.totals.tx,
                    dropped: of.totals.rx_dropped,
                }
            });
        let mut blocks = counters_of(&reader, &mut player.gateway.host);
        for block in &mut blocks {
            block.counters.retain(|counter| counter.value > 0);
        }
        blocks.retain(|block| !block.counters.is_empty());
        Self {
            ports: ports.collect(),
            seconds: lasted as f64 / 1000.0,
            strided_seconds: (strided > 0).then_some(strided as f64 / 1000.0),
            imbalance: reader.totals().imbalance(),
            blocks,
        }
    }

    pub(super) fn print(&self, out: &mut dyn Write, json: bool) -> io::Result<()> {
        if json {
            serde_json::to_writer(&mut *out, self)?;
            return writeln!(out);
        }
        for of in &self.ports {
            write!(out, "{}: {} records in", of.port, of.records)?;
            for (number, what) in [(of.cut, "cut short"), (of.skipped, "skipped")] {
                if number > 0 {
                    write!(out, ", {number} {what}")?;
                }
            }
            write!(out, "; {} frames out; {} dropped", of.sent, of.dropped)?;
            match of.answered {
                0 => writeln!(out)?,
                n => writeln!(out, "; {n} questions for neighbours answered")?,
            }
        }
        write!(out, "{:.3} s by the captures' times", self.seconds)?;
        if let Some(strided) = self.strided_seconds {
            write!(out, ", {strided:.3} s of silence in strides")?;
        }
        writeln!(out)?;
        for block in &self.blocks {
            writeln!(out, "{}:", block.protocol)?;
            for counter in &block.counters {
                writeln!(out, "\t{} {}", counter.value, counter.text)?;
            }
        }
        match &self.imbalance {
            None => writeln!(out, "both books balance"),
            Some(which) => writeln!(out, "a book does not balance: {which}"),
        }
    }

    /// How the command ends.
    pub(super) fn verdict(&self) -> Result<(), Stop> {
        let mut wrong = self
            .ports
            .iter()
            .filter_map(|of| Some((of.bad.as_ref()?, of)));
        if let Some((bad, of)) = wrong.next() {
            let exit = if of.unwritten {
                Exit::CantCreate
            } else {
                Exit::Data
            };
            return Err(Stop::new(exit, bad));
        }
        match &self.imbalance {
            None => Ok(()),
            Some(which) => Err(Stop::new(Exit::Software, format!("flowgate: {which}"))),
        }
    }
}

fn bad(played: &Played, capture: Option<&str>) -> Option<String> {
    let read = played.bad.as_ref();
    let read = read.map(|bad| format!("{}: {bad}", capture.unwrap_or_default()));
    read.or_else(|| {
        let unwritten = played.unwritten?;
        Some(format!(
            "the capture of what it sends cannot be written whole: {unwritten}"
        ))
    })
}
