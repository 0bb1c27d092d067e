//! Which packets are wanted, in words: `on rack and (tcp port 80 or reason ips_ttlexpired)`.
//!
//! ```text
//! filter = and { or and }      and = not { [and] not }      not = [not] one      one = ( filter ) | primitive
//! ```

use super::Headers;
use crate::wire::capture::CaptureRecord;
use crate::wire::capture::Direction;
use crate::wire::protocol;
use route::Prefix;
use stack::fate::DropReason;
use std::net::IpAddr;

/// Words of a filter at most, and parentheses and nots within each other.
const WORDS: usize = 256;
const DEPTH: usize = 32;

/// The verdicts that a record can have.
pub(crate) const VERDICTS: [&str; 8] = [
    "forward",
    "deliver",
    "echo",
    "neighbour",
    "drop",
    "sent",
    "refused",
    "lost",
];

const PRIMITIVES: &str = "on PORT, in, out, host ADDRESS, net PREFIX, proto NAME, tcp, udp, icmp, icmp6, sctp, ip, ip6, arp, port N, verdict \
                          NAME, reason NAME, worker N (src or dst before host, net, port), not, and, or, ( )";

/// Which end of a packet is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Either,
    Source,
    Destination,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    Everything,
    And(Vec<Self>),
    Or(Vec<Self>),
    Not(Box<Self>),
    On(String),
    Going(Direction),
    Net(End, Prefix),
    Port(End, u16),
    Protocol(u8),
    Ethertype(u16),
    Verdict(String),
    Reason(String),
    Worker(u16),
}

/// A filter, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter(Node);

impl Filter {
    /// Wants everything.
    pub const fn everything() -> Self {
        Self(Node::Everything)
    }

    /// Reads one.
    ///
    /// # Errors
    /// One line that says what is wrong, where, and what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parser = Parser::new(text)?;
        if parser.words.is_empty() {
            return Ok(Self::everything());
        }
        let node = parser.or(0)?;
        match parser.peek() {
            None => Ok(Self(node)),
            Some(word) => Err(parser.wrong(&format!("'{word}' closes nothing"))),
        }
    }

    /// Whether a gateway with these ports and so many workers has all ports and workers that are named.
    ///
    /// # Errors
    /// One line that says what it has not, and what it has.
    pub fn check_names(&self, ports: &[&str], workers: u16) -> Result<(), String> {
        self.0.check_names(ports, workers)
    }

    /// Whether a packet is wanted.
    pub fn wants(&self, record: &CaptureRecord, headers: &Headers) -> bool {
        self.0.wants(record, headers)
    }
}

impl Node {
    fn check_names(&self, ports: &[&str], workers: u16) -> Result<(), String> {
        match self {
            Self::And(nodes) | Self::Or(nodes) => nodes
                .iter()
                .try_for_each(|node| node.check_names(ports, workers)),
            Self::Not(node) => node.check_names(ports, workers),
            Self::On(port) if !ports.contains(&port.as_str()) => {
                let all = ports.join(", ");
                Err(format!("no port is called {port}: there are {all}"))
            }
            Self::Worker(worker) if *worker >= workers => {
                let last = workers.saturating_sub(1);
                Err(format!(
                    "there is no worker {worker}: there are 0 to {last}"
                ))
            }
            _ => Ok(()),
        }
    }

    fn wants(&self, record: &CaptureRecord, headers: &Headers) -> bool {
        match self {
            Self::Everything => true,
            Self::And(all) => all.iter().all(|node| node.wants(record, headers)),
            Self::Or(any) => any.iter().any(|node| node.wants(record, headers)),
            Self::Not(node) => !node.wants(record, headers),
            Self::On(port) => record.port == *port,
            Self::Going(direction) => record.direction == *direction,
            Self::Net(end, net) => {
                let ends = headers.ends;
                ends.is_some_and(|ends| of_ends(*end, ends, |addr| net.contains(addr)))
            }
            Self::Port(end, port) => {
                let ports = headers.ports;
                ports.is_some_and(|ports| of_ends(*end, ports, |is| is == *port))
            }
            Self::Protocol(number) => headers.protocol == Some(*number),
            Self::Ethertype(ethertype) => headers.ethertype == *ethertype,
            Self::Verdict(verdict) => record.verdict == *verdict,
            Self::Reason(reason) => record.reason.as_ref() == Some(reason),
            Self::Worker(worker) => record.worker == *worker,
        }
    }
}

