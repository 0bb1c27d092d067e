//! ARP and ND: frames to the table of neighbours, as the host's thread gives them to it.
//!
//! The first byte of each frame is time, the second its length.

use arp::{Config, Mac, PortId, PortInfo, Table};

const PORT: PortId = PortId(0);

pub(crate) fn run(data: &[u8]) {
    let (mut table, mut now, mut rest) = (table(), 0, data);
    while let Some((head, more)) = rest.split_first_chunk::<2>() {
        now += u64::from(head[0]) * 40;
        let (frame, more) = more.split_at(usize::from(head[1]).min(more.len()));
        rest = more;
        take(&mut table, frame, now);
    }
}

fn table() -> Table {
    let config = Config {
        limit: 16,
        ..Config::default()
    };
    let (mut table, _view) = arp::new(config, 1);
    let addrs = [("192.0.2.1", 24), ("fd00:2::1", 64), ("fe80::1", 64)];
    let info = PortInfo {
        port: PORT,
        mac: Mac([2, 0, 0, 0, 0, 1]),
        addrs: addrs
            .map(|(a, len)| (a.parse().expect("an address"), len))
            .to_vec(),
        up: true,
        advertise: Some(arp::Advertise {
            lifetime_s: 1800,
            interval_s: 600,
            mtu: 1500,
        }),
    };
    let mut out = Vec::new();
    table.set_port(info, 0, &mut out);
    for known in ["192.0.2.11", "fd00:2::11"] {
        let reserved = table.reserve(PORT, known.parse().expect("an address"), 0);
        assert!(reserved.is_ok(), "there is room for two");
    }
    table
}

fn take(table: &mut Table, frame: &[u8], now: u64) {
    let mut out = Vec::new();
    // Whatever it is called, it is read without harm.
    let _ = (arp::is_neighbour_frame(frame), arp::crossed_a_router(frame));
    let _ = table.input(PORT, frame, now, &mut out);
    table.poll(now, &mut out);
    let (used, limit) = table.fills();
    assert!(used <= limit, "{used} of {limit}");
    for answer in &out {
        assert!(
            arp::is_neighbour_frame(&answer.bytes).is_some(),
            "{answer:02x?}"
        );
    }
}
