//! What a packet of a known flow costs, and what a connection takes of memory.

use super::args::Section;
use super::job::Job;
use super::ours::{self, capacity, establish_all, hits};
use super::peers::{self, Hashing, Peer};
use super::report::{OURS, Sample, Series};
use super::trace::{self, Spread};
use super::world::{Packet, START, Truth};
use crate::common::memory::{Heap, Memory};
use crate::common::timing::{Spent, repeat};
use flowtable::{KeyV4, Tick, Writer};

/// Packets whose order is ready; beyond, they come again.
const PACKETS: usize = 1 << 22;
/// Packets between two looks at the clock; a multiple of every burst.
const PIECE: usize = 1 << 13;
/// New flows that are ready at a time.
const FILL: usize = 1 << 16;
/// Flows of a million that may find no place in a table this full: at small sizes slots differ.
const UNPLACED: usize = 5_000;

/// What is measured.
const PACKET: &str = "a packet";
const MEMORY: &str = "memory of a connection";

/// Flowgate's table.
pub(super) fn ours(job: &Job, heap: Heap) -> Result<Vec<Sample>, String> {
    let truth = Truth::new();
    let build = || Ok::<_, String>(ours::table(capacity(job.flows)));
    let ((table, mut writer), grown) = heap.growth(build)?;
    let unplaced = establish_all(&mut writer, 0..job.flows as u32, &truth, START);
    if unplaced * 1_000_000 > job.flows * UNPLACED {
        return Err(format!("{unplaced} of {} flows found no place", job.flows));
    }
    let mut samples = vec![
        memory(job, OURS, "", grown),
        series(job, "the table's own bytes of a connection")
            .unit("bytes")
            .is(table.pages().bytes as f64 / job.flows as f64),
        series(job, "share of the table on huge pages")
            .unit("%")
            .is(100.0 * table.pages().huge as f64 / table.pages().bytes as f64),
        series(job, "flows of a million without a place")
            .unit("flows")
            .is(unplaced as f64 * 1e6 / job.flows as f64),
    ];
    for spread in [Spread::Uniform, Spread::Zipf] {
        let packets = trace::packets(job.flows, spread, length(job), job.run);
        let mut burst = |name: &str, hits: Hits| {
            let mut pass = |piece: &[Packet]| hits(&mut writer, piece, &truth, Tick(START.0 + 1));
            let spent = timed(job, &packets, unplaced, &mut pass)?;
            let series = series(job, PACKET).traffic(spread.name());
            samples.push(series.way(OURS, name).took(&spent));
            Ok::<_, String>(())
        };
        burst("bursts of 1", hits::<1>)?;
        burst("bursts of 8", hits::<8>)?;
        burst("bursts of 16", hits::<16>)?;
        burst("bursts of 32", hits::<32>)?;
    }
    drop(table);
    Ok(samples)
}

/// [`hits`] with bursts of some size.
type Hits = fn(&mut Writer<KeyV4>, &[Packet], &Truth, Tick) -> u64;

/// Another map: how its flows come in, too.
pub(super) fn peer(
    job: &Job,
    name: &str,
    hashing: Hashing,
    heap: Heap,
) -> Result<Vec<Sample>, String> {
    let truth = Truth::new();
    let detail = hashing.name();
    let mut inserted = Spent::default();
    let build = || {
        let mut map = peers::by_name(name, hashing, job.flows).ok_or("no such map")?;
        fill(&mut *map, job.flows, &truth, &mut inserted);
        Ok::<_, String>(map)
    };
    let (mut map, grown) = heap.growth(build)?;
    let new = Series::new(Section::Insert, super::insert::FREE, job.flows);
    let mut samples = vec![
        memory(job, name, detail, grown),
        new.way(name, detail).took(&inserted),
    ];
    for spread in [Spread::Uniform, Spread::Zipf] {
        let packets = trace::packets(job.flows, spread, length(job), job.run);
        let mut pass = |piece: &[Packet]| map.hits(piece, &truth, Tick(START.0 + 1));
        let spent = timed(job, &packets, 0, &mut pass)?;
        let series = series(job, PACKET).traffic(spread.name());
        samples.push(series.way(name, detail).took(&spent));
    }
    Ok(samples)
}

fn fill(map: &mut dyn Peer, flows: usize, truth: &Truth, spent: &mut Spent) {
    let mut next = 0;
    while next < flows {
        let end = (next + FILL).min(flows);
        let new: Vec<_> = (next as u32..end as u32).map(Packet::of).collect();
        spent.on(|| {
            map.fill(&new, truth);
            new.len() as u64
        });
        next = end;
    }
}

/// As many packets as it takes to meet a table's flows a few times, within reason.
fn length(job: &Job) -> usize {
    (4 * job.flows).next_multiple_of(PIECE).min(PACKETS)
}

/// Times `pass`, which says how many pins held. All must, but for the flows that have no place.
fn timed(
    job: &Job,
    packets: &[Packet],
    unplaced: usize,
    pass: &mut dyn FnMut(&[Packet]) -> u64,
) -> Result<Spent, String> {
    let held = pass(packets);
    let mut pieces = packets.chunks_exact(PIECE).cycle();
    let spent = repeat(job.least(), || {
        pieces.next().map_or(0, |piece| {
            std::hint::black_box(pass(piece));
            piece.len() as u64
        })
    });
    if unplaced == 0 && held != packets.len() as u64 {
        return Err(format!(
            "{held} of {} packets found their pin",
            packets.len()
        ));
    }
    Ok(spent)
}

fn series(job: &Job, what: &str) -> Series {
    Series::new(Section::Hit, what, job.flows)
}

/// What became resident for a connection: a table's untouched pages are nobody's.
fn memory(job: &Job, way: &str, detail: &str, grown: Memory) -> Sample {
    let series = series(job, MEMORY).way(way, detail).unit("bytes");
    series.is(grown.resident as f64 / job.flows as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flows::args::tests::measured;

    fn job() -> Job {
        Job::all(&measured("--only hit --flows 4k --seconds 0.01"), 1).remove(0)
    }

    #[test]
    fn our_table_is_measured_with_every_burst_and_spread() {
        let samples = ours(&job(), Heap(|| 0)).expect("measured");
        let timed = samples.iter().filter(|s| s.series.what == PACKET);
        assert_eq!(timed.filter(|s| s.value > 0.0).count(), 8);
    }

    #[test]
    fn a_peer_is_measured_with_its_inserts() {
        let samples = peer(&job(), "hashbrown", Hashing::Keyed, Heap(|| 0)).expect("measured");
        let inserts = |s: &&Sample| s.series.section == Section::Insert && s.value > 0.0;
        assert_eq!(
            (samples.len(), samples.iter().filter(inserts).count()),
            (4, 1)
        );
    }

    #[test]
    fn a_table_that_loses_pins_is_found_out() {
        let packets = vec![Packet::default(); PIECE];
        let lost = timed(&job(), &packets, 0, &mut |piece| piece.len() as u64 - 1);
        assert!(lost.is_err_and(|line| line.contains("found their pin")));
    }
}
