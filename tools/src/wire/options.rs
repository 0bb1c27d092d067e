//! How a route treats flows, beside where it leads: on the wire, on the command line and in route files.

use super::route::Family;
use super::text;
use route::Prefix;
use route::TimeoutClass;
use serde::Deserialize;
use serde::Serialize;
use std::fmt;

/// By what a route tells flows apart that share its next hops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Select {
    /// Addresses, protocol and ports.
    #[default]
    #[serde(rename = "5-tuple")]
    Tuple,
    /// The source address.
    #[serde(rename = "source")]
    Source,
    /// Source and destination address.
    #[serde(rename = "source-destination")]
    SourceDestination,
    /// `(src xor dst) mod n`, for comparison only.
    #[serde(rename = "mod-n")]
    ModN,
}

impl Select {
    /// As `-select` takes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tuple => "5-tuple",
            Self::Source => "source",
            Self::SourceDestination => "source-destination",
            Self::ModN => "mod-n",
        }
    }
}

/// What flows do whose own next hop has come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failback {
    /// They stay where they are.
    #[default]
    Stay,
    /// They return.
    Return,
}

/// Client affinity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sticky {
    /// Leading bits of the source address that tell clients apart; all when left out or 128, in a change as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<u8>,
    /// Seconds for which a client's choice outlives its last flow: 1800 when left out, 0 ends affinity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u32>,
}

/// How a route treats flows. In a request, what is left out stays as it is, or as it is by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// By what it tells flows apart; the 5-tuple by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub select: Option<Select>,
    /// Whether all flows of a client network keep one next hop; not by default.
    #[serde(
        default,
        deserialize_with = "text::object::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub sticky: Option<Sticky>,
    /// What flows do whose own next hop has come back; they stay by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failback: Option<Failback>,
    /// Seconds over which a next hop that is added or comes back gets its share; 0 by default: at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slow_start: Option<u32>,
    /// Buckets of its group once it has several members: a power of two up to 65,536, fixed when it is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buckets: Option<u32>,
    /// The number of the group that it names, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<u32>,
    /// The name of the idle timeouts of its new flows; those of `[timeouts]` by default, which are called `default`.
    #[serde(
        default,
        with = "text::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub timeouts: Option<TimeoutClass>,
}

/// A sticky length that means every bit of an address of either family.
const ALL_BITS: u8 = 128;
/// The longest affinity, a week, seconds.
pub const MAX_STICKY_S: u32 = 604_800;
/// The longest slow start, a day, seconds.
pub const MAX_SLOW_START_S: u32 = 86_400;

impl Options {
    /// What `read` takes, without the dash.
    pub const WORDS: [&str; 8] = [
        "select",
        "sticky",
        "sticky-timeout",
        "failback",
        "slow-start",
        "buckets",
        "group",
        "timeouts",
    ];

    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Takes an option of the command line or of a route file.
    ///
    /// # Errors
    /// One line that says what would be right.
    pub fn read(&mut self, word: &str, value: &str) -> Result<(), String> {
        let wrong = |right: &str| format!("-{word} {value}: write {right}");
        match word {
            "select" => {
                let read = serde_json::from_value(value.into());
                let right = "5-tuple, source, source-destination or mod-n";
                self.select = Some(read.map_err(|_| wrong(right))?);
            }
            "failback" => {
                let read = serde_json::from_value(value.into());
                self.failback = Some(read.map_err(|_| wrong("stay or return"))?);
            }
            "slow-start" => {
                let seconds = value.parse().ok().filter(|s| *s <= MAX_SLOW_START_S);
                self.slow_start =
                    Some(seconds.ok_or_else(|| wrong("a number of seconds, 0 to 86400"))?);
            }
            "buckets" => {
                let buckets = value.parse().ok().filter(can_have_buckets);
                self.buckets = Some(buckets.ok_or_else(|| wrong(BUCKETS))?);
            }
            "group" => {
                let number = value.parse().ok().filter(|number| *number > 0);
                let right = "the group's number, from 1 to 4294967295";
                let number = number.ok_or_else(|| wrong(right))?;
                if let Some(first) = self.group.replace(number) {
                    return Err(format!(
                        "-group {number}: the route has -group {first} already: name one group"
                    ));
                }
            }
            "timeouts" => {
                let class = value.parse();
                self.timeouts = Some(class.map_err(|_| wrong(TIMEOUTS))?);
            }
            "sticky" => self.read_sticky(value)?,
            _ => {
                let seconds = value
                    .parse()
                    .ok()
                    .filter(|s| (1..=MAX_STICKY_S).contains(s));
                let seconds = seconds.ok_or_else(|| wrong("a number of seconds, 1 to 604800"))?;
                let sticky = self.sticky.get_or_insert_default();
                if sticky.timeout == Some(0) {
                    return Err(wrong("either -sticky off or a timeout, not both"));
                }
                sticky.timeout = Some(seconds);
            }
        }
        Ok(())
    }

