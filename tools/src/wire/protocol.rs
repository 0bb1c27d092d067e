//! Transport protocols by name, as commands and listings write them.

/// The protocols that have a name here, and their numbers.
const NAMES: [(&str, u8); 5] = [
    ("tcp", 6),
    ("udp", 17),
    ("icmp", 1),
    ("icmp6", 58),
    ("sctp", 132),
];

/// The number of a protocol's name, or of its number.
///
/// # Errors
/// One line that says what would be right.
pub fn number(word: &str) -> Result<u8, String> {
    let named = NAMES
        .iter()
        .find(|(name, _)| *name == word)
        .map(|&(_, number)| number);
    named.or_else(|| word.parse().ok()).ok_or_else(|| {
        format!("protocol {word}: write tcp, udp, icmp, icmp6, sctp or a number 0 to 255")
    })
}

/// The name of a protocol, its number where it has none here.
pub fn name(number: u8) -> String {
    let named = NAMES.iter().find(|&&(_, known)| known == number);
    named.map_or_else(|| number.to_string(), |&(name, _)| name.to_owned())
}