fn of_ends<T: Copy>(end: End, (source, destination): (T, T), is: impl Fn(T) -> bool) -> bool {
    match end {
        End::Either => is(source) || is(destination),
        End::Source => is(source),
        End::Destination => is(destination),
    }
}

/// The words that are left, each with its column.
struct Parser<'t> {
    words: Vec<(usize, &'t str)>,
    at: usize,
}

impl<'t> Parser<'t> {
    fn new(text: &'t str) -> Result<Self, String> {
        let mut words = Vec::new();
        let mut rest = text;
        loop {
            rest = rest.trim_start();
            let Some(first) = rest.chars().next() else {
                break;
            };
            let is_mark = |c: char| matches!(c, '(' | ')' | '!');
            let len = match is_mark(first) {
                true => 1,
                false => rest
                    .find(|c: char| c.is_whitespace() || is_mark(c))
                    .unwrap_or(rest.len()),
            };
            let (word, after) = rest.split_at(len);
            words.push((text.len() - rest.len() + 1, word));
            rest = after;
            if words.len() > WORDS {
                return Err(format!("the filter has more than {WORDS} words"));
            }
        }
        Ok(Self { words, at: 0 })
    }

    fn peek(&self) -> Option<&'t str> {
        self.words.get(self.at).map(|(_, word)| *word)
    }

    fn next(&mut self) -> Option<&'t str> {
        let word = self.peek();
        self.at += usize::from(word.is_some());
        word
    }

    /// What is wrong, at the word that comes next.
    fn wrong(&self, what: &str) -> String {
        match self.words.get(self.at) {
            Some((column, _)) => format!("filter, column {column}: {what}"),
            None => format!("filter, at its end: {what}"),
        }
    }

    /// What is wrong with the word before.
    fn wrong_before(&self, what: &str) -> String {
        let column = self
            .words
            .get(self.at.saturating_sub(1))
            .map_or(1, |(column, _)| *column);
        format!("filter, column {column}: {what}")
    }

    fn or(&mut self, depth: usize) -> Result<Node, String> {
        let mut any = vec![self.and(depth)?];
        while matches!(self.peek(), Some("or" | "||")) {
            self.at += 1;
            any.push(self.and(depth)?);
        }
        Ok(one_of(any, Node::Or))
    }

    fn and(&mut self, depth: usize) -> Result<Node, String> {
        let mut all = vec![self.not(depth)?];
        loop {
            match self.peek() {
                Some("and" | "&&") => self.at += 1,
                None | Some("or" | "||" | ")") => return Ok(one_of(all, Node::And)),
                Some(_) => {}
            }
            all.push(self.not(depth)?);
        }
    }

    fn not(&mut self, depth: usize) -> Result<Node, String> {
        if depth > DEPTH {
            return Err(self.wrong(&format!("more than {DEPTH} parentheses within each other")));
        }
        match self.peek() {
            Some("not" | "!") => {
                self.at += 1;
                Ok(Node::Not(Box::new(self.not(depth + 1)?)))
            }
            Some("(") => {
                self.at += 1;
                let node = self.or(depth + 1)?;
                match self.next() {
                    Some(")") => Ok(node),
                    _ => Err(self.wrong("a ')' is missing")),
                }
            }
            _ => self.primitive(End::Either),
        }
    }

    fn primitive(&mut self, end: End) -> Result<Node, String> {
        let Some(word) = self.next() else {
            return Err(self.wrong(&format!("something is missing: {PRIMITIVES}")));
        };
        match word {
            "src" if end == End::Either => self.primitive(End::Source),
            "dst" if end == End::Either => self.primitive(End::Destination),
            "host" => self.host(end),
            "net" => self.net(end),
            "port" => Ok(Node::Port(
                end,
                self.number("port", "a port's number, 0 to 65535")?,
            )),
            word if end != End::Either => self.bare_end(end, word),
            "on" => Ok(Node::On(self.value("on", "a port's name")?.to_owned())),
            "in" => Ok(Node::Going(Direction::In)),
            "out" => Ok(Node::Going(Direction::Out)),
            "ip" => Ok(Node::Ethertype(0x0800)),
            "ip6" => Ok(Node::Ethertype(0x86dd)),
            "arp" => Ok(Node::Ethertype(0x0806)),
            "proto" => {
                let name = self.value("proto", "a protocol")?;
                let number = protocol::number(name);
                Ok(Node::Protocol(
                    number.map_err(|line| self.wrong_before(&line))?,
                ))
            }
            "verdict" => self.verdict(),
            "reason" => self.reason(),
            "worker" => Ok(Node::Worker(self.number("worker", "a worker's number")?)),
            name => match protocol::number(name) {
                Ok(number) if name.parse::<u8>().is_err() => Ok(Node::Protocol(number)),
                _ => Err(self.wrong_before(&format!("'{name}': write {PRIMITIVES}"))),
            },
        }
    }

    /// `src 10.0.0.1`, without a word between.
    fn bare_end(&self, end: End, word: &str) -> Result<Node, String> {
        let addr = word.parse::<IpAddr>();
        let addr = addr.map_err(|_| {
            self.wrong_before(&format!(
                "'{word}': write host, net or port behind src and dst"
            ))
        })?;
        Ok(Node::Net(end, host_prefix(addr)))
    }

    fn host(&mut self, end: End) -> Result<Node, String> {
        let word = self.value("host", "an address")?;
        let addr = word.parse::<IpAddr>();
        let addr =
            addr.map_err(|_| self.wrong_before(&format!("host {word}: write an address")))?;
        Ok(Node::Net(end, host_prefix(addr)))
    }

    fn net(&mut self, end: End) -> Result<Node, String> {
        let word = self.value("net", "a prefix")?;
        let net = word.parse::<Prefix>();
        let net = net.map_err(|error| self.wrong_before(&format!("net {word}: {error}")))?;
        Ok(Node::Net(end, net))
    }

    fn verdict(&mut self) -> Result<Node, String> {
        let word = self.value("verdict", "one")?;
        match VERDICTS.contains(&word) {
            true => Ok(Node::Verdict(word.to_owned())),
            false => {
                Err(self.wrong_before(&format!("verdict {word}: write {}", VERDICTS.join(", "))))
            }
        }
    }

    fn reason(&mut self) -> Result<Node, String> {
        let word = self.value("reason", "a counter of 'netstat -s'")?;
        let known =
            |reason: &DropReason| [false, true].iter().any(|v6| reason.name_in(*v6) == word);
        match DropReason::ALL.iter().any(known) {
            true => Ok(Node::Reason(word.to_owned())),
            false => Err(self.wrong_before(&format!(
                "reason {word}: there is none; 'netstat -s --json' names them"
            ))),
        }
    }

    fn value(&mut self, name: &str, right: &str) -> Result<&'t str, String> {
        match self.next() {
            Some(word) if !matches!(word, "(" | ")" | "!") => Ok(word),
            _ => {
                self.at = self.at.min(self.words.len());
                Err(self.wrong(&format!("{name} needs {right}")))
            }
        }
    }

    fn number(&mut self, name: &str, right: &str) -> Result<u16, String> {
        let word = self.value(name, right)?;
        let number = word.parse();
        number.map_err(|_| self.wrong_before(&format!("{name} {word}: write {right}")))
    }
}