    /// Refuses what only makes sense for a route that is sticky already: of one that is new all must be said.
    ///
    /// # Errors
    /// One line that says what would be right.
    pub fn check_whole(&self) -> Result<(), String> {
        match self.sticky {
            Some(Sticky {
                length: None,
                timeout: Some(1..),
            }) => Err(
                "-sticky-timeout goes with -sticky: write -sticky src, or -sticky src/LENGTH, too"
                    .to_owned(),
            ),
            _ => Ok(()),
        }
    }

    /// `src`, `src/24` or `off`.
    fn read_sticky(&mut self, value: &str) -> Result<(), String> {
        let sticky = self.sticky.get_or_insert_default();
        match value.split_once('/') {
            None if value == "src" => {
                sticky.length = Some(ALL_BITS);
                Ok(())
            }
            None if value == "off" && sticky.timeout.is_some() => {
                Err("-sticky off has no timeout: leave -sticky-timeout out".to_owned())
            }
            None if value == "off" => {
                sticky.timeout = Some(0);
                Ok(())
            }
            Some(("src", length)) if length.parse::<u8>().is_ok() => {
                sticky.length = length.parse().ok();
                Ok(())
            }
            _ => Err(format!(
                "-sticky {value}: write src, src/LENGTH such as src/24, or off"
            )),
        }
    }

    /// Checks bounds that depend on the destination.
    ///
    /// # Errors
    /// One line that says what would be right.
    pub fn check(&self, destination: Prefix) -> Result<(), String> {
        let most = match Family::of(destination.addr()) {
            Family::Inet => 32,
            Family::Inet6 => 128,
        };
        let sticky = self.sticky.unwrap_or_default();
        let length = sticky.length.filter(|length| *length != ALL_BITS);
        if let Some(length) = length.filter(|length| *length > most) {
            return Err(format!(
                "sticky src/{length} is too long for {destination}: write src/0 to src/{most}"
            ));
        }
        if sticky.timeout.is_some_and(|s| s > MAX_STICKY_S) {
            return Err("the sticky timeout is at most 604800 seconds, a week".to_owned());
        }
        if self.slow_start.is_some_and(|s| s > MAX_SLOW_START_S) {
            return Err("the slow start is at most 86400 seconds, a day".to_owned());
        }
        if let Some(buckets) = self.buckets.filter(|buckets| !can_have_buckets(buckets)) {
            return Err(format!("buckets {buckets}: write {BUCKETS}"));
        }
        match self.group {
            Some(0) => Err("group 0 is no group: their numbers begin at 1".to_owned()),
            _ => Ok(()),
        }
    }
}

/// What a class of timeouts can be called.
const TIMEOUTS: &str =
    "the name of such timeouts, 1 to 15 letters, digits, '-' and '_', or default";

/// What a number of buckets can be.
const BUCKETS: &str = "a power of two, 1 to 65536";

/// Whether a group can have so many buckets.
fn can_have_buckets(buckets: &u32) -> bool {
    buckets.is_power_of_two() && *buckets <= route::MAX_BUCKETS
}

