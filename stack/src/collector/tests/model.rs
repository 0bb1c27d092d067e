//! Pieces of chance against a model without bounds: each comes out once, and as the model has it.

use super::*;
use fastrand::Rng;
use std::collections::{HashMap, HashSet};

#[test]
fn every_piece_put_in_comes_out_exactly_once_whatever_happens() {
    for seed in 0..60u64 {
        let mut rng = Rng::with_seed(0xc011_0000 + seed);
        let mut b = Bench::new(rng.usize(0..24), rng.usize(0..24));
        let (mut now, mut out, mut total) = (0, HashSet::new(), 0);
        for _ in 0..2_000 {
            now += rng.u64(..) % 20 * (rng.u64(..) % 3);
            let came = if rng.u8(..8) == 0 {
                b.poll(now)
            } else {
                let id = rng.u32(..12);
                let p = piece(total, rng.u32(..6), id, rng.u16(..4));
                total += 1;
                let (ready, evicted) = b.take(p, now);
                [ready, evicted].concat()
            };
            for name in came {
                assert!(out.insert(name), "seed {seed}: piece {name} came twice");
            }
            assert_eq!(
                out.len() + b.collector.waiting(),
                total as usize,
                "seed {seed}"
            );
        }
        out.extend(b.poll(u64::MAX));
        assert_eq!(out.len(), total as usize, "seed {seed}");
        let s = b.collector.stats();
        let all = s.first + s.followed + s.waited + s.orphans + s.evicted + s.refused;
        assert_eq!(all, u64::from(total), "seed {seed}: {s:?}");
    }
}

/// What a collector without bounds would do: by source and identification.
#[derive(Default)]
struct Model(HashMap<(u32, u32), ModelDatagram>);

#[derive(Default)]
struct ModelDatagram {
    /// The port known, since when.
    known: Option<(u16, u64)>,
    waiting: Vec<(u32, u64)>,
    /// Bytes seen and in all: a whole datagram's clock starts again.
    seen: u32,
    total: u32,
    done: bool,
}

impl Model {
    /// Names and ports that come out, in order.
    fn take(&mut self, p: Piece, now: u64) -> Vec<(u32, u16)> {
        let d = self.0.entry((p.src, p.id)).or_default();
        if d.known.is_some_and(|(_, since)| since + KEEP <= now) {
            *d = ModelDatagram::default();
        }
        if p.offset == 0 {
            if d.known.is_some() {
                (d.seen, d.total) = (0, 0);
            }
            (d.known, d.done) = (Some((p.port, now)), false);
        }
        d.see(p, now);
        match d.known {
            Some((port, _)) => {
                let waited = d.waiting.drain(..).map(|(name, _)| (name, port));
                std::iter::once((p.name, port)).chain(waited).collect()
            }
            None => {
                d.waiting.push((p.name, now));
                Vec::new()
            }
        }
    }

    fn poll(&mut self, now: u64) -> Vec<(u32, u16)> {
        let late = |d: &ModelDatagram| d.waiting.first().is_some_and(|&(_, t)| t + WAIT <= now);
        let mut out = Vec::new();
        for d in self.0.values_mut().filter(|d| late(d)) {
            out.extend(d.waiting.drain(..).map(|(name, _)| (name, 0)));
            d.known = Some((0, now));
        }
        out
    }
}

impl ModelDatagram {
    fn see(&mut self, p: Piece, now: u64) {
        self.seen += 8;
        if !p.more {
            self.total = u32::from(p.offset) + 8;
        }
        let whole = self.total > 0 && self.seen >= self.total;
        if let Some((port, _)) = self.known
            && whole
            && !self.done
        {
            (self.known, self.done) = (Some((port, now)), true);
        }
    }
}

#[test]
fn with_room_for_all_it_does_what_the_unbounded_model_does() {
    for seed in 0..40u64 {
        let mut rng = Rng::with_seed(0xc011_1000 + seed);
        let mut c = Collector::new(4_096, 16_384, WAIT, KEEP, seed);
        let (mut model, mut now) = (Model::default(), 0);
        let (mut ready, mut evicted) = (Vec::new(), Vec::new());
        for i in 0..4_000 {
            now += rng.u64(..) % 40 * (rng.u64(..) % 4 / 3);
            c.poll(now, &mut ready);
            let mut got = come(&mut ready);
            let mut expected = model.poll(now);
            // Between datagrams the model keeps no order.
            got.sort_unstable();
            expected.sort_unstable();
            assert_eq!(got, expected, "seed {seed}, step {i}, poll at {now}");
            let mut p = piece(i, rng.u32(..4), rng.u32(..8), rng.u16(..4));
            p.port = rng.u16(1..);
            c.take(p.pkt(), now, &mut ready, &mut evicted);
            assert_eq!(
                come(&mut ready),
                model.take(p, now),
                "seed {seed}, step {i}: {p:?}"
            );
        }
        assert!(evicted.is_empty());
    }
}

fn come(ready: &mut Vec<Pkt>) -> Vec<(u32, u16)> {
    ready
        .drain(..)
        .map(|pkt| (name(&pkt), pkt.meta.tuple.sport))
        .collect()
}
