//! Walks a TOML document with its line numbers: tables whose keys are taken one by one, and what is left is unknown.
//!
//! A [`Section`] never fails: a value that is not what it should be becomes a [`Problem`](super::Problem) and counts as left out, so
//! that one run finds everything that is wrong.

use super::Located;
use super::Problems;
use super::nearest::nearest;
use std::cell::RefCell;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use toml::Spanned;
use toml::de::DeTable;
use toml::de::DeValue;

/// A document being read: its text, for line numbers, and what was found wrong so far.
pub(super) struct Document<'a> {
    text: &'a str,
    problems: RefCell<&'a mut Problems>,
}

/// A table of the document.
pub(super) struct Section<'a> {
    document: &'a Document<'a>,
    /// How messages name it: `[gateway]`, `[[port]]`.
    what: String,
    /// The line of its head.
    pub(super) line: usize,
    table: &'a DeTable<'a>,
    taken: Vec<&'a str>,
}

impl<'a> Document<'a> {
    pub(super) fn new(text: &'a str, problems: &'a mut Problems) -> Self {
        Self {
            text,
            problems: RefCell::new(problems),
        }
    }

    pub(super) fn problem(&self, line: usize, message: impl Into<String>) {
        self.problems.borrow_mut().add(line, message);
    }

    /// The line of a place in the text, from 1.
    pub(super) fn line(&self, offset: usize) -> usize {
        let before = self.text.as_bytes().get(..offset).unwrap_or_default();
        before.iter().filter(|&&byte| byte == b'\n').count() + 1
    }

    /// The document itself, as a section.
    pub(super) fn root(&'a self, table: &'a DeTable<'a>) -> Section<'a> {
        Section {
            document: self,
            what: "the top level".into(),
            line: 1,
            table,
            taken: Vec::new(),
        }
    }
}

impl<'a> Section<'a> {
    fn value(&mut self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.taken.push(key);
        self.table.get(key)
    }

    /// True when the key is there, whatever its value is.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    fn line_of(&self, value: &Spanned<DeValue<'_>>) -> usize {
        self.document.line(value.span().start)
    }

    /// Something is wrong on a line of this section.
    pub(super) fn problem(&self, line: usize, message: impl Into<String>) {
        self.document.problem(line, message);
    }

    fn wrong(&self, value: &Spanned<DeValue<'_>>, key: &str, right: impl Display) {
        let shown = shown(value.get_ref());
        self.problem(
            self.line_of(value),
            format!("{key} = {shown}: write {right}"),
        );
    }

    /// `true` or `false`.
    pub(super) fn bool(&mut self, key: &'static str, default: bool) -> bool {
        let Some(value) = self.value(key) else {
            return default;
        };
        value.get_ref().as_bool().unwrap_or_else(|| {
            self.wrong(value, key, format_args!("{key} = true or {key} = false"));
            default
        })
    }

    /// A whole number within a range.
    pub(super) fn number<T>(
        &mut self,
        key: &'static str,
        range: RangeInclusive<T>,
    ) -> Option<Located<T>>
    where
        T: TryFrom<i64> + PartialOrd + Display + Copy,
    {
        let value = self.value(key)?;
        let number = integer(value.get_ref()).and_then(|number| T::try_from(number).ok());
        match number.filter(|number| range.contains(number)) {
            Some(number) => Some(Located {
                value: number,
                line: self.line_of(value),
            }),
            None => {
                let (least, most) = (range.start(), range.end());
                self.wrong(value, key, format_args!("a number from {least} to {most}"));
                None
            }
        }
    }

    /// A whole number with a default.
    pub(super) fn number_or<T>(
        &mut self,
        key: &'static str,
        range: RangeInclusive<T>,
        default: T,
    ) -> T
    where
        T: TryFrom<i64> + PartialOrd + Display + Copy,
    {
        self.number(key, range)
            .map_or(default, |number| number.value)
    }

