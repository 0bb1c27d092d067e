//! `TABLE_DUMP_V2` of the MRT format (RFC 6396 section 4.3): a BGP table, record by record.
//!
//! Taken are `RIB_IPV4_UNICAST` and `RIB_IPV6_UNICAST`, one route a record: the first entry's, or that of one peer.
//! Records of other kinds are skipped and counted. Memory: one record.

use super::Entry;
use super::Options;
use super::Place;
use super::RouteFile;
use super::Wrong;
use super::attributes::next_hop;
use super::given;
use super::is_wanted;
use crate::wire::batch::PathSet;
use crate::wire::route::PathSpec;
use route::Prefix;
use std::collections::HashMap;
use std::io::ErrorKind;
use std::io::Read;
use std::net::IpAddr;

/// MRT's type, and the subtypes that are read.
const TABLE_DUMP_V2: u16 = 13;
const PEER_INDEX_TABLE: u16 = 1;
const RIB_IPV4_UNICAST: u16 = 2;
const RIB_IPV6_UNICAST: u16 = 4;

/// A record's type and subtype.
type Kind = (u16, u16);

/// Bytes of a record's header.
const HEADER: usize = 12;

/// Longer records are none.
const RECORD: u32 = 64 << 20;

/// How often progress is told, in records.
const TELL: u64 = 1 << 14;

/// Bytes that are read from the front.
pub(super) struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next so many.
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let short = || {
            format!(
                "{count} bytes are due and {} are left: it is cut short",
                self.0.len()
            )
        };
        let (taken, rest) = self.0.split_at_checked(count).ok_or_else(short)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let taken = self.take(N)?;
        taken.try_into().map_err(|_| "it is cut short".into())
    }

    pub(super) fn u8(&mut self) -> Result<u8, String> {
        self.array().map(u8::from_be_bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16, String> {
        self.array().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Result<u32, String> {
        self.array().map(u32::from_be_bytes)
    }
}

/// Reads records to the end.
pub(super) fn read(
    mut input: impl Read,
    options: &Options,
    each: &mut dyn FnMut(usize),
) -> Result<RouteFile, Wrong> {
    let mut table = Table {
        options,
        file: RouteFile::default(),
        peers: None,
        by_hop: HashMap::new(),
    };
    let (mut number, mut byte, mut body) = (1, 0, Vec::new());
    loop {
        let place = Place::Record(number, byte);
        let wrong = |what: String| Wrong::At(place, what);
        let Some((kind, length)) = header(&mut input, place)? else {
            return Ok(table.file);
        };
        body.clear();
        let read = (&mut input).take(length.into()).read_to_end(&mut body);
        read.map_err(|error| unreadable(error, place))?;
        if body.len() < length as usize {
            let line = format!(
                "{length} bytes are due and {} are there: the file is cut short",
                body.len()
            );
            return Err(wrong(line));
        }
        table.record(kind, &body, place).map_err(wrong)?;
        byte += (HEADER + body.len()) as u64;
        number += 1;
        if number % TELL == 0 {
            each(table.file.routes.len());
        }
    }
}

fn unreadable(error: std::io::Error, place: Place) -> Wrong {
    match error.kind() {
        ErrorKind::UnexpectedEof => Wrong::At(place, "the compressed file is cut short".into()),
        _ => Wrong::Io(error),
    }
}

/// The kind (type, subtype) and the length of the next record; `None` behind the last.
fn header(input: &mut impl Read, place: Place) -> Result<Option<(Kind, u32)>, Wrong> {
    let mut head = Vec::with_capacity(HEADER);
    let read = input.take(HEADER as u64).read_to_end(&mut head);
    read.map_err(|error| unreadable(error, place))?;
    if head.is_empty() {
        return Ok(None);
    }
    let mut bytes = Bytes::new(&head);
    let mut fields = || Ok((bytes.u32()?, bytes.u16()?, bytes.u16()?, bytes.u32()?));
    let (_, kind, subkind, length) = fields().map_err(|what| Wrong::At(place, what))?;
    if length > RECORD {
        let line = format!("a record of {length} bytes: this is no MRT file, or a broken one");
        return Err(Wrong::At(place, line));
    }
    Ok(Some(((kind, subkind), length)))
}

struct Table<'a> {
    options: &'a Options,
    file: RouteFile,
    /// How many peers there are, once they were told.
    peers: Option<u16>,
    /// Sets by next hop.
    by_hop: HashMap<IpAddr, u32>,
}

impl Table<'_> {
    fn record(&mut self, kind: Kind, body: &[u8], place: Place) -> Result<(), String> {
        match kind {
            (TABLE_DUMP_V2, PEER_INDEX_TABLE) => {
                self.peers = Some(peers(body)?);
                Ok(())
            }
            (TABLE_DUMP_V2, RIB_IPV4_UNICAST) => self.rib(body, true, place),
            (TABLE_DUMP_V2, RIB_IPV6_UNICAST) => self.rib(body, false, place),
            _ => {
                self.file.skipped += 1;
                Ok(())
            }
        }
    }

    fn rib(&mut self, body: &[u8], is_v4: bool, place: Place) -> Result<(), String> {
        let peers = self.peers.ok_or("a route before the table of peers")?;
        let mut bytes = Bytes::new(body);
        bytes.u32()?;
        let prefix = prefix(&mut bytes, is_v4)?;
        let mut taken = None;
        for _ in 0..bytes.u16()? {
            let peer = bytes.u16()?;
            bytes.u32()?;
            let length = usize::from(bytes.u16()?);
            let attributes = bytes.take(length)?;
            if peer >= peers {
                return Err(format!(
                    "peer {peer} of {peers}: the table of peers has no such"
                ));
            }
            if taken.is_none() && self.options.peer.is_none_or(|wanted| wanted == peer) {
                taken = Some(attributes);
            }
        }
        if !bytes.is_empty() {
            return Err(format!(
                "{} bytes are left behind its last path",
                bytes.0.len()
            ));
        }
        match taken.filter(|_| is_wanted(&prefix, self.options)) {
            Some(attributes) => self.route(prefix, attributes, is_v4, place),
            None => Ok(()),
        }
    }

    fn route(
        &mut self,
        prefix: Prefix,
        attributes: &[u8],
        is_v4: bool,
        place: Place,
    ) -> Result<(), String> {
        let hop = next_hop(attributes, is_v4)?;
        let set = match (given(&prefix, self.options), hop) {
            (Some(set), _) => self.file.intern(set.clone()),
            (None, Some(hop)) => self.set_of(hop),
            (None, None) => {
                return Err(format!("{prefix} has no next hop: name one with -gateway"));
            }
        };
        self.file.routes.push(Entry { prefix, set, place });
        Ok(())
    }

    fn set_of(&mut self, hop: IpAddr) -> u32 {
        if let Some(set) = self.by_hop.get(&hop) {
            return *set;
        }
        let path = PathSpec {
            gateway: Some(hop),
            ..PathSpec::default()
        };
        let set = self.file.intern(PathSet {
            paths: vec![path],
            options: Default::default(),
        });
        self.by_hop.insert(hop, set);
        set
    }
}

