//! `explain`: every decision about one packet, with its cause.

mod bytes;

use super::exit::Failure;
use super::exit::usage;
use super::session::Session;
use super::session::Tint;
use super::tuple;
use super::words::Words;
use crate::wire::explain::Explain;
use crate::wire::explain::ExplainFlow;
use crate::wire::explain::ExplainOut;
use crate::wire::explain::Explained;
use crate::wire::explain::Framing;
use crate::wire::explain::Turn;
use std::io;
use std::num::NonZeroUsize;

/// What `explain --help` prints.
pub(crate) const HELP: &str = "\
explain: what flowgate would do with a packet, and why: every decision with its cause, nothing sent, nothing counted

usage:
  explain [tcp|udp|icmp|icmp6|sctp|NUMBER] SOURCE[:PORT] DESTINATION[:PORT] [-port PORT] [-fib N] [-first | -later]
  explain -port PORT [-ether | -ip] HEX...
  explain -port PORT [-ether | -ip] -r FILE [-packet N]

A flow: its next packet, as it would come by PORT. Without -port that is the one by which its last one came, else the one
that the route back to the source leads to. -first, -later: which packet of the flow; without them a later one if it has an
entry. The port of an ICMP source is the echo identifier.

A packet: its bytes, as hexadecimal digits or in a capture file (pcap or pcapng; hexadecimal digits too, white space does not
count; - is standard input). It begins with what frames of the port begin with, or what the capture says; -ether or -ip says
it otherwise.

In the output a step marked ! ends the packet's way. What only a worker knows of itself (what waits there, what its limits
refuse) is not looked into.

options:
  -port PORT     the port that it comes in by
  -fib N         the FIB of that port, where it is not named
  -packet N      the Nth packet of the file (1)
  --json         machine-readable, see docs/CONTROL.md
  --socket PATH  the gateway's control socket (or FLOWGATE_SOCKET)

examples:
  explain tcp 10.0.0.2:1234 203.0.113.10:80
  explain tcp [fd99::2]:1000 [fd00:2::11]:80
  explain udp 10.0.0.2:1234 203.0.113.10:53 -port uplink -first
  explain icmp 10.0.0.2:7 192.0.2.1
  explain -port rack -r trace.pcap -packet 12
  explain -port uplink 4500001c 00010000 40110000 0a000002 cb00710a 04d20035 00080000

exit status: 0 explained, whatever the verdict; 1 refused; 64 usage; 65, 66 a file that is wrong,
cannot be read; 69 no flowgate at the socket
";

/// What the words have said.
#[derive(Debug, Default)]
struct Said {
    ask: Explain,
    file: Option<String>,
    packet: Option<usize>,
    words: Vec<String>,
}

/// Explains what the words name.
///
/// # Errors
/// What is to be printed, and the exit status with it.
pub(crate) fn run(words: Words, session: &mut Session<'_>) -> Result<(), Failure> {
    let ask = read(words)?;
    let explained: Explained = session.call("Explain", &ask)?;
    if session.json {
        return session.print_json(&explained);
    }
    Ok(print(session, &explained)?)
}

fn read(words: Words) -> Result<Explain, Failure> {
    let said = say(words)?;
    let Said {
        mut ask,
        file,
        packet,
        words,
    } = said;
    if let Some(file) = file {
        if !words.is_empty() {
            return usage(format!(
                "{}: -r FILE has the packet already",
                words.join(" ")
            ));
        }
        let (framing, hex) = bytes::of_file(&file, packet.unwrap_or(1))?;
        ask.framing = ask.framing.or(framing);
        ask.packet = Some(hex);
    } else if packet.is_some() {
        return usage("-packet goes with -r FILE");
    } else {
        what(&mut ask, &words)?;
    }
    if ask.packet.is_some() && ask.port.is_none() {
        return usage("a packet needs the port that it comes in by: -port PORT");
    }
    ask.checked().or_else(|error| usage(error.to_string()))
}

fn say(mut words: Words) -> Result<Said, Failure> {
    let mut said = Said::default();
    while let Some(word) = words.next() {
        match word.as_str() {
            "-port" => said.ask.port = Some(words.value("-port")?),
            "-fib" => said.ask.fib = Some(words.parse("-fib", "a FIB's number")?),
            "-first" => one(&mut said.ask.turn, Turn::First, "-first or -later")?,
            "-later" => one(&mut said.ask.turn, Turn::Later, "-first or -later")?,
            "-ether" => one(&mut said.ask.framing, Framing::Ether, "-ether or -ip")?,
            "-ip" => one(&mut said.ask.framing, Framing::Ip, "-ether or -ip")?,
            "-r" => said.file = Some(words.value("-r")?),
            "-packet" => {
                let number: NonZeroUsize = words.parse("-packet", "the packet's number, from 1")?;
                said.packet = Some(number.get());
            }
            option if option.starts_with('-') && option.len() > 1 => {
                return usage(format!("unknown option {option}: see --help"));
            }
            _ => said.words.push(word),
        }
    }
    Ok(said)
}