fn one_of(mut nodes: Vec<Node>, wrap: fn(Vec<Node>) -> Node) -> Node {
    match nodes.len() {
        1 => nodes.remove(0),
        _ => wrap(nodes),
    }
}

fn host_prefix(addr: IpAddr) -> Prefix {
    Prefix::masked(addr, if addr.is_ipv4() { 32 } else { 128 })
}

#[cfg(test)]
mod tests {
    use super::super::headers;
    use super::super::tests::segment;
    use super::*;

    fn record() -> CaptureRecord {
        CaptureRecord {
            time: 1,
            worker: 2,
            port: "rack".into(),
            direction: Direction::In,
            verdict: "drop".into(),
            reason: Some("ips_ttlexpired".into()),
            length: 40,
            bytes: String::new(),
            bare: true,
        }
    }

    fn wants(filter: &str) -> bool {
        let filter = Filter::parse(filter).unwrap_or_else(|line| panic!("{line}"));
        filter.wants(&record(), &headers(&segment(), false))
    }

    #[test]
    fn words_mean_what_they_say() {
        for yes in [
            "",
            "on rack",
            "in",
            "not out",
            "host 10.0.0.2",
            "src host 10.0.0.2 and dst host 203.0.113.10",
            "src 10.0.0.2",
            "net 203.0.113.0/24",
            "dst net 203.0.112.0/23",
            "tcp",
            "proto 6",
            "tcp port 80",
            "src port 1234",
            "ip and not ip6 and !arp",
            "verdict drop",
            "reason ips_ttlexpired",
            "worker 2",
            "udp or tcp",
            "udp or (in and (tcp))",
            "udp and arp or tcp",
        ] {
            assert!(wants(yes), "{yes}");
        }
        for no in [
            "on uplink",
            "out",
            "host 10.0.0.3",
            "dst host 10.0.0.2",
            "net 10.1.0.0/16",
            "udp",
            "dst port 1234",
            "reason ips_noroute",
            "verdict sent",
            "worker 0",
            "tcp and (udp or arp)",
            "not (tcp or udp)",
            "ip6",
        ] {
            assert!(!wants(no), "{no}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let wrong = |text: &str| Filter::parse(text).unwrap_err();
        assert!(wrong("tcp prot 80").starts_with("filter, column 5: 'prot': write on PORT"));
        assert_eq!(
            wrong("host rack"),
            "filter, column 6: host rack: write an address"
        );
        assert_eq!(
            wrong("port 99999"),
            "filter, column 6: port 99999: write a port's number, 0 to 65535"
        );
        assert_eq!(wrong("(tcp"), "filter, at its end: a ')' is missing");
        assert_eq!(wrong("tcp)"), "filter, column 4: ')' closes nothing");
        assert!(wrong("tcp and").starts_with("filter, at its end: something is missing"));
        assert_eq!(wrong("host"), "filter, at its end: host needs an address");
        assert!(wrong("verdict no").contains("write forward, deliver"));
        assert!(wrong("reason ips_no").contains("there is none"));
        assert!(wrong("src tcp").contains("write host, net or port"));
        assert!(wrong("80").contains("'80': write"));
        assert!(wrong(&"(".repeat(99)).contains("parentheses"));
        assert!(wrong(&"not ".repeat(99)).contains("parentheses"));
        assert!(wrong(&"tcp ".repeat(999)).contains("more than 256 words"));
        let mut rng = fastrand::Rng::with_seed(3);
        let some = [
            "tcp", "(", ")", "not", "or", "and", "src", "host", "10.0.0.1", "port", "80", "ü",
            "net", "on",
        ];
        for _ in 0..20_000 {
            let words: Vec<_> = (0..rng.usize(..12))
                .map(|_| some[rng.usize(..some.len())])
                .collect();
            let _ = Filter::parse(&words.join(" "));
        }
    }
}
