//! pcapng, written: a section, an interface for each port, a packet at a time (draft-ietf-opsawg-pcapng).
//!
//! Times are milliseconds. What a packet's block says besides its bytes: its direction (`epb_flags`), what became of it
//! (a comment), and before it how many were missed (`epb_dropcount`). Changes that are no packets are packets of an
//! interface of their own, whose link type (147, for private use) no dissector claims: their bytes are their text.

use stack::io::pcap;
use std::io;
use std::io::Write;

/// The link type of bare IP, and of what is for private use.
const RAW: u32 = 101;
const PRIVATE: u32 = 147;

/// Options.
const COMMENT: u16 = 1;
const IF_NAME: u16 = 2;
const IF_TSRESOL: u16 = 9;
const EPB_FLAGS: u16 = 2;
const EPB_DROPCOUNT: u16 = 4;

/// `shb_userappl`.
const USERAPPL: u16 = 4;

/// What an interface's packets begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// An Ethernet header.
    Ether,
    /// The IP header.
    Ip,
    /// They are text.
    Text,
}

/// A packet to be written.
#[derive(Debug, Clone, Copy)]
pub struct Block<'a> {
    /// Which interface, from 0.
    pub interface: u32,
    /// Milliseconds since 1970.
    pub time: u64,
    /// Its first bytes.
    pub bytes: &'a [u8],
    /// Its length.
    pub length: u64,
    /// Whether it came in; left out, nobody knows.
    pub is_in: Option<bool>,
    /// What is to be said of it.
    pub comment: &'a str,
    /// Packets missed before it.
    pub missed: u64,
}

/// A file under way.
#[derive(Debug)]
pub struct Writer<W: Write> {
    to: W,
}

impl<W: Write> Writer<W> {
    /// Begins a file with these interfaces.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn new(to: W, interfaces: &[(String, Link)]) -> io::Result<Self> {
        let mut writer = Self { to };
        let mut section = [pcap::BYTE_ORDER.to_le_bytes(), 1_u32.to_le_bytes()].concat();
        section.extend(u64::MAX.to_le_bytes());
        option(
            &mut section,
            USERAPPL,
            concat!("flowgate ", env!("CARGO_PKG_VERSION")).as_bytes(),
        );
        end_options(&mut section);
        writer.block(pcap::SECTION, &section)?;
        for (name, link) in interfaces {
            let link = match link {
                Link::Ether => pcap::ETHERNET,
                Link::Ip => RAW,
                Link::Text => PRIVATE,
            };
            // No snap length: how much is kept, the gateway says with each packet.
            let mut body = [link.to_le_bytes(), [0; 4]].concat();
            option(&mut body, IF_NAME, name.as_bytes());
            option(&mut body, IF_TSRESOL, &[3]);
            end_options(&mut body);
            writer.block(pcap::INTERFACE, &body)?;
        }
        Ok(writer)
    }

    /// Writes one packet.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn packet(&mut self, of: &Block<'_>) -> io::Result<()> {
        let captured = of.bytes.len() as u32;
        let length = u32::try_from(of.length).unwrap_or(u32::MAX).max(captured);
        let words = [
            of.interface,
            (of.time >> 32) as u32,
            of.time as u32,
            captured,
            length,
        ];
        let mut body: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        padded(&mut body, of.bytes);
        option(&mut body, COMMENT, of.comment.as_bytes());
        if let Some(is_in) = of.is_in {
            let flags: u32 = if is_in { 1 } else { 2 };
            option(&mut body, EPB_FLAGS, &flags.to_le_bytes());
        }
        if of.missed > 0 {
            option(&mut body, EPB_DROPCOUNT, &of.missed.to_le_bytes());
        }
        end_options(&mut body);
        self.block(pcap::ENHANCED, &body)
    }

    /// What was written goes to the file.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }

    fn block(&mut self, kind: u32, body: &[u8]) -> io::Result<()> {
        let len = (12 + body.len()) as u32;
        self.to.write_all(&kind.to_le_bytes())?;
        self.to.write_all(&len.to_le_bytes())?;
        self.to.write_all(body)?;
        self.to.write_all(&len.to_le_bytes())
    }
}

fn padded(body: &mut Vec<u8>, bytes: &[u8]) {
    body.extend_from_slice(bytes);
    body.resize(body.len().next_multiple_of(4), 0);
}

fn option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    let value = value
        .get(..value.len().min(usize::from(u16::MAX)))
        .unwrap_or_default();
    body.extend(code.to_le_bytes());
    body.extend((value.len() as u16).to_le_bytes());
    padded(body, value);
}

fn end_options(body: &mut Vec<u8>) {
    body.extend([0; 4]);
}

#[cfg(test)]
mod tests {
    use super::super::packet;
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let interfaces = [
            ("rack".to_owned(), Link::Ether),
            ("uplink".to_owned(), Link::Ip),
        ];
        let mut file = Vec::new();
        let mut writer = Writer::new(&mut file, &interfaces).unwrap();
        let of = |interface, bytes| Block {
            interface,
            time: 1_795_218_141_007,
            bytes,
            length: 1500,
            is_in: Some(true),
            comment: "drop ips_ttlexpired",
            missed: 3,
        };
        writer.packet(&of(0, b"an ethernet frame")).unwrap();
        writer.packet(&of(1, b"a packet")).unwrap();
        writer.flush().unwrap();
        assert_eq!(file.len() % 4, 0);
        let first = packet(&file, 1).unwrap().unwrap();
        assert!(first.ether && first.bytes == b"an ethernet frame");
        let second = packet(&file, 2).unwrap().unwrap();
        assert!(!second.ether && second.bytes == b"a packet");
        assert_eq!(packet(&file, 3).unwrap_err(), "packet 3: the capture has 2");
    }
}
