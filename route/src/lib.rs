//! Prefixes, RIB, next hops, next-hop groups, FIB, stamps and their publication.
