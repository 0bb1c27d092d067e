//! The words of FreeBSD-style commands: single-dash options, anywhere, and values behind them.
//!
//! clap reads the outer shape only; `route`, `arp`, `ndp` and `netstat` read their words here, so that they work the
//! same as subcommands and under their own names (links to the binary).

use super::exit::Failure;
use super::exit::usage;
use std::collections::VecDeque;
use std::ffi::OsString;
use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;

/// The options that every tool has, wherever they stand.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Common {
    pub(crate) json: bool,
    pub(crate) help: bool,
    pub(crate) socket: Option<PathBuf>,
}

/// The words that are left, to be taken one by one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Words(VecDeque<String>);

/// Takes the common options out of a command line.
pub(crate) fn split(raw: impl IntoIterator<Item = OsString>) -> Result<(Common, Words), Failure> {
    let mut common = Common::default();
    let mut words = VecDeque::new();
    let mut raw = raw.into_iter();
    while let Some(word) = raw.next() {
        let text = word.to_string_lossy();
        match text.as_ref() {
            "--json" => common.json = true,
            "--help" => common.help = true,
            "--socket" => match raw.next() {
                Some(path) => common.socket = Some(path.into()),
                None => return usage("--socket needs a path: write --socket PATH"),
            },
            long if long.starts_with("--socket=") => {
                common.socket = Some(long["--socket=".len()..].into());
            }
            // A tool's own long option, which it reads as any other.
            "--plan" => words.push_back("-plan".to_owned()),
            long if long.starts_with("--") => {
                return usage(format!("unknown option {long}: see --help"));
            }
            _ => words.push_back(text.into_owned()),
        }
    }
    Ok((common, Words(words)))
}

impl Words {
    #[cfg(test)]
    pub(crate) fn of(line: &str) -> Self {
        Self(line.split_whitespace().map(str::to_owned).collect())
    }

    /// The next word, if it is there.
    pub(crate) fn next(&mut self) -> Option<String> {
        self.0.pop_front()
    }

    /// The word behind an option.
    pub(crate) fn value(&mut self, option: &str) -> Result<String, Failure> {
        match self.0.pop_front() {
            Some(value) => Ok(value),
            None => usage(format!("{option} needs a value")),
        }
    }

    /// The value behind an option, of a type that reads itself.
    pub(crate) fn parse<T: FromStr>(&mut self, option: &str, right: &str) -> Result<T, Failure> {
        let value = self.value(option)?;
        read(&value, &format!("{option} "), right)
    }
}

/// Reads a word, or says what would be right.
pub(crate) fn read<T: FromStr>(word: &str, before: &str, right: &str) -> Result<T, Failure> {
    word.parse()
        .or_else(|_| usage(format!("{before}{word}: write {right}")))
}

/// Reads a word whose type has a good error of its own.
pub(crate) fn read_own<T: FromStr<Err: Display>>(word: &str) -> Result<T, Failure> {
    word.parse()
        .or_else(|error: T::Err| usage(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(line: &str) -> Vec<OsString> {
        line.split(' ').map(Into::into).collect()
    }

    #[test]
    fn common_options_may_stand_anywhere() {
        let (common, words) = split(raw(
            "add --json 10.0.0.0/8 --socket=a -weight 5 --socket b --help",
        ))
        .unwrap();
        assert_eq!(
            common,
            Common {
                json: true,
                help: true,
                socket: Some("b".into())
            }
        );
        assert_eq!(words, Words::of("add 10.0.0.0/8 -weight 5"));
        assert_eq!(split(raw("add --plan")).unwrap().1, Words::of("add -plan"));
    }

    #[test]
    fn unknown_long_options_are_refused() {
        assert_eq!(
            split(raw("--jsn")).unwrap_err().to_string(),
            "unknown option --jsn: see --help"
        );
        assert_eq!(
            split(raw("show --socket")).unwrap_err().to_string(),
            "--socket needs a path: write --socket PATH"
        );
    }
}