/// Of two words that contradict each other one is taken.
fn one<T: PartialEq>(said: &mut Option<T>, word: T, both: &str) -> Result<(), Failure> {
    if said.as_ref().is_some_and(|before| *before != word) {
        return usage(format!("{both}, not both"));
    }
    *said = Some(word);
    Ok(())
}

/// A flow by its words, or the packet that they spell.
fn what(ask: &mut Explain, words: &[String]) -> Result<(), Failure> {
    let named = match words {
        [protocol, from, to] => Some((Some(protocol), from, to)),
        [from, to] => Some((None, from, to)),
        _ => None,
    };
    let is_address = |word: &str| word.contains(['.', ':']);
    match named.filter(|(_, from, to)| is_address(from) || is_address(to)) {
        Some((protocol, from, to)) => ask.flow = Some(flow(protocol, from, to)?),
        None if words.is_empty() => return usage("nothing to explain: see --help"),
        None => ask.packet = Some(bytes::of_words(words)?),
    }
    Ok(())
}

fn flow(protocol: Option<&String>, from: &str, to: &str) -> Result<ExplainFlow, Failure> {
    let protocol = tuple::protocol(protocol.map_or("tcp", String::as_str))?;
    let (source, source_port) = tuple::end_of(&protocol, from)?;
    let (destination, destination_port) = tuple::end_of(&protocol, to)?;
    if source.is_ipv4() != destination.is_ipv4() {
        return usage(format!(
            "{source} and {destination} are of different families"
        ));
    }
    Ok(ExplainFlow {
        protocol,
        source,
        source_port: source_port.unwrap_or(0),
        destination,
        destination_port: destination_port.unwrap_or(0),
    })
}

fn print(session: &mut Session<'_>, of: &Explained) -> io::Result<()> {
    let style = session.style;
    let out = &mut *session.out;
    writeln!(out, "packet:  {}", of.packet)?;
    for assumed in &of.assumed {
        writeln!(out, "taken:   {assumed}")?;
    }
    for step in &of.steps {
        let (mark, tint) = match step.goes_on {
            true => (' ', None),
            false => ('!', Some(Tint::Warn)),
        };
        let line = format!("{mark} {:<9} {}", step.stage, step.cause);
        let line = tint.map_or_else(|| line.clone(), |tint| style.paint(tint, &line));
        writeln!(out, "{line}")?;
    }
    let tint = match of.verdict.as_str() {
        "drop" => Tint::Bad,
        "hold" | "collect" => Tint::Warn,
        _ => Tint::Good,
    };
    writeln!(out, "verdict: {}", style.paint(tint, &verdict(of)))?;
    if of.unsure {
        writeln!(
            out,
            "unsure:  the flow table is full here, and where the flow goes depends on whether another makes room for it"
        )?;
    }
    Ok(())
}

/// The verdict in a line.
fn verdict(of: &Explained) -> String {
    let what = match (of.verdict.as_str(), &of.out) {
        ("forward", Some(out)) => forward(out),
        ("deliver", _) => "deliver: to our own sockets".to_owned(),
        ("echo", _) => "echo: answered here".to_owned(),
        ("neighbour", _) => "neighbour: ARP or ND, to the host".to_owned(),
        ("hold", _) => "hold: it waits for its next hop's hardware address".to_owned(),
        ("collect", _) => "collect: it goes where its datagram's first piece goes".to_owned(),
        (other, _) => other.to_owned(),
    };
    match (&of.reason, &of.icmp) {
        (Some(reason), Some(icmp)) => format!("{what}, {reason}; its sender is told: {icmp}"),
        (Some(reason), None) => format!("{what}, {reason}; nobody is told"),
        _ => what,
    }
}