/// The number of peers.
fn peers(body: &[u8]) -> Result<u16, String> {
    let mut bytes = Bytes::new(body);
    bytes.u32()?;
    let name = usize::from(bytes.u16()?);
    bytes.take(name)?;
    let count = bytes.u16()?;
    for _ in 0..count {
        let kind = bytes.u8()?;
        let address = if kind & 1 == 0 { 4 } else { 16 };
        let system = if kind & 2 == 0 { 2 } else { 4 };
        bytes.take(4 + address + system)?;
    }
    Ok(count)
}

/// A length, and as many bytes as it needs; bits behind the length do not count.
fn prefix(bytes: &mut Bytes<'_>, is_v4: bool) -> Result<Prefix, String> {
    let (length, most) = (bytes.u8()?, if is_v4 { 32 } else { 128 });
    if length > most {
        return Err(format!("a prefix of {length} bits: {most} are the most"));
    }
    let leading = bytes.take(usize::from(length).div_ceil(8))?;
    let mut octets = [0; 16];
    for (to, from) in octets.iter_mut().zip(leading) {
        *to = *from;
    }
    let address = if is_v4 {
        let [a, b, c, d, ..] = octets;
        IpAddr::from([a, b, c, d])
    } else {
        IpAddr::from(octets)
    };
    Ok(Prefix::masked(address, length))
}
