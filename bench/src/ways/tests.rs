use super::*;

/// Whether a way resolves every packet of every thread, before route changes and after.
fn resolves(info: &WayInfo, traffic: &Traffic, nexthops: usize) {
    let way = (info.build)(traffic, nexthops);
    let mut taken = std::collections::HashSet::new();
    let mut workers: Vec<_> = (0..traffic.threads()).map(|t| way.worker(t)).collect();
    for number in 0..4 {
        for (thread, worker) in workers.iter_mut().enumerate() {
            let mut packets = traffic.packets_of(thread);
            assert!(!packets.iter().any(|packet| is_resolved(packet, nexthops)));
            packets
                .chunks_mut(BURST)
                .for_each(|burst| worker.burst(burst, 1));
            let all = packets.iter().all(|packet| is_resolved(packet, nexthops));
            assert!(all, "{} left a packet alone", info.name);
            taken.extend(packets.iter().map(|packet| packet.nhop));
        }
        assert_eq!(way.change(number), Ok(()), "{}", info.name);
    }
    assert_eq!(taken.len(), nexthops, "{} uses {taken:?}", info.name);
}

#[test]
fn every_way_resolves_every_packet_of_every_thread_over_every_next_hop() {
    let traffic = Traffic::new(200, 3);
    for info in WAYS {
        resolves(info, &traffic, 1);
        resolves(info, &traffic, 8);
    }
}

#[test]
fn whole_workers_forward_all_that_comes_as_they_say() {
    let traffic = Traffic::new(64, 2);
    for info in POLLED {
        let way = (info.build)(&traffic, 1);
        for thread in 0..traffic.threads() {
            let (mut worker, mut packets) = (way.worker(thread), traffic.packets_of(thread));
            for now in 1..=3 {
                let bursts = packets.chunks_mut(BURST);
                bursts.for_each(|burst| worker.burst(burst, now));
            }
        }
    }
}

#[test]
fn a_way_is_found_by_its_name_only() {
    for info in WAYS {
        assert_eq!(by_name(info.name).map(|found| found.name), Some(info.name));
    }
    assert!(by_name("rw").is_none());
    for info in POLLED {
        assert_eq!(to_step(info.name).map(|found| found.name), Some(info.name));
        assert!(by_name(info.name).is_none(), "{} is measured", info.name);
    }
}
