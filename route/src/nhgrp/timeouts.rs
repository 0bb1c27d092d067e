//! The name under which a group's flows have their idle timeouts.
//!
//! What it stands for is for others to say: here it is a name, to tell options apart, and a number, for packets.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

/// A class of idle timeouts. Whoever knows the classes gives a name its number; until then it is 0, the default's.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TimeoutClass {
    /// Letters, and zeros behind them.
    name: [u8; Self::MOST_LETTERS],
    number: u8,
}

/// Why a text names no class.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} can be no name of timeouts: write 1 to 15 letters, digits, '-' and '_', and no '-' first"
)]
pub struct TimeoutClassError(String);

impl TimeoutClass {
    /// Most letters of a name.
    pub const MOST_LETTERS: usize = 15;
    /// How many there may be, the default among them.
    pub const MOST: u8 = 16;
    /// The name of the one that nobody named.
    pub const DEFAULT_NAME: &str = "default";

    /// Whether it is the one that nobody named.
    pub fn is_default(&self) -> bool {
        self.name[0] == 0
    }

    /// Its number, below 16.
    pub const fn number(&self) -> u8 {
        self.number
    }

    /// The same name with this number.
    #[must_use]
    pub fn numbered(self, number: u8) -> Self {
        Self {
            number: number % Self::MOST,
            ..self
        }
    }
}

impl FromStr for TimeoutClass {
    type Err = TimeoutClassError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == Self::DEFAULT_NAME {
            return Ok(Self::default());
        }
        let is_letter = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        let wrong = || TimeoutClassError(text.chars().take(40).collect());
        let mut name = [0; Self::MOST_LETTERS];
        let room = name.get_mut(..text.len()).ok_or_else(wrong)?;
        if text.is_empty() || text.starts_with('-') || !text.bytes().all(is_letter) {
            return Err(wrong());
        }
        room.copy_from_slice(text.as_bytes());
        Ok(Self { name, number: 0 })
    }
}

impl Display for TimeoutClass {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.is_default() {
            return f.write_str(Self::DEFAULT_NAME);
        }
        let letters = self.name.split(|byte| *byte == 0).next();
        f.write_str(std::str::from_utf8(letters.unwrap_or_default()).unwrap_or_default())
    }
}

impl fmt::Debug for TimeoutClass {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{self}#{}", self.number)
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::TimeoutClass;

    #[test]
    fn a_name_is_read_as_it_is_written() {
        for name in ["default", "a", "web-1_X", "fifteen-letters"] {
            let class: TimeoutClass = name.parse().unwrap();
            assert_eq!(class.to_string(), name);
            assert_eq!(class.is_default(), name == "default");
            let numbered = class.numbered(9);
            assert_eq!((numbered.to_string(), numbered.number()), (name.into(), 9));
        }
        for wrong in [
            "",
            "sixteen--letters",
            "web 1",
            "w\u{e9}b",
            "a\0b",
            "-web",
            "-",
        ] {
            assert!(wrong.parse::<TimeoutClass>().is_err(), "{wrong:?}");
        }
    }
}
