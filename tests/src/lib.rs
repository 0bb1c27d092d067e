//! End-to-end and conformance tests, the simulated network, the oracles.