fn forward(out: &ExplainOut) -> String {
    let to = out
        .gateway
        .map_or_else(String::new, |gateway| format!(" to {gateway}"));
    let pieces = match out.pieces {
        1 => String::new(),
        pieces => format!(", in about {pieces} pieces"),
    };
    format!("forward{to}, out by {}{pieces}", out.port)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::test_support::run_tool;
    use crate::server::fake::Fake;

    fn wrong(line: &str) -> String {
        read(Words::of(line)).unwrap_err().to_string()
    }

    #[test]
    fn flows_and_packets_are_told_apart() {
        let ask = read(Words::of(
            "tcp 10.0.0.2:1234 203.0.113.10:80 -port in0 -first",
        ))
        .unwrap();
        let flow = ask.flow.unwrap();
        assert_eq!((flow.source_port, flow.destination_port), (1234, 80));
        assert_eq!(
            (ask.port.as_deref(), ask.turn),
            (Some("in0"), Some(Turn::First))
        );
        let ask = read(Words::of("10.0.0.2 203.0.113.10 -fib 1")).unwrap();
        assert_eq!(
            (ask.flow.unwrap().protocol.as_str(), ask.fib),
            ("tcp", Some(1))
        );
        let ask = read(Words::of("-port in0 4500 001c -ip")).unwrap();
        assert_eq!(ask.packet.as_deref(), Some("4500001c"));
        assert_eq!(ask.framing, Some(Framing::Ip));
    }

    #[test]
    fn what_cannot_be_read_is_told_in_one_line() {
        assert_eq!(wrong(""), "nothing to explain: see --help");
        assert_eq!(
            wrong("4500"),
            "a packet needs the port that it comes in by: -port PORT"
        );
        assert_eq!(
            wrong("-port in0 45x0"),
            "character 3 of the packet is no hexadecimal digit"
        );
        assert_eq!(
            wrong("tcp 10.0.0.1 fd00::1"),
            "10.0.0.1 and fd00::1 are of different families"
        );
        assert_eq!(wrong("-frist 4500"), "unknown option -frist: see --help");
        assert_eq!(
            wrong("-packet 2 -port in0 4500"),
            "-packet goes with -r FILE"
        );
        for number in ["0", "-1", "x"] {
            assert_eq!(
                wrong(&format!("-port in0 -r trace.pcap -packet {number}")),
                format!("-packet {number}: write the packet's number, from 1")
            );
        }
        assert_eq!(wrong("-fib x"), "-fib x: write a FIB's number");
        for both in ["-first -later", "-later -first"] {
            let line = format!("udp 10.0.0.1 10.0.0.2 {both}");
            assert_eq!(wrong(&line), "-first or -later, not both");
        }
        for both in ["-ether -ip", "-ip -ether"] {
            let line = format!("-port in0 4500 {both}");
            assert_eq!(wrong(&line), "-ether or -ip, not both");
        }
        assert!(wrong("tcp 10.0.0.1:x 10.0.0.2").starts_with("bad address"));
    }

    #[test]
    fn an_address_that_could_end_in_a_port_needs_brackets() {
        let told = "fd99::2:1000 is an address, or fd99::2 with port 1000: write [fd99::2]:1000, or [fd99::2:1000]:0";
        assert_eq!(wrong("tcp fd99::2:1000 fd00:2::11:80"), told);
        assert_eq!(wrong("fd99::2:1000 fd00::1"), told);
        assert!(wrong("udp [fd99::2]:9 fd00:2::11:80").starts_with("fd00:2::11:80 is an address"));
        for line in [
            "tcp [fd99::2]:1000 [fd00:2::11]:80",
            "tcp [fd99::2:1000]:0 fd00::1",
            "tcp fd99::1 fd00::a:b",
            "icmp6 fd99::2:1000 fd00::1:2",
            "tcp 1:2:3:4:5:6:7:8 fd00::99999",
        ] {
            let read = read(Words::of(line));
            assert_eq!(read.is_ok(), !line.ends_with("99999"), "{line}");
        }
        assert!(HELP.contains("explain tcp [fd99::2]:1000 [fd00:2::11]:80"));
    }

    #[test]
    fn an_extension_header_is_no_protocol_of_a_flow() {
        for number in [0, 43, 44, 60] {
            let told = format!(
                "protocol {number} is an IPv6 extension header: name the protocol behind it"
            );
            assert_eq!(wrong(&format!("{number} fd99::2 fd00::1")), told);
            assert_eq!(wrong(&format!("{number} 10.0.0.1 10.0.0.2")), told);
        }
        assert!(read(Words::of("50 fd99::2 fd00::1")).is_ok());
    }

    #[test]
    fn every_step_is_printed_with_its_cause_and_the_verdict_last() {
        let (out, error, status) =
            run_tool(Fake::small(), run, "tcp 10.0.0.2:1 203.0.113.10:80", false);
        assert_eq!((error, status), (None, 0));
        assert_eq!(
            out,
            "\
packet:  tcp 10.0.0.2:1 > 203.0.113.10:80 [S], 40 bytes, TTL 64
taken:   in by uplink, where the route to 10.0.0.2 leads
  port      in by uplink, which is up
! transit   TTL 1 is used up here
  icmp      time exceeded in transit to 10.0.0.2
verdict: drop, ips_ttlexpired; its sender is told: time exceeded in transit
"
        );
        let (out, ..) = run_tool(Fake::small(), run, "tcp 10.0.0.2:1 203.0.113.10:80", true);
        assert!(out.contains("\"reason\":\"ips_ttlexpired\""), "{out}");
    }
}
