//! A case as text: one step a line, a number sign before words for people.

use std::fmt::Write;

/// What happens, or must have happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The gateway is configured: words of `tests/vectors/README.md`.
    Set(String),
    /// The running gateway is told something: words of `tests/vectors/README.md`.
    Do(String),
    /// A frame (a port without a link layer: a packet) arrives by a port.
    In(String, Vec<u8>),
    /// It leaves by a port, as the next one that leaves at all.
    Out(String, Vec<u8>),
    /// So many milliseconds pass. What they bring follows.
    Wait(u64),
    /// In the end a counter has grown by so much. One that is not named has not grown.
    Count(u64, String),
}

/// A case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vector {
    /// Its test's name, with the family if the test is about both.
    pub name: String,
    /// What it shows and who asks for it.
    pub about: String,
    /// What happens, in order.
    pub steps: Vec<Step>,
}

impl Vector {
    /// The text of its file.
    pub fn text(&self) -> String {
        let mut text = format!("# {}\n# {}\n", self.name, self.about);
        for step in &self.steps {
            let line = match step {
                Step::Set(words) => format!("set {words}"),
                Step::Do(words) => format!("do {words}"),
                Step::In(port, bytes) => format!("in {port} {}", hex(bytes)),
                Step::Out(port, bytes) => format!("out {port} {}", hex(bytes)),
                Step::Wait(ms) => format!("wait {ms}"),
                Step::Count(n, name) => format!("count {n} {name}"),
            };
            text.push_str(&line);
            text.push('\n');
        }
        text
    }

    /// Reads such a text; the fault, with its line, if it is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let comments: Vec<&str> = text.lines().filter_map(|l| l.strip_prefix("# ")).collect();
        let [name, about] = comments[..] else {
            return Err(
                "a name and a description, behind a number sign each, are wanted".to_owned(),
            );
        };
        let lines = text
            .lines()
            .enumerate()
            .filter(|(_, l)| !l.starts_with('#') && !l.is_empty());
        let read = |(no, line): (usize, &str)| {
            step(line).ok_or_else(|| format!("line {}: {line}", no + 1))
        };
        let steps = lines.map(read).collect::<Result<_, _>>()?;
        Ok(Self {
            name: name.to_owned(),
            about: about.to_owned(),
            steps,
        })
    }
}

fn step(line: &str) -> Option<Step> {
    let (verb, rest) = line.split_once(' ')?;
    let frame = || {
        let (port, hex) = rest.split_once(' ')?;
        Some((port.to_owned(), bytes(hex)?))
    };
    Some(match verb {
        "set" => Step::Set(rest.to_owned()),
        "do" => Step::Do(rest.to_owned()),
        "in" => frame().map(|(port, bytes)| Step::In(port, bytes))?,
        "out" => frame().map(|(port, bytes)| Step::Out(port, bytes))?,
        "wait" => Step::Wait(rest.parse().ok()?),
        "count" => {
            let (n, name) = rest.split_once(' ')?;
            Step::Count(n.parse().ok()?, name.to_owned())
        }
        _ => return None,
    })
}

/// Words of four bytes, as the RFCs draw them.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 9 / 4);
    for (i, byte) in bytes.iter().enumerate() {
        if i > 0 && i % 4 == 0 {
            text.push(' ');
        }
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = hex.bytes().filter(|b| *b != b' ').collect();
    let pairs = digits.chunks(2).map(|pair| {
        let text = std::str::from_utf8(pair).ok().filter(|t| t.len() == 2)?;
        u8::from_str_radix(text, 16).ok()
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_gives_back_the_case_and_a_bad_line_is_named() {
        let vector = Vector {
            name: "c99_nothing".to_owned(),
            about: "shows nothing".to_owned(),
            steps: vec![
                Step::Set("clients rpf strict".to_owned()),
                Step::In("clients".to_owned(), vec![0x45, 0, 0, 20, 1]),
                Step::Wait(10),
                Step::Do("route delete 10.0.0.0/8".to_owned()),
                Step::Out("rack".to_owned(), vec![1, 2, 3, 4]),
                Step::Count(2, "arp ignored: sender off-link".to_owned()),
            ],
        };
        assert_eq!(Vector::parse(&vector.text()), Ok(vector));
        let bad = "# a\n# b\nin clients 4x\n";
        assert_eq!(Vector::parse(bad), Err("line 3: in clients 4x".to_owned()));
        assert!(Vector::parse("# a\n").is_err());
    }
}
