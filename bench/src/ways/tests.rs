use super::*;

#[test]
fn every_way_resolves_every_packet_of_every_thread() {
    let traffic = Traffic::new(200, 3);
    for info in WAYS {
        let way = (info.build)(&traffic);
        for thread in 0..traffic.threads() {
            let mut packets = traffic.packets_of(thread);
            assert!(!packets.iter().any(is_resolved));
            let mut worker = way.worker(thread);
            packets
                .chunks_mut(BURST)
                .for_each(|burst| worker.burst(burst, 1));
            assert!(
                packets.iter().all(is_resolved),
                "{} left a packet alone",
                info.name
            );
        }
    }
}

#[test]
fn a_way_is_found_by_its_name_only() {
    for info in WAYS {
        assert_eq!(by_name(info.name).map(|found| found.name), Some(info.name));
    }
    assert!(by_name("rw").is_none());
}
