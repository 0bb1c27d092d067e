//! What a new flow costs, and how many find no place at the load that a table is meant for.

use super::args::Section;
use super::job::Job;
use super::ours::{BURST, LOAD, capacity, establish, establish_all, stages, table};
use super::report::{OURS, Sample, Series};
use super::world::{Packet, START, TCP, Truth, segment};
use crate::common::timing::Spent;
use fastrand::Rng;
use flowtable::{Burst, Flow, KeyV4, L4, Tick, Writer};

/// New flows that are ready at a time; a multiple of every burst.
const CHUNK: usize = 1 << 14;
/// Chunks in a tick: 10 million new flows a second.
const CHUNKS_A_TICK: f64 = 64.0;
/// Ticks in which a table's places are all taken anew when that is no flood.
const OLD_TICKS: usize = 64;

/// Places of the table of a run that is counted.
const COUNTED_PLACES: usize = 65_536;

/// What is measured.
pub(super) const FREE: &str = "into free room";
const LOADED: &str = "at a load of 0.8";
const FULL: &str = "into a full table, at 10 M/s: a flood, of which few are inserted";
const EVICTING: &str = "into a full table, each in another's place";

/// New flows, one after the other.
struct Flood<'t> {
    writer: Writer<KeyV4>,
    truth: &'t Truth,
    next: u32,
    /// Ticks that pass while one comes.
    ticks_a_chunk: f64,
    ticks: f64,
}

/// Inserts what is new of a burst, and pins it. How many found a place.
type Insert = fn(&mut Writer<KeyV4>, &[Packet], &Truth, Tick) -> u64;

/// Inserts with bursts of one and of many, into a table that gets fuller and fuller.
pub(super) fn measure(job: &Job) -> Vec<Sample> {
    let ways: [(&str, Insert); 2] = [
        ("bursts of 1", insert::<1>),
        ("bursts of 32", insert::<BURST>),
    ];
    let truth = Truth::new();
    ways.iter()
        .flat_map(|(name, insert)| fill_up(job, name, *insert, &truth))
        .collect()
}

fn fill_up(job: &Job, name: &str, insert: Insert, truth: &Truth) -> Vec<Sample> {
    let mut flood = Flood {
        writer: table(capacity(job.flows)).1,
        truth,
        next: (job.run as u32) << 28,
        ticks_a_chunk: 1.0 / CHUNKS_A_TICK,
        ticks: 0.0,
    };
    let places = flood.writer.table().stats().capacity as usize;
    let at = |share: f64| (share * places as f64) as usize;
    let free = flood.until(at(0.5), insert);
    flood.until(at(LOAD), insert);
    let loaded = flood.until(at(LOAD + 0.02), insert);
    flood.more(at(0.7), insert);
    let full = flood.more(at(0.25), insert);
    flood.ticks_a_chunk = slow(places);
    flood.more(at(0.5), insert);
    let before = flood.evicted();
    let evicting = flood.more(at(0.25), insert);
    assert!(
        10 * (flood.evicted() - before) > 9 * evicting.pieces,
        "hardly any flow made room for another"
    );
    let all = [
        (FREE, free),
        (LOADED, loaded),
        (FULL, full),
        (EVICTING, evicting),
    ];
    all.into_iter()
        .map(|(what, spent)| series(job, what).way(OURS, name).took(&spent))
        .collect()
}

impl Flood<'_> {
    /// Flows that made room for another.
    fn evicted(&self) -> u64 {
        self.writer.table().stats().evicted[0]
    }

    /// New flows until the table holds `live`.
    fn until(&mut self, live: usize, insert: Insert) -> Spent {
        let missing = live.saturating_sub(self.writer.len());
        self.more(missing, insert)
    }

    /// About so many new flows more: a table of a few million sees a flood in them, and lets few in.
    fn more(&mut self, flows: usize, insert: Insert) -> Spent {
        let mut spent = Spent::default();
        while spent.pieces == 0 || spent.pieces < flows as u64 {
            let new: Vec<_> = (0..CHUNK as u32)
                .map(|n| Packet::of(self.next.wrapping_add(n)))
                .collect();
            self.next = self.next.wrapping_add(CHUNK as u32);
            self.ticks += self.ticks_a_chunk;
            let now = Tick(START.0 + self.ticks as u32);
            spent.on(|| {
                std::hint::black_box(insert(&mut self.writer, &new, self.truth, now));
                new.len() as u64
            });
        }
        spent
    }
}

