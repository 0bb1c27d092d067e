//! What readers cost the writer: another thread lists, counts or searches without a pause while it runs, or asks for
//! its counters a thousand times a second.

use super::args::Section;
use super::job::Job;
use super::ours::{BURST, capacity, establish_all, hits, table};
use super::report::{Sample, Series};
use super::trace::{self, Spread};
use super::world::{Packet, SECRET, START, TCP, Truth};
use crate::clock;
use crate::common::pair::{STOP, WARM, together};
use crate::common::timing::Spent;
use fastrand::Rng;
use flowtable::{Key, KeyV4, Table, Tick, flow_hash};
use std::hint::black_box;
use std::sync::atomic::{
    AtomicU32,
    Ordering::{Acquire, Release},
};
use std::time::Duration;

/// What the other thread does meanwhile, by phase; phase 0 is warming up.
const PHASES: [&str; 5] = ["alone", "listed", "counted", "searched", "asked"];
/// Times that every phase comes round.
const TURNS: usize = 4;
/// Packets between two looks at the phase.
const PIECE: usize = 1 << 13;
/// Between two questions for counters.
const QUESTION: Duration = Duration::from_millis(1);
/// Flows that are searched for between two looks at the clock.
const SEARCHES: usize = 256;

/// The writer's packets with readers and without, in turns.
pub(super) fn measure(job: &Job, cpus: &[usize]) -> Result<Vec<Sample>, String> {
    let truth = Truth::new();
    let (table, mut writer) = table(capacity(job.flows));
    establish_all(&mut writer, 0..job.flows as u32, &truth, START);
    let number = (4 * job.flows).next_multiple_of(PIECE).min(1 << 21);
    let packets = trace::packets(job.flows, Spread::Uniform, number, job.run);
    let phase = AtomicU32::new(WARM);
    let control = || {
        let mut read = [Spent::default(); PHASES.len()];
        clock::sleep(job.least());
        for _ in 0..TURNS {
            for (number, read) in read.iter_mut().enumerate() {
                phase.store(number as u32 + 1, Release);
                read.on(|| reading(job, &table, number));
            }
        }
        Ok(read)
    };
    let write = || {
        let mut spent = [Spent::default(); PHASES.len() + 1];
        for piece in packets.chunks_exact(PIECE).cycle() {
            let now = phase.load(Acquire);
            if now == STOP {
                break;
            }
            spent[now as usize].on(|| {
                black_box(hits::<BURST>(&mut writer, piece, &truth, Tick(START.0 + 1)));
                piece.len() as u64
            });
        }
        spent
    };
    let (read, written) = together(cpus, &phase, control, write)?;
    Ok(samples(job, &read, &written[1..]))
}

/// What the other thread does in a phase, for its time; how many entries, counts or searches.
fn reading(job: &Job, table: &Table<KeyV4>, number: usize) -> u64 {
    let began = clock::now();
    let over = || began.elapsed() >= job.least();
    let mut done = 0;
    match number {
        0 => clock::sleep(job.least()),
        1 => {
            while !over() {
                done += table.entries().map(black_box).count() as u64;
            }
        }
        2 => {
            // Of entries that are not wanted, as none is here, only the key is read; each counts as looked at.
            while !over() {
                let none = |key: &KeyV4| key.proto() != TCP;
                black_box(table.entries_of(none).count());
                done += table.stats().used;
            }
        }
        4 => {
            while !over() {
                black_box(table.stats());
                done += 1;
                clock::sleep(QUESTION);
            }
        }
        _ => {
            let mut rng = Rng::with_seed(job.run);
            while !over() {
                (0..SEARCHES).for_each(|_| search(table, rng.u32(..job.flows as u32)));
                done += SEARCHES as u64;
            }
        }
    }
    done
}

fn search(table: &Table<KeyV4>, flow: u32) {
    let packet = Packet::of(flow);
    let (key, _) = packet.key(TCP);
    let Packet {
        src,
        dst,
        sport,
        dport,
        ..
    } = packet;
    let slot = table.owner().slot4(TCP, src, sport, dst, dport);
    black_box(table.find(slot, flow_hash(&SECRET, &key), &key));
}

fn samples(job: &Job, read: &[Spent], written: &[Spent]) -> Vec<Sample> {
    let series = |what: String| Series::new(Section::Reader, &what, job.flows);
    let alone = &written[0];
    let mut samples = Vec::new();
    for ((name, spent), read) in PHASES.into_iter().zip(written).zip(read) {
        samples.push(series(format!("the writer's packet while {name}")).took(spent));
        if name == PHASES[0] {
            continue;
        }
        let slower = |of: fn(&Spent) -> f64| 100.0 * (of(spent) / of(alone) - 1.0);
        let share = |value: Sample| Sample {
            cpu_share: Some(spent.share()),
            ..value
        };
        samples.extend([
            share(
                series(format!("slower while {name}"))
                    .unit("%")
                    .is(slower(Spent::ns)),
            ),
            series(format!("slower while {name}, of CPU time"))
                .unit("%")
                .is(slower(Spent::cpu_ns)),
            series(format!("entries (asked: times) {name}"))
                .unit("M/s")
                .is(1e3 / read.ns()),
        ]);
    }
    samples
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::machine::Machine;
    use crate::flows::args::tests::measured;

    #[test]
    fn the_writer_is_timed_in_every_phase() {
        let job = Job::all(&measured("--only reader --flows 4k --seconds 0.01"), 1).remove(0);
        let cpus = Machine::detect().expect("a machine").cpus;
        let samples = measure(&job, &cpus).expect("measured");
        assert_eq!(samples.len(), 1 + 4 * 4);
        let timed = samples.iter().filter(|sample| sample.series.unit != "%");
        assert!(
            timed.clone().all(|sample| sample.value > 0.0),
            "{samples:?}"
        );
    }

    #[test]
    fn slower_is_against_the_writer_alone() {
        let job = Job::all(&measured("--only reader --flows 4k"), 1).remove(0);
        let spent = |ms| Spent {
            wall: Duration::from_millis(ms),
            cpu: Duration::from_millis(ms),
            pieces: 100,
        };
        let written = [10, 11, 10, 10, 5].map(spent);
        let samples = samples(&job, &[spent(1); 5], &written);
        let slower: Vec<_> = samples.iter().filter(|s| s.series.unit == "%").collect();
        assert!((slower[0].value - 10.0).abs() < 1e-9, "{slower:?}");
        assert!((slower[7].value + 50.0).abs() < 1e-9, "{slower:?}");
    }
}
