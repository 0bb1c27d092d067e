//! A configuration's text: read, or refused with lines that say why.

use std::path::Path;

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Err(problems) = flowgate::config::parse(Path::new("flowgate.toml"), text) {
        let told = problems.to_string();
        assert!(!told.is_empty(), "refused without a word");
        let named = told.lines().all(|line| line.starts_with("flowgate.toml"));
        assert!(named, "{told}");
    }
}
