//! A small parser of the description.

use crate::wire::idl::DESCRIPTION;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

/// What stands in the description: `type`s and `error`s with their fields, methods with both sides' fields.
#[derive(Default)]
pub(super) struct Description {
    pub(super) types: BTreeMap<String, Vec<String>>,
    pub(super) methods: BTreeMap<String, (Vec<String>, Vec<String>)>,
    pub(super) errors: BTreeSet<String>,
}

pub(super) fn read_description() -> Description {
    let text: String = DESCRIPTION
        .lines()
        .filter(|line| !line.starts_with('#') && !line.starts_with("interface"))
        .map(|line| format!("{line} "))
        .collect();
    let mut description = Description::default();
    let mut rest = text.trim_start();
    while let Some((word, after)) = rest.split_once(' ') {
        let (name, after) = after.split_at(after.find('(').expect("each member has a '('"));
        let (fields, after) = braces(after);
        let name = name.trim().to_owned();
        rest = after.trim_start();
        match word {
            "type" => assert!(description.types.insert(name, fields).is_none()),
            "error" => assert!(description.errors.insert(name)),
            "method" => {
                let (reply, after) = braces(rest.strip_prefix("->").expect("->").trim_start());
                rest = after.trim_start();
                assert!(description.methods.insert(name, (fields, reply)).is_none());
            }
            other => panic!("what is {other}?"),
        }
    }
    description
}

/// The field names within the parenthesis that `text` starts with, and what follows it.
fn braces(text: &str) -> (Vec<String>, &str) {
    let mut depth = 0;
    for (at, byte) in text.bytes().enumerate() {
        depth += match byte {
            b'(' => 1,
            b')' => -1,
            _ => 0,
        };
        if depth == 0 {
            return (field_names(&text[1..at]), &text[at + 1..]);
        }
    }
    panic!("unbalanced: {text}");
}

fn field_names(text: &str) -> Vec<String> {
    let mut depth = 0;
    let top_level = text.split(|c: char| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        c == ',' && depth == 0
    });
    let names = top_level.filter_map(|field| field.split_once(':'));
    names.map(|(name, _)| name.trim().to_owned()).collect()
}
