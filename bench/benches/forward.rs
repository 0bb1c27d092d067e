//! `forward/64` to `forward/1500`: one whole worker, from a received frame to a sent one.
//!
//! A gateway with one worker and two Ethernet ports in memory forwards bursts of 32 packets of 1,024 flows
//! to one default route. Everything that a packet meets is there: the copy into a buffer, validation, owner,
//! flow table, pin check, TTL and checksum, neighbour, link header, the hand-over to the port. What is not: a
//! device. The number in a name is the frame's length in bytes, without its checksum; time is per packet.
#![allow(missing_docs)]

use criterion::measurement::{Measurement, WallTime};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use flowgate_bench::rig::{Endless, Frames, NOW, gateway};
use stack::Setup;

const SIZES: [usize; 6] = [64, 128, 256, 512, 1024, 1500];
const FLOWS: usize = 1024;

/// Frames of `size` bytes from clients behind the first port to the Internet, a flow each.
fn frames(size: usize) -> Frames {
    let mut rng = fastrand::Rng::with_seed(11);
    let mut frames = Frames::new(size);
    for client in 2..FLOWS as u32 + 2 {
        let src = 0x0a00_0000 + client;
        let dst = rng.u32(0x1400_0000..0x6400_0000);
        frames.push((src.into(), 5000), (dst.into(), 443));
    }
    frames
}

fn forward(c: &mut Criterion) {
    let mut group = c.benchmark_group("forward");
    group.throughput(Throughput::Elements(1));
    for size in SIZES {
        let mut gateway = gateway(Setup::default()).expect("a small gateway");
        let mut worker = gateway.workers.remove(0);
        let mut queues = Endless::pair(frames(size), Frames::new(size));
        // Every flow gets its entry.
        let mut seen = 0;
        while seen < 2 * FLOWS {
            seen += worker.poll(NOW, &mut queues);
        }
        group.bench_function(BenchmarkId::from_parameter(size), |b| {
            b.iter_custom(|packets| {
                let began = WallTime.start();
                let mut left = packets;
                while left > 0 {
                    left = left.saturating_sub(worker.poll(NOW, &mut queues) as u64);
                }
                WallTime.end(began)
            });
        });
        let counters = worker.counters();
        let (received, forwarded) = (counters.rx.get(), counters.forwarded.get());
        assert_eq!(
            received, forwarded,
            "a bench of packets that were dropped says nothing"
        );
    }
    group.finish();
}

criterion_group!(benches, forward);
criterion_main!(benches);
