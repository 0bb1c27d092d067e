//! `capture`: what the gateway keeps of packets, as lines or as a pcapng file.

use super::exit::Failure;
use super::exit::usage;
use super::interrupt::Watch;
use super::names::counted;
use super::session::Session;
use super::session::Tint;
use super::words::Words;
use crate::capture::headers;
use crate::capture::line;
use crate::client;
use crate::pcap::Block;
use crate::pcap::Link;
use crate::pcap::Writer;
use crate::wire::capture::Capture;
use crate::wire::capture::CaptureChange;
use crate::wire::capture::CapturePort;
use crate::wire::capture::CaptureRecord;
use crate::wire::capture::Captured;
use crate::wire::capture::Direction;
use crate::wire::explain::bytes_of_hex;
use serde_json::Value;
use std::fs::File;
use std::io;
use std::io::BufWriter;
use std::io::Write;

/// What `capture --help` prints.
pub(crate) const HELP: &str = "\
capture: show what flowgate keeps of packets: its last drops and what has changed, or all packets

usage:
  capture [-drops | -all [-sample N]] [-last] [-c COUNT] [-w FILE] [FILTER]

Without -all: the packets that were dropped lately (1,024 a worker are remembered, whoever asks) with the reason, what has
changed (routes, next hops, neighbours, ports), and what follows. With -all: every packet from now on, once when its fate is
known and once when it is sent; workers record all packets for as long as somebody asks. Without -last it goes on until Ctrl-C
or COUNT packets. A reader that is too slow misses packets, no worker waits: how many were missed is told at the end.

Of a dropped packet 104 bytes are kept, of others 232. Times are those of the worker's burst, in milliseconds.

FILTER: words joined by and (which may be left out), or, not, and parentheses:
  on PORT  in  out                            the port of the gateway, the way
  host ADDRESS  net PREFIX  port N            either end; src or dst before it: that end
  tcp  udp  icmp  icmp6  sctp  proto N        the transport protocol
  ip  ip6  arp                                the network protocol
  verdict NAME  reason NAME  worker N         forward, deliver, echo, neighbour, drop, sent, refused, lost; a counter

options:
  -drops         drops and changes (as without it)
  -all           all packets
  -sample N      one in N of all packets
  -last          what is remembered now, and no more
  -c COUNT       end after so many packets
  -w FILE        write pcapng, an interface for each port; - is standard output
  --json         machine-readable, see docs/CONTROL.md
  --socket PATH  the gateway's control socket (or FLOWGATE_SOCKET)

examples:
  capture -last
  capture reason ips_ttlexpired or reason ips_noroute
  capture -all -c 100 on rack and tcp port 80
  capture -all -sample 100 -w trace.pcapng not arp
  capture -w - -last | tshark -r -

exit status: 0 ended by -last, -c or Ctrl-C; 1 refused, or the gateway ended; 64 usage; 69 no flowgate at the socket;
74 the file cannot be written
";

/// What the words have said.
#[derive(Debug, Default)]
struct Said {
    ask: Capture,
    count: Option<u64>,
    file: Option<String>,
}

/// Captures.
///
/// # Errors
/// What is to be printed, and the exit status with it.
pub(crate) fn run(words: Words, session: &mut Session<'_>) -> Result<(), Failure> {
    let said = read(words)?;
    if session.json && said.file.is_some() {
        return usage("-w FILE or --json, not both: a file is pcapng");
    }
    let mut client = session.client()?;
    // Nothing may happen for long; that the gateway is there, its socket says.
    client.patience(None)?;
    let mut sink = Sink::open(&said, session)?;
    let watch = Watch::start(client.closer()?)?;
    let mut seen = Seen::default();
    let mut written = Ok(());
    let ended = client.call_more("Capture", &said.ask, |found: Captured, raw: &Value| {
        written = sink.take(session, &mut seen, &found, raw, said.count);
        written.is_ok() && said.count.is_none_or(|count| seen.packets < count)
    });
    let interrupted = watch.end();
    written.and_then(|()| sink.end(session))?;
    let ended = if interrupted { Ok(()) } else { ended };
    // What was captured is summed up, whoever ended it.
    if matches!(ended, Ok(()) | Err(client::Error::Ended(_))) {
        seen.print(session, said.file.as_deref())?;
    }
    Ok(ended?)
}

