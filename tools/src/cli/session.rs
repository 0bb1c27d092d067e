//! What every command needs: where to write, how, and whom to ask.

use super::exit::Failure;
use crate::client::Client;
use crate::client::Error;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::io::IsTerminal;
use std::io::Write;
use std::path::PathBuf;

/// One command's surroundings.
pub struct Session<'a> {
    /// Standard output, or a test's buffer.
    pub out: &'a mut dyn Write,
    /// The control socket.
    pub socket: PathBuf,
    /// Print JSON.
    pub json: bool,
    /// What the terminal can show.
    pub style: Style,
}

/// How output is dressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Style {
    /// JSON with line breaks.
    pub pretty: bool,
    /// Colours.
    pub colour: bool,
}

/// What a colour means here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tint {
    /// All is well.
    Good,
    /// Worth a look.
    Warn,
    /// Something is broken.
    Bad,
    /// A heading.
    Strong,
}

impl Style {
    /// That of standard output: colours on a terminal that can show them, unless `NO_COLOR` is set.
    pub fn of_stdout() -> Self {
        let terminal = std::io::stdout().is_terminal();
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self {
            pretty: terminal,
            colour: terminal && !unwanted && !dumb,
        }
    }

    /// A value as JSON: one line, or several on a terminal.
    ///
    /// # Errors
    /// It cannot be one.
    pub fn json(self, value: &impl Serialize) -> std::io::Result<String> {
        let text = if self.pretty {
            serde_json::to_string_pretty(value)
        } else {
            serde_json::to_string(value)
        };
        Ok(text?)
    }

    /// The text, tinted where that is wanted.
    pub fn paint(self, tint: Tint, text: &str) -> String {
        let code = match tint {
            Tint::Good => "32",
            Tint::Warn => "33",
            Tint::Bad => "31",
            Tint::Strong => "1",
        };
        if self.colour {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

impl Session<'_> {
    /// A new connection to the gateway.
    ///
    /// # Errors
    /// See [`Client::connect`].
    pub fn client(&self) -> Result<Client, Error> {
        Client::connect(&self.socket)
    }

    /// One call on a connection of its own.
    ///
    /// # Errors
    /// See [`Client::call`].
    pub fn call<T: DeserializeOwned>(
        &self,
        name: &str,
        parameters: &impl Serialize,
    ) -> Result<T, Error> {
        self.client()?.call(name, parameters)
    }

    /// All pages of a list, each handed on as it comes: long lists never lie in memory. What `head` writes stands before
    /// the first, and nowhere if there is none.
    ///
    /// # Errors
    /// See [`Client::call_more`]; what `head` and `each` failed with.
    pub fn pages<T: DeserializeOwned>(
        &mut self,
        name: &str,
        parameters: &impl Serialize,
        head: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
        mut each: impl FnMut(&mut dyn Write, T) -> std::io::Result<()>,
    ) -> Result<(), Failure> {
        let mut client = self.client()?;
        let (mut head, mut written) = (Some(head), Ok(()));
        client.call_more(name, parameters, |page, _| {
            let headed = head.take().map_or(Ok(()), |head| head(self.out));
            written = headed.and_then(|()| each(self.out, page));
            written.is_ok()
        })?;
        Ok(written?)
    }

    /// A call's answer, the pages of a list joined into one object.
    ///
    /// # Errors
    /// See [`Client::call_more`].
    pub fn reply(&self, name: &str, parameters: &impl Serialize) -> Result<Value, Error> {
        let mut whole = Value::Null;
        self.client()?
            .call_more(name, parameters, |page: Value, _| {
                join(&mut whole, page);
                true
            })?;
        Ok(whole)
    }

    /// A call's answer as JSON.
    ///
    /// # Errors
    /// See [`Client::call_more`].
    pub fn print_reply(&mut self, name: &str, parameters: &impl Serialize) -> Result<(), Failure> {
        let whole = self.reply(name, parameters)?;
        self.print_json(&whole)
    }

    /// A value as JSON, on lines of its own.
    ///
    /// # Errors
    /// When the output fails.
    pub fn print_json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        Ok(writeln!(self.out, "{}", self.style.json(value)?)?)
    }
}

/// Appends a page's lists to those before.
fn join(whole: &mut Value, page: Value) {
    match (whole.as_object_mut(), page) {
        (Some(whole), Value::Object(page)) => {
            for (key, value) in page {
                match (whole.get_mut(&key).and_then(Value::as_array_mut), value) {
                    (Some(list), Value::Array(more)) => list.extend(more),
                    (_, value) => _ = whole.insert(key, value),
                }
            }
        }
        (_, page) => *whole = page,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn pages_are_joined() {
        let mut whole = Value::Null;
        join(&mut whole, json!({"a": [1], "b": []}));
        join(&mut whole, json!({"a": [2, 3], "b": [4]}));
        assert_eq!(whole, json!({"a": [1, 2, 3], "b": [4]}));
    }

    #[test]
    fn colour_is_used_only_where_wanted() {
        let plain = Style::default();
        assert_eq!(plain.paint(Tint::Bad, "dead"), "dead");
        let colour = Style {
            colour: true,
            ..plain
        };
        assert_eq!(colour.paint(Tint::Bad, "dead"), "\x1b[31mdead\x1b[0m");
    }
}