/// As `read` takes it back, each option with a blank before it.
impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(select) = self.select {
            write!(f, " -select {}", select.name())?;
        }
        match self.sticky {
            Some(Sticky {
                timeout: Some(0), ..
            }) => write!(f, " -sticky off")?,
            Some(Sticky { length, timeout }) => {
                write!(f, " -sticky src")?;
                let length = length.filter(|length| *length != ALL_BITS);
                length.map_or(Ok(()), |length| write!(f, "/{length}"))?;
                timeout.map_or(Ok(()), |timeout| write!(f, " -sticky-timeout {timeout}"))?;
            }
            None => {}
        }
        match self.failback {
            Some(Failback::Stay) => write!(f, " -failback stay")?,
            Some(Failback::Return) => write!(f, " -failback return")?,
            None => {}
        }
        for (word, value) in [
            ("slow-start", self.slow_start),
            ("buckets", self.buckets),
            ("group", self.group),
        ] {
            value.map_or(Ok(()), |value| write!(f, " -{word} {value}"))?;
        }
        self.timeouts
            .map_or(Ok(()), |class| write!(f, " -timeouts {class}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Options, String> {
        let mut options = Options::default();
        let words: Vec<&str> = line.split_whitespace().collect();
        for pair in words.chunks(2) {
            options.read(pair[0].trim_start_matches('-'), pair[1])?;
        }
        Ok(options)
    }

    #[test]
    fn options_are_written_as_they_are_read() {
        for line in [
            "",
            " -select source",
            " -sticky src",
            " -sticky src/24 -sticky-timeout 60 -failback return -slow-start 30",
            " -sticky off -failback stay -slow-start 0",
            " -buckets 65536 -group 7",
            " -group 7 -timeouts web-1",
            " -timeouts default",
        ] {
            assert_eq!(read(line).unwrap().to_string(), line);
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_what_is_right() {
        for (line, right) in [
            (
                "-select x",
                "-select x: write 5-tuple, source, source-destination or mod-n",
            ),
            (
                "-sticky dst",
                "-sticky dst: write src, src/LENGTH such as src/24, or off",
            ),
            (
                "-sticky src/x",
                "-sticky src/x: write src, src/LENGTH such as src/24, or off",
            ),
            (
                "-sticky-timeout 0",
                "-sticky-timeout 0: write a number of seconds, 1 to 604800",
            ),
            ("-failback now", "-failback now: write stay or return"),
            (
                "-sticky off -sticky-timeout 9",
                "-sticky-timeout 9: write either -sticky off or a timeout, not both",
            ),
            (
                "-sticky-timeout 9 -sticky off",
                "-sticky off has no timeout: leave -sticky-timeout out",
            ),
            (
                "-slow-start -1",
                "-slow-start -1: write a number of seconds, 0 to 86400",
            ),
            (
                "-buckets 131072",
                "-buckets 131072: write a power of two, 1 to 65536",
            ),
            ("-buckets 0", "-buckets 0: write a power of two, 1 to 65536"),
            (
                "-timeouts web.1",
                "-timeouts web.1: write the name of such timeouts, 1 to 15 letters, digits, '-' and '_', or default",
            ),
            (
                "-group 0",
                "-group 0: write the group's number, from 1 to 4294967295",
            ),
        ] {
            assert_eq!(read(line).unwrap_err(), right);
        }
        assert!(read("-sticky-timeout 9").unwrap().check_whole().is_err());
        assert!(
            read("-sticky src -sticky-timeout 9")
                .unwrap()
                .check_whole()
                .is_ok()
        );
        let long = read("-sticky src/33").unwrap();
        assert_eq!(
            long.check("10.0.0.0/8".parse().unwrap()).unwrap_err(),
            "sticky src/33 is too long for 10.0.0.0/8: write src/0 to src/32"
        );
        assert_eq!(long.check("2001:db8::/32".parse().unwrap()), Ok(()));
    }
}
