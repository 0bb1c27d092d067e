//! The flowgate binary: daemon, command line, demo.