fn read(mut words: Words) -> Result<Said, Failure> {
    let (mut said, mut filter, mut drops) = (Said::default(), Vec::new(), false);
    while let Some(word) = words.next() {
        match word.as_str() {
            "-drops" => drops = true,
            "-all" => said.ask.all = true,
            "-last" => said.ask.last = true,
            "-sample" => said.ask.sample = Some(words.parse("-sample", "1 or more")?),
            "-c" => said.count = Some(count(&words.value("-c")?)?),
            "-w" => said.file = Some(words.value("-w")?),
            option if option.starts_with('-') => {
                return usage(format!("unknown option {option}: see --help"));
            }
            _ => filter.push(word),
        }
    }
    if drops && said.ask.all {
        return usage("-drops or -all, not both");
    }
    said.ask.filter = (!filter.is_empty()).then(|| filter.join(" "));
    match said.ask.clone().checked() {
        Ok(_) => Ok(said),
        Err(error) => usage(error.to_string()),
    }
}

fn count(text: &str) -> Result<u64, Failure> {
    match text.parse() {
        Ok(count @ 1..) => Ok(count),
        _ => usage(format!("-c {text}: write 1 or more")),
    }
}

/// How many came, and how many did not.
#[derive(Debug, Default)]
struct Seen {
    packets: u64,
    changes: u64,
    missed: u64,
}

impl Seen {
    /// The last line: on standard error, if the output is a file's or a program's.
    fn print(&self, session: &mut Session<'_>, file: Option<&str>) -> Result<(), Failure> {
        let packets = counted(self.packets, "packet");
        let changes = match self.changes {
            0 => String::new(),
            changes => format!(" and {}", counted(changes, "change")),
        };
        let line = format!("{packets}{changes} captured, {} missed", self.missed);
        if session.json || file == Some("-") {
            // With standard error closed there is nobody to tell.
            let _ = writeln!(io::stderr(), "{line}");
            return Ok(());
        }
        Ok(writeln!(session.out, "{line}")?)
    }
}

/// Where it goes.
enum Sink {
    Lines(Vec<CapturePort>),
    Json,
    Pcap(Box<Pcap>),
}

/// A file under way; it begins with the first answer, which names the ports.
struct Pcap {
    path: String,
    to: Option<Box<dyn Write>>,
    writer: Option<Writer<Box<dyn Write>>>,
    ports: Vec<CapturePort>,
    missed: u64,
}

impl Sink {
    fn open(said: &Said, session: &Session<'_>) -> Result<Self, Failure> {
        let Some(path) = &said.file else {
            return Ok(match session.json {
                true => Self::Json,
                false => Self::Lines(Vec::new()),
            });
        };
        let to: Box<dyn Write> = match path.as_str() {
            "-" => Box::new(BufWriter::new(io::stdout())),
            path => {
                let file = File::create(path);
                let file = file.map_err(|error| cannot_write(path, &error))?;
                Box::new(BufWriter::new(file))
            }
        };
        Ok(Self::Pcap(Box::new(Pcap {
            path: path.clone(),
            to: Some(to),
            writer: None,
            ports: Vec::new(),
            missed: 0,
        })))
    }

    fn take(
        &mut self,
        session: &mut Session<'_>,
        seen: &mut Seen,
        found: &Captured,
        raw: &Value,
        most: Option<u64>,
    ) -> Result<(), Failure> {
        let left = most.map_or(u64::MAX, |most| most.saturating_sub(seen.packets));
        let left = usize::try_from(left).unwrap_or(usize::MAX);
        let records = found.records.get(..left.min(found.records.len()));
        let records = records.unwrap_or_default();
        seen.packets += records.len() as u64;
        seen.changes += found.changes.len() as u64;
        seen.missed += found.missed;
        match self {
            Self::Json => {
                writeln!(session.out, "{raw}")?;
                Ok(session.out.flush()?)
            }
            Self::Lines(ports) => {
                if !found.ports.is_empty() {
                    ports.clone_from(&found.ports);
                }
                Ok(print(session, ports, records, &found.changes)?)
            }
            Self::Pcap(pcap) => {
                let written = pcap.write(found, records);
                written.map_err(|error| cannot_write(&pcap.path, &error))
            }
        }
    }