    /// A text.
    pub(super) fn text(&mut self, key: &'static str, right: &str) -> Option<Located<String>> {
        let value = self.value(key)?;
        match value.get_ref().as_str() {
            Some(text) => Some(Located {
                value: text.to_owned(),
                line: self.line_of(value),
            }),
            None => {
                self.wrong(value, key, right);
                None
            }
        }
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(
        &mut self,
        key: &'static str,
        words: &[(&str, T)],
    ) -> Option<Located<T>> {
        let right: Vec<_> = words
            .iter()
            .map(|(word, _)| format!("{key} = \"{word}\""))
            .collect();
        let right = right.join(" or ");
        let Located { value: text, line } = self.text(key, &right)?;
        match words.iter().find(|(word, _)| *word == text) {
            Some(&(_, value)) => Some(Located { value, line }),
            None => {
                self.problem(line, format!("{key} = \"{text}\": write {right}"));
                None
            }
        }
    }

    /// A text that reads as something.
    pub(super) fn parsed<T: FromStr>(
        &mut self,
        key: &'static str,
        right: &str,
    ) -> Option<Located<T>> {
        let Located { value, line } = self.text(key, right)?;
        match value.parse() {
            Ok(value) => Some(Located { value, line }),
            Err(_) => {
                self.problem(line, format!("{key} = \"{value}\": write {right}"));
                None
            }
        }
    }

    /// The elements of a list, each with its line; a single value counts as a list of one.
    pub(super) fn list(&mut self, key: &'static str) -> Vec<Element<'a>> {
        let Some(value) = self.value(key) else {
            return Vec::new();
        };
        let element = |value: &'a Spanned<DeValue<'a>>| Element {
            line: self.line_of(value),
            value: value.get_ref(),
        };
        match value.get_ref().as_array() {
            Some(array) => array.iter().map(element).collect(),
            None => vec![element(value)],
        }
    }

    /// `[key]`
    pub(super) fn section(&mut self, key: &'static str) -> Option<Self> {
        let value = self.value(key)?;
        match value.get_ref().as_table() {
            Some(table) => Some(self.below(format!("[{key}]"), value, table)),
            None => {
                self.wrong(
                    value,
                    key,
                    format_args!("a table: a line [{key}], its keys below it"),
                );
                None
            }
        }
    }

    /// All tables below this one whose keys nobody took, such as `[timeouts.web]` below `[timeouts]`, with their names.
    pub(super) fn named(&mut self, key: &str) -> Vec<(&'a str, Self)> {
        let mut named = Vec::new();
        for (name, value) in self.table.iter() {
            let name: &'a str = name.get_ref().as_ref();
            if let Some(table) = value.get_ref().as_table()
                && !self.taken.contains(&name)
            {
                self.taken.push(name);
                named.push((name, self.below(format!("[{key}.{name}]"), value, table)));
            }
        }
        named
    }

    /// All `[[key]]`
    pub(super) fn sections(&mut self, key: &'static str) -> Vec<Self> {
        let Some(value) = self.value(key) else {
            return Vec::new();
        };
        let right = format!("a line [[{key}]] for each of them, its keys below it");
        let Some(array) = value.get_ref().as_array() else {
            self.wrong(value, key, right);
            return Vec::new();
        };
        let mut sections = Vec::new();
        for value in array.iter() {
            match value.get_ref().as_table() {
                Some(table) => sections.push(self.below(format!("[[{key}]]"), value, table)),
                None => self.wrong(value, key, &right),
            }
        }
        sections
    }

    fn below(&self, what: String, value: &Spanned<DeValue<'_>>, table: &'a DeTable<'a>) -> Self {
        let line = self.line_of(value);
        Self {
            document: self.document,
            what,
            line,
            table,
            taken: Vec::new(),
        }
    }

    /// A table that is an element of a list, such as `{ address = "10.0.0.1", weight = 2 }`.
    pub(super) fn of_element(&self, what: &str, element: &Element<'a>) -> Option<Self> {
        let table = element.value.as_table()?;
        let (document, line) = (self.document, element.line);
        Some(Self {
            document,
            what: what.into(),
            line,
            table,
            taken: Vec::new(),
        })
    }

    /// Every key that nobody asked for is unknown.
    pub(super) fn finish(self) {
        for (key, _) in self.table.iter() {
            let name = key.get_ref().as_ref();
            if self.taken.contains(&name) {
                continue;
            }
            let line = self.document.line(key.span().start);
            let what = &self.what;
            let message = match nearest(name, &self.taken) {
                Some(near) => format!("unknown key {name} in {what}: write {near}"),
                None => {
                    format!(
                        "unknown key {name} in {what}: its keys are {}",
                        self.taken.join(", ")
                    )
                }
            };
            self.problem(line, message);
        }
    }
}

/// An element of a list.
pub(super) struct Element<'a> {
    pub(super) line: usize,
    pub(super) value: &'a DeValue<'a>,
}

/// A whole number in any of TOML's notations.
pub(super) fn integer(value: &DeValue<'_>) -> Option<i64> {
    let integer = value.as_integer()?;
    i64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

/// A value as a message shows it: short values as they were written, others by their type.
pub(super) fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) if text.len() <= 60 => format!("\"{text}\""),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Integer(integer) => integer.to_string(),
        DeValue::Float(float) => float.to_string(),
        DeValue::Array(_) => "[...]".into(),
        DeValue::Table(_) => "{...}".into(),
        DeValue::String(_) | DeValue::Datetime(_) => format!("({})", value.type_str()),
    }
}
