//! Log lines that anybody on a segment can cause: one a second (FreeBSD's `net.link.ether.inet.max_log_per_second`), and
//! how many were left out.

use stack::Now;

/// Between two lines, ms.
const EVERY_MS: u64 = 1000;

/// The limit of one kind of line.
#[derive(Debug, Default)]
pub(super) struct Quiet {
    next_ms: u64,
    left_out: u64,
}

impl Quiet {
    /// Whether a line may be written now. One that may not is counted.
    pub(super) fn may_log(&mut self, now: Now) -> bool {
        if now.0 < self.next_ms || self.left_out > 0 {
            self.left_out += 1;
            return false;
        }
        self.next_ms = now.0 + EVERY_MS;
        true
    }

    /// How many lines were left out, once it is time to say so. That is a line too.
    pub(super) fn left_out(&mut self, now: Now) -> Option<u64> {
        if self.left_out == 0 || now.0 < self.next_ms {
            return None;
        }
        self.next_ms = now.0 + EVERY_MS;
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_a_line_a_second_and_every_event_is_accounted_for() {
        let mut quiet = Quiet::default();
        let (mut lines, mut told, mut left_out) = (0, 0, 0);
        for ms in 0..=10_000 {
            if ms < 6_000 && quiet.may_log(Now(ms)) {
                told += 1;
                lines += 1;
            }
            if let Some(n) = quiet.left_out(Now(ms)) {
                left_out += n;
                lines += 1;
            }
        }
        assert_eq!(told + left_out, 6_000);
        assert!((6..=8).contains(&lines), "{lines} lines in 6 s");
        assert!(quiet.may_log(Now(20_000)), "quiet again");
        assert_eq!(quiet.left_out(Now(30_000)), None);
    }
}
