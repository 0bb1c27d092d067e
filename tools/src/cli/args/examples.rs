//! What stands below the options in each command's `--help`: examples, a word on them, the exit status.

pub(super) const EXAMPLES: &str = "\
examples:
  flowgate demo
  flowgate run --config flowgate.toml
  flowgate replay --config flowgate.toml uplink=trace.pcap --out-dir out
  flowgate route add 203.0.113.0/24 192.0.2.11 192.0.2.12
  flowgate group add 7 192.0.2.11 192.0.2.12
  flowgate flow list --nexthop 192.0.2.11
  flowgate explain tcp 10.0.0.2:1234 203.0.113.10:80
  flowgate capture -last
  flowgate ping -c 3 192.0.2.11
  flowgate status --json

A link to the binary named route, arp, ndp or netstat acts as that tool.

exit status: 0 done; 1 refused by the gateway; 2 a ping without a reply; 64 usage;
69 no flowgate at the socket; 70 own fault; 71 refused by the system;
73 no group secret; 74 output failed; 76 not a flowgate at the socket;
77 no right; 78 wrong configuration";

pub(super) const RUN_EXAMPLES: &str = "\
examples:
  flowgate run --config flowgate.toml
  flowgate run --config flowgate.toml --check
  flowgate run --config flowgate.toml --log debug

It runs in the foreground and logs to standard error. SIGTERM, SIGINT and SIGHUP end it;
a second one at once. SIGUSR1 and SIGUSR2 do nothing.
A complete, commented configuration is in docs/flowgate.example.toml.

exit status: 0 ended by a signal, or --check found nothing wrong;
1 a flowgate serves the socket already; 70 own fault; 71 refused by the system;
73 no group secret; 77 no right to make devices; 78 wrong configuration";

pub(super) const DEMO_EXAMPLES: &str = "\
examples:
  flowgate demo
  flowgate demo --connections 200
  flowgate demo --shell

exit status: 0 no surviving next hop's flow moved or broke; 1 one did;
71 the system forbids it; 130 Ctrl-C";

pub(super) const REPLAY_EXAMPLES: &str = "\
examples:
  flowgate replay --config flowgate.toml uplink=trace.pcap --out-dir out
  flowgate replay --config flowgate.toml trace.pcapng --out-dir out
  flowgate replay --config flowgate.toml uplink=trace.pcap --realtime --json

A gateway in memory: no device is made, no right is needed. pcap and pcapng of Ethernet or bare
IP; what a port sends goes to DIR/PORT.pcap. A capture whose interfaces are called as ports gives
each its own packets, without those marked as sent; any other is the first port's. Time is the
captures'; the same captures give the same result.

Nobody answers in a capture. So questions for neighbours are answered from 02:fe: and the last four
bytes of the address asked for, unless --no-answers; and frames to one station are taken for the
gateway's, unless --as-sent.

exit status: 0 done; 64 usage; 65 a capture is damaged; 66 it cannot be read; 70 own fault;
73 a capture cannot be made, or not whole; 74 output failed; 78 wrong configuration";

pub(super) const FLOW_EXAMPLES: &str = "\
examples:
  flowgate flow list --limit 20
  flowgate flow list --addr 203.0.113.0/24 --port 80 --proto tcp
  flowgate flow list --nexthop 192.0.2.11 --json
  flowgate flow list --templates
  flowgate flow flush --nexthop 192.0.2.11
  flowgate flow stats
  flowgate flow timeout
  flowgate flow timeout udp-two-way 60
  flowgate flow timeout --class dns udp-two-way 10
  flowgate flow timeout --delete dns

In a list, TO and BACK are the next hops of the two directions; a '!' marks one
that the flow leaves with its next packet. Packets and bytes are client to
server / server to client. A timeout holds from the next packet on, for old
flows too, until the gateway ends; [timeouts] in the configuration keeps it. Routes
with -timeouts NAME give those of --class NAME to their new flows; what such a class
does not say is as for all others.

exit status: 0 done; 1 refused; 64 usage; 69 no flowgate at the socket";

pub(super) const TEMPLATE_EXAMPLES: &str = "\
examples:
  flowgate template list
  flowgate template list --client 10.7.0.0/16 --json
  flowgate template list --nexthop 192.0.2.11
  flowgate template flush --client 10.7.3.9
  flowgate template flush --nexthop 192.0.2.11
  flowgate template flush --all

A route made with -sticky src/LEN keeps all flows of a client network on one next hop:
its template says which. Idle and Expires are seconds; '-' while it has flows. A flush
moves no flow: the client's next new flow chooses again.

exit status: 0 done; 1 refused: no such next hop; 64 usage; 69 no flowgate at the socket";

pub(super) const NEXTHOP_EXAMPLES: &str = "\
examples:
  flowgate nexthop show
  flowgate nexthop drain 192.0.2.11 --deadline 600 --plan
  flowgate nexthop drain 192.0.2.11 --deadline 600
  flowgate nexthop in 192.0.2.11
  flowgate nexthop down 192.0.2.12
  flowgate nexthop up 192.0.2.12 --json

An order holds for every route that names the next hop. To drain it in one route alone: route change ... -weight 0.
'flowgate status' shows the flows that a draining next hop has left, and the oldest.

exit status: 0 done; 1 refused: no such next hop; 64 usage; 69 no flowgate at the socket";

pub(super) const PING_EXAMPLES: &str = "\
examples:
  flowgate ping 192.0.2.11
  flowgate ping -c 3 -i 0.2 fd00:2::11
  flowgate ping -c 1 -s 1472 192.0.2.11
  flowgate ping -c 10 --json 192.0.2.11 | jq .rtt

The gateway itself sends, from its own address, by the routes of the packets that it forwards.
Without -c it goes on until Ctrl-C, which ends it with the statistics.

exit status: 0 somebody answered; 1 refused: no route, or the size does not fit, or the gateway
ended; 2 nobody answered; 64 usage; 69 no flowgate at the socket";

pub(super) const WORKERS_EXAMPLES: &str = "\
examples:
  flowgate workers
  flowgate workers --json
  flowgate workers set 8
  flowgate workers set 1

Flows belong to 256 slots, slots to workers. When the number of workers changes, slots move
a few at a time with their flows and pins; packets that come for them meanwhile are parked,
for a millisecond or two each time. As many workers as max-workers of the configuration are
made at the start; those that own no slot sleep, and hand on what their queues bring.

exit status: 0 done; 1 refused: no such number; 64 usage; 69 no flowgate at the socket";

pub(super) const STATUS_EXAMPLES: &str = "\
examples:
  flowgate status
  flowgate status --json

exit status: 0 done; 69 no flowgate at the socket";