fn insert<const N: usize>(
    writer: &mut Writer<KeyV4>,
    packets: &[Packet],
    truth: &Truth,
    now: Tick,
) -> u64 {
    let syn = segment(L4::SYN);
    let mut placed = 0;
    let mut flows = Burst::new(N);
    for burst in packets.as_chunks::<N>().0 {
        stages(writer, &mut flows, burst, TCP, now);
        for (which, packet) in (0..).zip(burst) {
            let Some(Flow { key, dir, probe }) = flows.get(which) else {
                continue;
            };
            let (slot, hash) = (probe.slot(), probe.hash());
            let Ok(entry) = writer.insert(slot, hash, &key, dir, &syn, now) else {
                continue;
            };
            let (pin, stamp) = truth.pin(packet);
            writer.set_pin(entry, dir, pin, stamp);
            placed += 1;
        }
    }
    placed
}

/// Inserts so many new flows into a full table, each in another's place: a run to be counted, not timed.
pub(crate) fn evict(flows: usize) -> Result<(), String> {
    let truth = Truth::new();
    let mut flood = Flood {
        writer: table(COUNTED_PLACES).1,
        truth: &truth,
        next: 0,
        ticks_a_chunk: slow(COUNTED_PLACES),
        ticks: 0.0,
    };
    flood.more(2 * COUNTED_PLACES, insert::<BURST>);
    let before = flood.evicted();
    flood.more(flows, insert::<BURST>);
    match flood.evicted() - before {
        evicted if evicted as usize >= flows / 10 * 9 => Ok(()),
        evicted => Err(format!(
            "of {flows} new flows {evicted} took another's place"
        )),
    }
}

/// Ticks between chunks so slow that who makes room is some seconds old: no flood.
fn slow(places: usize) -> f64 {
    (OLD_TICKS * CHUNK / places).max(1) as f64
}

/// How many of 10,000 connections find no place: when a table is filled to its load, and after each of its flows has
/// been replaced several times. All are established, so none makes room for another.
pub(super) fn churn(job: &Job) -> Vec<Sample> {
    let truth = Truth::new();
    let mut writer = table(capacity(job.flows)).1;
    let first = establish_all(&mut writer, 0..job.flows as u32, &truth, START);
    let mut live: Vec<u32> = (0..job.flows as u32).collect();
    let (mut rng, mut next) = (Rng::with_seed(job.run), job.flows as u32);
    let mut refused = 0;
    for _ in 0..(CHURNED / job.flows).clamp(ROUNDS[0], ROUNDS[1]) {
        refused = 0;
        for _ in 0..job.flows {
            let place = rng.usize(..live.len());
            remove(&mut writer, live[place]);
            refused += usize::from(!establish(&mut writer, next, &truth, START));
            live[place] = next;
            next = next.wrapping_add(1);
        }
    }
    let of_10k = |refused: usize| refused as f64 * 1e4 / job.flows as f64;
    let share = |what: &str, refused| series(job, what).unit("flows").is(of_10k(refused));
    vec![
        share("no place, of 10,000, while filled to 0.8", first),
        share("no place, of 10,000, after churn at 0.8", refused),
    ]
}

/// New flows that replace others, about; and how often all are replaced at least and at most. The last time is counted.
const CHURNED: usize = 20_000_000;
const ROUNDS: [usize; 2] = [2, 4];

fn remove(writer: &mut Writer<KeyV4>, flow: u32) {
    let Flow { key, probe, .. } = Packet::of(flow).flow(writer, TCP);
    if let Some(entry) = writer.lookup_probed(&probe, &key, START) {
        writer.remove(entry);
    }
}

fn series(job: &Job, what: &str) -> Series {
    Series::new(Section::Insert, what, job.flows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flows::args::tests::measured;

    fn job() -> Job {
        Job::all(&measured("--only insert --flows 64k"), 1).remove(0)
    }

    #[test]
    fn a_table_is_filled_until_it_evicts() {
        let samples = measure(&job());
        assert_eq!(samples.len(), 8);
        assert!(samples.iter().all(|sample| sample.value > 0.0));
        let truth = Truth::new();
        let mut flood = Flood {
            writer: table(16_384).1,
            truth: &truth,
            next: 0,
            ticks_a_chunk: 1.0 / CHUNKS_A_TICK,
            ticks: 0.0,
        };
        flood.more(65_536, insert::<BURST>);
        let stats = flood.writer.table().stats();
        // At ten million a second into so small a table that is a flood, and most are not let in.
        let evicted = stats.evicted.iter().sum::<u64>();
        assert!(evicted > 1000 && stats.flooded > 30_000, "{stats:?}");
    }

    #[test]
    fn churn_keeps_the_table_at_its_load() {
        let shares: Vec<_> = churn(&job()).iter().map(|sample| sample.value).collect();
        assert!(
            shares.iter().all(|share| (0.0..=1.0).contains(share)),
            "{shares:?}"
        );
    }
}