    fn end(&mut self, session: &mut Session<'_>) -> Result<(), Failure> {
        match self {
            Self::Pcap(pcap) => {
                let flushed = pcap.writer.as_mut().map_or(Ok(()), Writer::flush);
                flushed.map_err(|error| cannot_write(&pcap.path, &error))
            }
            _ => Ok(session.out.flush()?),
        }
    }
}

fn cannot_write(path: &str, error: &io::Error) -> Failure {
    Failure::Io(io::Error::new(error.kind(), format!("{path}: {error}")))
}

fn is_ether(ports: &[CapturePort], record: &CaptureRecord) -> bool {
    ports
        .iter()
        .any(|port| port.name == record.port && port.ether)
}

/// Packets and changes by time.
fn print(
    session: &mut Session<'_>,
    ports: &[CapturePort],
    records: &[CaptureRecord],
    changes: &[CaptureChange],
) -> io::Result<()> {
    let mut lines: Vec<(u64, bool, String)> = Vec::with_capacity(records.len() + changes.len());
    for record in records {
        let bytes = bytes_of_hex(&record.bytes).unwrap_or_default();
        let headers = headers(&bytes, is_ether(ports, record) && !record.bare);
        lines.push((record.time, false, line(record, &headers)));
    }
    for change in changes {
        let text = format!("{} -- {}", crate::capture::clock(change.time), change.text);
        lines.push((change.time, true, text));
    }
    lines.sort_by_key(|(time, ..)| *time);
    for (_, is_change, text) in lines {
        let text = match is_change {
            true => session.style.paint(Tint::Strong, &text),
            false => text,
        };
        writeln!(session.out, "{text}")?;
    }
    session.out.flush()
}

impl Pcap {
    fn write(&mut self, found: &Captured, records: &[CaptureRecord]) -> io::Result<()> {
        if let Some(to) = self.to.take() {
            self.ports.clone_from(&found.ports);
            let link = |port: &CapturePort| match port.ether {
                true => Link::Ether,
                false => Link::Ip,
            };
            let ports = self
                .ports
                .iter()
                .map(|port| (port.name.clone(), link(port)));
            let all: Vec<_> = ports.chain([("flowgate".to_owned(), Link::Text)]).collect();
            self.writer = Some(Writer::new(to, &all)?);
        }
        self.missed += found.missed;
        let (mut records, mut changes) =
            (records.iter().peekable(), found.changes.iter().peekable());
        loop {
            let packet_first = match (records.peek(), changes.peek()) {
                (Some(record), Some(change)) => record.time <= change.time,
                (Some(_), None) => true,
                (None, Some(_)) => false,
                (None, None) => break,
            };
            match packet_first {
                true => records
                    .next()
                    .map_or(Ok(()), |record| self.packet(record))?,
                false => changes
                    .next()
                    .map_or(Ok(()), |change| self.text(change.time, &change.text))?,
            }
        }
        self.writer.as_mut().map_or(Ok(()), Writer::flush)
    }

    fn packet(&mut self, record: &CaptureRecord) -> io::Result<()> {
        let comment = match &record.reason {
            Some(reason) => format!("{} {reason}, worker {}", record.verdict, record.worker),
            None => format!("{}, worker {}", record.verdict, record.worker),
        };
        let kept = bytes_of_hex(&record.bytes).unwrap_or_default();
        let interface = self.ports.iter().position(|port| port.name == record.port);
        let Some(interface) = interface.filter(|_| !kept.is_empty()) else {
            let text = format!("{comment}, {} bytes on {}", record.length, record.port);
            return self.text(record.time, &text);
        };
        let front = match record.bare && is_ether(&self.ports, record) {
            true => ether_front(&kept),
            false => Vec::new(),
        };
        let bytes = [front.as_slice(), &kept].concat();
        let block = Block {
            interface: interface as u32,
            time: record.time,
            bytes: &bytes,
            length: record.length + front.len() as u64,
            is_in: Some(record.direction == Direction::In),
            comment: &comment,
            missed: std::mem::take(&mut self.missed),
        };
        self.writer
            .as_mut()
            .map_or(Ok(()), |writer| writer.packet(&block))
    }

