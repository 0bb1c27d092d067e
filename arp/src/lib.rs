//! Neighbours of both families: ARP and ND states, timers, held packets, link headers.
