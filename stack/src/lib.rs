//! The packet path: input, forward, output, ICMP, fragments; workers; ports; local sockets.
