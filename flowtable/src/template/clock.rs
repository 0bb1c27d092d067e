//! A template's clock, and its end.
//!
//! A hand visits each flow of its thread once a round and renews the flow's template, so what lives was renewed since
//! the round began. Of all threads' last whole rounds, the one that began first is the *horizon*. A template that
//! was last renewed before it has no flow: it is *idle*, and its clock starts. It expires when the clock has run for
//! its timeout and another whole round of everybody has begun since. So however slowly hands go, no template ends
//! that has a flow; slow hands only start clocks later.

use super::Templates;
use super::client::Client;
use super::memory::{BucketNo, PlaceNo};
use super::take::TemplateWriter;
use super::word::{State, Value};
use crate::pin::PinWord;
use crate::sync::Ordering::Relaxed;

/// A claim whose value nobody has set for so long is given up, seconds.
const CLAIM_S: u32 = 60;

/// A template as listings see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TemplateView {
    /// Whose it is.
    pub client: Client,
    /// Where its flows go.
    pub pin: PinWord,
    /// Since it was last renewed, or since it is idle, seconds.
    pub age: u32,
    /// Whether no flow of it was found in a whole round.
    pub idle: bool,
    /// For how long it outlives its last flow, seconds.
    pub timeout: u32,
}

impl Templates {
    /// Every template, in the order of memory, while writers go on. One that is changed at this very moment may be
    /// left out.
    pub fn views(&self, now: u32) -> impl Iterator<Item = TemplateView> + '_ {
        let buckets = self.places.round(0, usize::MAX);
        let places = buckets.flat_map(BucketNo::places);
        places.filter_map(move |place| self.view(place, now))
    }

    fn view(&self, place: PlaceNo, now: u32) -> Option<TemplateView> {
        let (print, value) = (self.places.print(place), self.places.value(place));
        let client = self.places.client(place);
        let view = TemplateView {
            client,
            pin: value.pin(),
            age: value.stamp().age(now),
            idle: value.state() == State::Idle,
            timeout: self.places.timeout(place, print),
        };
        // Read while nobody changed it: it is what the fingerprint was made of.
        (print != 0 && value.has_pin() && client.fingerprint(&self.secret) == print).then_some(view)
    }

    /// Tells since when each hand has been round at least once: the second at which the oldest of their last whole
    /// rounds began. For the one thread that sweeps.
    pub fn set_horizon(&self, second: u32) {
        self.horizon.store(second, Relaxed);
    }

    /// Whether a template's clock has run out.
    fn expired(&self, place: PlaceNo, value: Value, now: u32) -> bool {
        let (stamp, horizon) = (value.stamp(), self.horizon.load(Relaxed));
        value.state() == State::Idle
            && stamp.age(horizon) > 0
            && stamp.age(now) > self.places.timeout(place, self.places.print(place))
    }
}

impl TemplateWriter {
    /// A free place in a full bucket: the one whose clock ran out first.
    pub(super) fn evict(&self, bucket: BucketNo, now: u32) -> Option<PlaceNo> {
        let (table, places) = (&self.table, &self.table.places);
        let of_bucket = bucket.places().map(|place| (place, places.value(place)));
        let expired = of_bucket.filter(|(place, value)| table.expired(*place, *value, now));
        let (place, value) = expired.max_by_key(|(_, value)| value.stamp().age(now))?;
        let freed = table.close(place, value, now);
        if freed {
            self.counters.expired.bump();
        }
        freed.then_some(place)
    }

    /// Visits the next few buckets: clocks start, and what has expired is freed. Costs as much as `buckets` says,
    /// whatever the table's size. For one thread, beside the others.
    pub fn sweep(&mut self, buckets: usize, now: u32) {
        for bucket in self.table.places.round(self.hand, buckets) {
            bucket
                .places()
                .for_each(|place| self.sweep_place(place, now));
        }
        self.hand = self.hand.wrapping_add(buckets) % self.table.places.len();
        let used = self.table.stats().used;
        let [most, last] = &*self.table.seen;
        last.store(used, Relaxed);
        if used > most.load(Relaxed) {
            most.store(used, Relaxed);
        }
    }

    fn sweep_place(&self, place: PlaceNo, now: u32) {
        let (table, places) = (&self.table, &self.table.places);
        let value = places.value(place);
        let stamp = value.stamp();
        match value.state() {
            State::Live if stamp.age(table.horizon.load(Relaxed)) > 0 => {
                places.swap(place, value, value.idle(now));
            }
            State::Idle if table.expired(place, value, now) && table.close(place, value, now) => {
                self.counters.expired.bump();
            }
            State::Empty if places.print(place) != 0 && stamp.age(now) > CLAIM_S => {
                table.close(place, value, now);
            }
            _ => {}
        }
    }

    /// Forgets every template that `which` chooses; flows that are pinned keep their pins. Returns how many.
    pub fn flush(&self, now: u32, which: impl Fn(&TemplateView) -> bool) -> u64 {
        let (table, places) = (&self.table, &self.table.places);
        let all = places.round(0, usize::MAX).flat_map(BucketNo::places);
        let mut flushed = 0;
        for place in all {
            let value = places.value(place);
            let chosen = table.view(place, now).is_some_and(|view| which(&view));
            if chosen && table.close(place, value, now) {
                self.counters.flushed.bump();
                flushed += 1;
            }
        }
        flushed
    }
}
