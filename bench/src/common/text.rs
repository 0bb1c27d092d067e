//! Numbers and words as tables and files have them.

/// A number with as many digits as it deserves.
pub(crate) fn significant(number: f64) -> String {
    match number.abs() {
        size if size >= 100.0 => format!("{number:.0}"),
        size if size >= 10.0 => format!("{number:.1}"),
        _ => format!("{number:.2}"),
    }
}

/// What was not measured is empty, not zero.
pub(crate) fn optional(number: Option<f64>) -> String {
    number.map_or_else(String::new, |number| format!("{number:.3}"))
}

/// A text that may have commas.
pub(crate) fn field(text: &str) -> String {
    if text.contains(',') {
        format!("\"{text}\"")
    } else {
        text.into()
    }
}

/// A number of flows as people say it: `64k`, `10M`.
pub(crate) fn short(number: usize) -> String {
    match number {
        n if n >= 1_000_000 && n % 1_000_000 == 0 => format!("{}M", n / 1_000_000),
        n if n >= 1_000 && n % 1_000 == 0 => format!("{}k", n / 1_000),
        n => n.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_numbers_are_short_and_others_whole() {
        let words = [999, 1_000, 64_000, 65_536, 10_000_000].map(short);
        assert_eq!(words, ["999", "1k", "64k", "65536", "10M"]);
    }
}
