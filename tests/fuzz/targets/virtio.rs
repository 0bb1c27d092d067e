//! A virtio header and the packet behind it: whatever they say of each other, what leaves is finished, fits, and the books balance.

use flowgate_tests::net::{Scene, Transport, check};
use flowgate_tests::rack::{CLIENTS, GATEWAY_MAC, RACK, server_mac};
use flowgate_tests::sim::{SimGateway, client_and_rack};
use route::PortId;
use stack::Setup;
use stack::host::{HostCmd, HostLink};
use stack::offload::{Caps, Offload, VNET_HDR};
use stack::ports::Layer;
use std::cell::RefCell;

/// Large buffers of the gateway's worker: those that wait for a neighbour keep half of them.
const LARGE: usize = 4;

thread_local! {
    /// A gateway whose clients leave everything undone and whose rack takes none of that; one for all inputs.
    static GATEWAY: RefCell<Option<SimGateway>> = const { RefCell::new(None) };
}

pub(crate) fn run(data: &[u8]) {
    let Some((header, packet)) = data.split_first_chunk::<VNET_HDR>() else {
        return;
    };
    let Ok(offload) = Offload::decode(header, packet.len()) else {
        return;
    };
    // What is written is read as the same again, but for the length of headers, which nobody believes.
    assert_eq!(
        Offload::decode(&offload.encode(packet), packet.len()),
        Ok(offload)
    );
    if packet.is_empty() {
        return;
    }
    GATEWAY.with_borrow_mut(|sim| {
        let sim = sim.get_or_insert_with(fresh);
        sim.put_unfinished(CLIENTS, 0, &(packet.to_vec(), offload));
        for sent in sim.settle() {
            let layer = match sent.port {
                RACK => Layer::L2(GATEWAY_MAC),
                _ => Layer::L3,
            };
            assert!(sent.port != RACK || sent.offload.is_none(), "{sent:?}");
            if let Err(fault) = check::frame(&sent.bytes, layer, 1500, Transport::Ignored) {
                panic!("a bad frame left: {fault}: {sent:02x?}");
            }
        }
        sim.assert_books();
        let totals = sim.gateway.control.totals();
        assert!(
            totals.large_used <= totals.waiting.min(LARGE as u64 / 2),
            "{totals:?}"
        );
    });
}

fn fresh() -> SimGateway {
    let setup = Setup {
        ports: client_and_rack(GATEWAY_MAC),
        large_buffers: LARGE,
        ..Scene::setup(1)
    };
    let mut sim = SimGateway::with_offloads(setup, &[Caps::ALL, Caps::NONE]);
    for server in ["192.0.2.11", "fd00:2::11"] {
        sim.gateway.host.call(HostCmd::SetStatic {
            port: PortId(RACK as u16),
            addr: server.parse().expect("an address"),
            mac: server_mac(0),
            published: false,
        });
    }
    sim.settle();
    sim
}
