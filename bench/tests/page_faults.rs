//! Nobody who handles packets is the first to touch memory: counted by the thread's page faults.
#![cfg(target_os = "linux")]

use flowgate_bench::rig::{Endless, Frames, L4, NOW, gateway};
use flowtable::{KeyV4, SLOTS, Seen, SlotNo, TableSecret, owner_slot4};
use stack::Setup;
use stack::io::memfd::{Asked, Memory, Taken, flow_tables};
use stack::io::poll::Clock;
use stack::pkt::Pool;
use std::net::Ipv4Addr;

const SECRET: TableSecret = TableSecret([9; 16]);
/// Entries of the tables, as configured out of the box.
const FLOWS: (usize, usize) = (262_144, 131_072);
/// New flows of a worker.
const NEW: usize = 10_000;
const PAGE: u64 = 4096;

/// Minor page faults of this thread so far (proc(5), field 10 of stat).
fn faults() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").expect("procfs");
    let after_name = stat.rsplit_once(')').expect("a name in parentheses").1;
    let field = after_name.split_whitespace().nth(7);
    field.and_then(|n| n.parse().ok()).expect("a number")
}

/// Page faults of what `work` does.
fn taken(work: impl FnOnce()) -> u64 {
    let before = faults();
    work();
    faults() - before
}

fn tables(memory: Memory) -> Taken {
    let asked = Asked {
        flows: FLOWS,
        secret: SECRET,
        memory,
    };
    flow_tables(&asked, &Clock::start(), &|_| {}).expect("memory")
}

/// Every page of a whole IPv4 table is written through its writer.
fn fill(memory: Memory) -> u64 {
    let table = tables(memory).tables.v4;
    let mut writer = table.writer((0..SLOTS as u16).map(SlotNo));
    table.set_source_share(100);
    let seen = Seen {
        l4: flowtable::L4::Udp,
        bytes: 100,
        in_port: 0,
    };
    let mut insert = |n: u32| {
        let src = 0x0a00_0000 + n;
        let (key, dir) = KeyV4::new(0, 17, src, 1000, 0xc000_0201, 53);
        let slot = owner_slot4(&SECRET, 17, src, 1000, 0xc000_0201, 53);
        let now = NOW.tick();
        let hash = writer.hash(&key);
        let entry = writer.insert(slot, hash, &key, dir, &seen, now);
        if let Ok(entry) = entry {
            let _ = writer.observe(entry, dir.flip(), &seen, now);
        }
    };
    insert(0);
    let faults = taken(|| (1..2 * FLOWS.0 as u32).for_each(insert));
    let stats = table.stats();
    assert!(stats.used * 100 >= stats.capacity * 95, "{stats:?}");
    faults
}

#[test]
fn who_writes_through_a_whole_table_takes_no_page_fault() {
    for memory in [Memory::Memfd, Memory::Anonymous] {
        let (faults, pages) = (fill(memory), FLOWS.0 as u64 * 64 / PAGE);
        assert!(faults < 8, "{memory:?}: {faults} faults on {pages} pages");
    }
}

/// Page faults of a fresh worker's first new flows.
fn first_flows(memory: Memory) -> u64 {
    let mut there = Frames::new(60);
    for n in 0..NEW as u32 {
        let client = (Ipv4Addr::from_bits(0x0a00_0002 + n), 2000);
        there.push_as(L4::Opener, client, (Ipv4Addr::new(198, 51, 100, 1), 443));
    }
    let setup = Setup {
        tables: Some(tables(memory).tables),
        ..Setup::default()
    };
    let mut made = gateway(setup).expect("a gateway");
    let mut queues = Endless::pair(there, Frames::new(60));
    let worker = &mut made.workers[0];
    let faults = taken(|| {
        let mut done = 0;
        while done < NEW {
            done += worker.poll(NOW, &mut queues);
        }
    });
    let counters = worker.counters();
    assert_eq!(counters.rx.get(), counters.forwarded.get());
    faults
}

#[test]
fn a_worker_takes_no_page_fault_for_its_first_flows() {
    // Once for the program itself, whose code comes by page faults too.
    first_flows(Memory::Memfd);
    for memory in [Memory::Memfd, Memory::Anonymous] {
        let faults = first_flows(memory);
        assert!(faults < 8, "{memory:?}: {faults} faults");
    }
}

/// Page faults of writing every byte of every packet buffer of a pool.
fn first_frames(mut pool: Pool) -> u64 {
    let mut all = Vec::with_capacity(pool.total() + pool.large_total());
    all.extend(std::iter::from_fn(|| pool.take()));
    all.extend(std::iter::from_fn(|| pool.take_large()));
    taken(|| {
        all.iter_mut().for_each(|pkt| pkt.space().fill(1));
    })
}

#[test]
fn a_packet_buffers_first_frame_takes_no_page_fault() {
    const FRAMES: usize = 512;
    first_frames(Pool::new(1, 2048));
    for (size, large) in [(2048, 0), (9216, 0), (2048, 64)] {
        let pool = Pool::new(FRAMES, size).with_large(large, 0);
        let faults = first_frames(pool);
        assert!(faults < 8, "{size} bytes, {large} large: {faults} faults");
    }
}
