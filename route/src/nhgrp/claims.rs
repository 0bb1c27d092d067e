//! Who holds a bucket, and who held it before and may come back.
//!
//! The first claim of a bucket is its holder's; the others are those of members that are away (left, or at
//! weight 0), the latest first. A member that cedes a bucket to another, both being there, loses its claim;
//! one that goes away keeps it. So whoever returns finds the buckets it had.

use super::layout::Member;

/// Claims a bucket keeps; the oldest is forgotten.
const CLAIMS: usize = 4;
const NOBODY: u16 = u16::MAX;

/// The claims on one bucket, as numbers of a layout's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Claims([u16; CLAIMS]);

impl Claims {
    pub(super) const NONE: Self = Self([NOBODY; CLAIMS]);

    /// The latest claim: the holder's, if it is there.
    pub(super) fn first(&self) -> Option<Member> {
        Some(self.0[0])
            .filter(|name| *name != NOBODY)
            .map(usize::from)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Member> {
        self.0
            .into_iter()
            .take_while(|name| *name != NOBODY)
            .map(usize::from)
    }

    /// Removes a member's claim.
    pub(super) fn drop_claim(&mut self, member: Member) {
        let mut kept = [NOBODY; CLAIMS];
        let others = self.iter().filter(|name| *name != member);
        kept.iter_mut()
            .zip(others)
            .for_each(|(to, name)| *to = name as u16);
        self.0 = kept;
    }

    /// Whether anyone away has a claim.
    pub(super) fn is_contested(&self) -> bool {
        self.0[1] != NOBODY
    }

    /// A member is back: its claim is first again, and whoever stood in for it has none.
    pub(super) fn reclaim(&mut self, member: Member) {
        while self.first().is_some_and(|first| first != member) {
            self.0.rotate_left(1);
            self.0[CLAIMS - 1] = NOBODY;
        }
    }

    /// Puts a member's claim first.
    pub(super) fn claim(&mut self, member: Member) {
        self.drop_claim(member);
        self.0.rotate_right(1);
        self.0[0] = member as u16;
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    #[test]
    fn the_latest_claim_is_first_and_the_oldest_is_forgotten() {
        let mut claims = Claims::NONE;
        assert_eq!(claims.first(), None);
        (1..=5).for_each(|m| claims.claim(m));
        assert_eq!(claims.iter().collect::<Vec<_>>(), [5, 4, 3, 2]);
        claims.claim(3);
        claims.drop_claim(4);
        claims.drop_claim(9);
        assert_eq!(claims.iter().collect::<Vec<_>>(), [3, 5, 2]);
        claims.reclaim(5);
        assert_eq!(claims.iter().collect::<Vec<_>>(), [5, 2]);
        assert!(claims.is_contested());
        claims.reclaim(2);
        assert!(!claims.is_contested());
    }
}
