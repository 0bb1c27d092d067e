//! The known name that a misspelt one was probably meant to be.

/// The nearest of `known`, if one is near enough: at most a third of the letters wrong, and never more than three.
pub(super) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let limit = (word.chars().count().max(3) / 3).min(3);
    let with_distance = known.iter().map(|name| (distance(word, name), *name));
    with_distance
        .filter(|(far, _)| *far <= limit)
        .min()
        .map(|(_, name)| name)
}

/// How many letters have to be put in, left out, changed or swapped with their neighbour (Damerau and Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    // `_` for `-`, and capitals, are no mistakes worth counting here.
    let plain = |text: &str| {
        text.to_lowercase()
            .replace('_', "-")
            .chars()
            .collect::<Vec<_>>()
    };
    let (from, to) = (plain(from), plain(to));
    let mut rows = vec![(0..=to.len()).collect::<Vec<usize>>()];
    for (i, a) in from.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in to.iter().enumerate() {
            let swapped = i > 0 && j > 0 && from[i - 1] == *b && to[j - 1] == *a;
            let changed = rows[i][j] + usize::from(a != b);
            let swap = if swapped {
                rows[i - 1][j - 1] + 1
            } else {
                usize::MAX
            };
            row.push(changed.min(swap).min(rows[i][j + 1] + 1).min(row[j] + 1));
        }
        rows.push(row);
    }
    rows[from.len()][to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_mistakes_are_counted() {
        assert_eq!(distance("workers", "workers"), 0);
        assert_eq!(distance("wrokers", "workers"), 1);
        assert_eq!(distance("worker", "workers"), 1);
        assert_eq!(distance("host_addresses", "Host-Addresses"), 0);
        assert_eq!(distance("", "mtu"), 3);
    }

    #[test]
    fn only_a_near_name_is_offered() {
        let known = ["workers", "cpus", "busy-poll"];
        assert_eq!(nearest("wrokers", &known), Some("workers"));
        assert_eq!(nearest("cpu", &known), Some("cpus"));
        assert_eq!(nearest("busypoll", &known), Some("busy-poll"));
        assert_eq!(nearest("colour", &known), None);
    }
}