    /// Something that is no packet.
    fn text(&mut self, time: u64, text: &str) -> io::Result<()> {
        let block = Block {
            interface: self.ports.len() as u32,
            time,
            bytes: text.as_bytes(),
            length: text.len() as u64,
            is_in: None,
            comment: text,
            missed: 0,
        };
        self.writer
            .as_mut()
            .map_or(Ok(()), |writer| writer.packet(&block))
    }
}

/// The Ethernet header of a packet that never got one: no addresses, and the right type.
fn ether_front(packet: &[u8]) -> Vec<u8> {
    let six = packet.first().is_some_and(|first| first >> 4 == 6);
    let ethertype: [u8; 2] = if six { [0x86, 0xdd] } else { [0x08, 0x00] };
    [&[0; 12][..], &ethertype].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::test_support::run_tool;
    use crate::pcap::packet;
    use crate::server::fake::Fake;

    #[test]
    fn what_is_remembered_is_printed_by_time() {
        let (out, error, status) = run_tool(Fake::small(), run, "-last", false);
        assert_eq!((error, status), (None, 0));
        assert_eq!(
            out,
            "\
23:42:21.007 uplink in  drop ips_ttlexpired: IP 10.0.0.2.1234 > 203.0.113.10.80: tcp Flags [S], length 40
23:42:21.008 -- nexthop 192.0.2.11 on rack: dead
23:42:21.009 rack in  drop ips_noroute: IP 10.0.0.2.1234 > 203.0.113.10.80: tcp Flags [S], length 40
2 packets and 1 change captured, 5 missed
"
        );
        let (out, ..) = run_tool(
            Fake::small(),
            run,
            "-last reason ips_noroute and tcp port 80",
            false,
        );
        assert_eq!(out.lines().count(), 2, "{out}");
        assert!(out.ends_with("1 packet captured, 5 missed\n"), "{out}");
        let (out, ..) = run_tool(Fake::small(), run, "-last", true);
        let read: Captured = serde_json::from_str(&out).unwrap();
        assert_eq!(read.records.len(), 2);
    }

    #[test]
    fn a_count_ends_a_capture_of_all() {
        let (out, error, _) = run_tool(Fake::small(), run, "-all -c 2", false);
        assert_eq!(error, None);
        assert_eq!(out.matches(" forward: ").count(), 2, "{out}");
        assert!(out.ends_with("2 packets captured, 5 missed\n"), "{out}");
    }

    #[test]
    fn a_file_has_an_interface_a_port_and_a_header_where_one_is_missing() {
        let path = std::env::temp_dir().join(format!("fgcapture-{}", std::process::id()));
        let line = format!("-last -w {}", path.display());
        let (out, error, _) = run_tool(Fake::small(), run, &line, false);
        let file = std::fs::read(&path);
        let _ = std::fs::remove_file(&path);
        assert_eq!(
            (out.as_str(), error),
            ("2 packets and 1 change captured, 5 missed\n", None)
        );
        let file = file.unwrap();
        let bare = packet(&file, 1).unwrap().unwrap();
        assert!(!bare.ether && bare.bytes.len() == 40);
        assert!(
            packet(&file, 2)
                .unwrap_err()
                .contains("no packet but a change")
        );
        let framed = packet(&file, 3).unwrap().unwrap();
        assert!(framed.ether && framed.bytes.len() == 54);
        assert_eq!(framed.bytes[12..14], [8, 0]);
        let (_, error, _) = run_tool(
            Fake::small(),
            run,
            "-last -w /no/such/directory/file",
            false,
        );
        assert!(error.is_some_and(|line| line.contains("/no/such/directory/file")));
    }

    #[test]
    fn what_cannot_be_captured_is_told_in_one_line() {
        let wrong = |line: &str| read(Words::of(line)).unwrap_err().to_string();
        assert_eq!(wrong("-drops -all"), "-drops or -all, not both");
        assert_eq!(wrong("-c 0"), "-c 0: write 1 or more");
        assert_eq!(wrong("-al"), "unknown option -al: see --help");
        assert_eq!(
            wrong("-sample 5"),
            "sample goes with all: drops are all told"
        );
        assert_eq!(
            wrong("-all -last"),
            "last goes without all: of all packets none is remembered"
        );
        assert_eq!(
            wrong("host rack"),
            "filter, column 6: host rack: write an address"
        );
    }
}
