//! One line in the log when a table of flows or templates fills up: what happens next, and which setting to raise.

use flowtable::Stats;
use flowtable::TemplateStats;
use stack::Now;

/// How often the fills are looked at, ms.
const EVERY_MS: u64 = 1000;

/// Percent from which on a table is said to fill up, and below which it must fall before that is said again.
const HIGH: u64 = 80;
const LOW: u64 = 70;

/// The settings that the tables of [`super::flows::TABLES`] have; the host's own have none.
const SETTINGS: [&str; 2] = ["flows-v4", "flows-v6"];

/// Which tables were said to fill up.
#[derive(Debug, Default)]
pub(super) struct Pressure {
    said: [bool; SETTINGS.len()],
    said_of_templates: bool,
    next: Now,
}

impl Pressure {
    /// Whether it is time to look again.
    pub(super) fn is_due(&mut self, now: Now) -> bool {
        let is_due = now >= self.next;
        if is_due {
            self.next = Now(now.0 + EVERY_MS);
        }
        is_due
    }

    /// Looks at the fills. Returns what is to be logged: rarely anything.
    pub(super) fn look(&mut self, tables: &[Stats], templates: &TemplateStats) -> Vec<String> {
        let all = SETTINGS.iter().zip(tables).zip(&mut self.said);
        let flows = all.filter_map(|((setting, stats), said)| line(setting, stats, said));
        let mut lines: Vec<_> = flows.collect();
        lines.extend(line_of_templates(templates, &mut self.said_of_templates));
        lines
    }
}

/// Whether it is to be told now that so many percent are used.
fn is_news(percent: u64, said: &mut bool) -> bool {
    if percent < LOW {
        *said = false;
    }
    percent >= HIGH && !std::mem::replace(said, true)
}

fn line(setting: &str, stats: &Stats, said: &mut bool) -> Option<String> {
    // The fullest slot, not the mean: pressure begins there.
    let percent = stats.fullest_slot * 100 / stats.slot_capacity.max(1);
    is_news(percent, said).then(|| {
        format!(
            "{setting}: {} of {} entries used, {percent} % of the fullest slot: flows that only one side has shown \
             expire sooner now; when it is full, new flows replace those that nothing confirmed, or are forwarded \
             without a pin: raise {setting} in [tables], or shorten [timeouts] (flowgate flow timeout)",
            stats.used, stats.capacity
        )
    })
}

fn line_of_templates(stats: &TemplateStats, said: &mut bool) -> Option<String> {
    let percent = stats.used * 100 / stats.capacity.max(1);
    is_news(percent, said).then(|| {
        format!(
            "templates: {} of {} used, {percent} %: when a client's bucket is full, it gets the place of a client whose \
             timeout has run out first, or no template, and then its new flows go where the route's buckets say: raise \
             templates in [tables], or shorten the routes' sticky timeouts",
            stats.used, stats.capacity
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(percent: u64) -> Stats {
        Stats {
            capacity: 256_000,
            used: 2560 * percent,
            slot_capacity: 1000,
            fullest_slot: 10 * percent,
            ..Stats::default()
        }
    }

    #[test]
    fn a_table_that_fills_up_is_told_once_until_it_has_room_again() {
        let mut pressure = Pressure::default();
        let none = TemplateStats::default();
        let mut told = |v4, v6| {
            let tables = [filled(v4), filled(v6), filled(99)];
            pressure.look(&tables, &none).len()
        };
        let seen: Vec<_> = [
            (79, 0),
            (80, 0),
            (95, 0),
            (75, 0),
            (85, 80),
            (69, 99),
            (81, 99),
        ]
        .map(|(v4, v6)| told(v4, v6))
        .to_vec();
        assert_eq!(seen, [0, 1, 0, 0, 1, 0, 1]);
        let lines = Pressure::default().look(&[filled(10), filled(90)], &none);
        let line = &lines[0];
        assert!(
            line.starts_with("flows-v6: 230400 of 256000 entries used, 90 %"),
            "{line}"
        );
        assert!(line.contains("raise flows-v6 in [tables]"), "{line}");
    }

    #[test]
    fn templates_that_fill_up_are_told_once_until_there_is_room_again() {
        let of = |percent: u64| TemplateStats {
            capacity: 65_536,
            used: 65_536 * percent / 100 + 1,
            ..TemplateStats::default()
        };
        let mut pressure = Pressure::default();
        let seen = [79, 80, 95, 75, 85, 69, 81]
            .map(|percent| pressure.look(&[filled(10), filled(10)], &of(percent)).len());
        assert_eq!(seen, [0, 1, 0, 0, 0, 0, 1]);
        let line = Pressure::default().look(&[], &of(90)).remove(0);
        assert!(
            line.starts_with("templates: 58983 of 65536 used, 90 %"),
            "{line}"
        );
        assert!(line.contains("raise templates in [tables]"), "{line}");
    }

    #[test]
    fn it_is_looked_at_once_a_second() {
        let mut pressure = Pressure::default();
        let due = [0, 100, 999, 1000, 1500, 2100].map(|ms| pressure.is_due(Now(ms)));
        assert_eq!(due, [true, false, false, true, false, true]);
    }
}
