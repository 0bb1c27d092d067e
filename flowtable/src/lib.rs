//! Flow keys and their hash, and the table of pins.
