//! Finding a client's template, making one, and giving it another next hop.
//!
//! *Claiming.* A client's fingerprint goes by compare-and-swap into the lowest free place of its bucket. Two threads
//! that met different free places (one was freed between their looks) have put it into two. So before a value is
//! set, whoever is about to set it looks at all other places, behind a fence: of two who claimed, at least one sees
//! the other. A place with a pin wins; of two without, the lower. The loser is closed by a swap of its value from
//! the very word that was seen empty, so a value is never set in two places: who comes too late finds it closed and
//! looks again. Who finds a claim without a value settles it in the same way; nobody waits for anybody.

use super::Templates;
use super::client::Client;
use super::memory::{BucketNo, PlaceNo};
use super::stats::Counters;
use super::word::{State, Value};
use crate::pin::PinWord;
use crate::sync::{Ordering::SeqCst, fence};
use crossbeam_utils::CachePadded;
use std::sync::Arc;

/// How often one look at a bucket is begun anew because somebody else changed it.
const TRIES: usize = 16;

/// Times for a template, in seconds of one clock.
#[derive(Clone, Copy, Debug)]
pub struct Term {
    /// For how long it outlives the last flow.
    pub timeout: u32,
    /// When the caller's hand began its present round: a template renewed since then need not be renewed.
    pub since: u32,
    /// Now.
    pub now: u32,
}

/// What one thread takes templates with: it alone counts here.
pub struct TemplateWriter {
    pub(super) table: Arc<Templates>,
    pub(super) counters: Arc<CachePadded<Counters>>,
    /// Where this thread's sweep is.
    pub(super) hand: usize,
}

impl Templates {
    /// What a client's template says, if it has one.
    pub fn peek(&self, client: &Client) -> Option<PinWord> {
        let (print, bucket) = self.place_of(client);
        let (_, value) = self.locate(bucket, print)?;
        value.has_pin().then(|| value.pin())
    }

    /// The lowest place that has a fingerprint and is not about to be freed.
    pub(super) fn locate(&self, bucket: BucketNo, print: u64) -> Option<(PlaceNo, Value)> {
        let mut of_client = bucket
            .places()
            .filter_map(|place| Some((place, self.places.value_of(place, print)?)));
        of_client.find(|(_, value)| value.state() != State::Closed)
    }

    /// Frees a place that has this value, unless somebody changes it first. Returns whether it did.
    pub(super) fn close(&self, place: PlaceNo, value: Value, now: u32) -> bool {
        let closed = value.closed(now);
        let won = self.places.swap(place, value, closed);
        if won {
            self.places.free(place, closed);
        }
        won
    }
}

impl TemplateWriter {
    pub(super) fn new(table: Arc<Templates>, counters: Arc<CachePadded<Counters>>) -> Self {
        Self {
            table,
            counters,
            hand: 0,
        }
    }

    /// The table that it writes.
    pub fn table(&self) -> &Arc<Templates> {
        &self.table
    }

    /// The next hop for a flow of a client, which every flow of that client is given: what its template says, if
    /// `keeps` says that this still holds; else `choice`, or what another thread chose a moment before. `None` if
    /// there is no room for a template. Of both, a template keeps one bit above the pin.
    pub fn take(
        &self,
        client: &Client,
        term: Term,
        choice: PinWord,
        keeps: impl Fn(PinWord) -> bool,
    ) -> Option<PinWord> {
        let (print, bucket) = self.table.place_of(client);
        for _ in 0..TRIES {
            let taken = match self.table.locate(bucket, print) {
                Some((place, value)) if !value.has_pin() => {
                    let places = &self.table.places;
                    places.describe(place, print, client, term.timeout);
                    self.settle(bucket, (place, value), print, choice, term)
                }
                Some((place, value)) if keeps(value.pin()) => {
                    let places = &self.table.places;
                    places.describe(place, print, client, term.timeout);
                    let renewed = self.renew_at(place, value, term);
                    renewed.then(|| value.pin())
                }
                Some((place, value)) => self.replace(place, value, choice, term),
                None if self.claim(bucket, print, term) => None,
                // Another flow of the client may have taken the last place.
                None if self.table.locate(bucket, print).is_some() => None,
                None => break,
            };
            if taken.is_some() {
                return taken;
            }
        }
        self.counters.full.bump();
        None
    }

    /// A flow of a client lives: its template, if there is one, must not expire.
    pub fn renew(&self, client: &Client, term: Term) {
        let (print, bucket) = self.table.place_of(client);
        for _ in 0..TRIES {
            match self.table.locate(bucket, print) {
                Some((place, value)) if value.has_pin() => {
                    let places = &self.table.places;
                    places.describe(place, print, client, term.timeout);
                    if self.renew_at(place, value, term) {
                        return;
                    }
                }
                _ => return,
            }
        }
    }

    /// Says that a template is in use, unless that was said in this round. Returns whether it is said.
    fn renew_at(&self, place: PlaceNo, value: Value, term: Term) -> bool {
        if value.state() == State::Live && value.stamp().age(term.since) == 0 {
            return true;
        }
        let renewed = value.used(value.pin(), term.now);
        if renewed == value {
            return true;
        }
        let done = self.table.places.swap(place, value, renewed);
        if done {
            self.counters.renewed.bump();
        }
        done
    }

    fn replace(
        &self,
        place: PlaceNo,
        value: Value,
        choice: PinWord,
        term: Term,
    ) -> Option<PinWord> {
        let swapped = self
            .table
            .places
            .swap(place, value, value.used(choice, term.now));
        swapped.then(|| {
            self.counters.replaced.bump();
            choice
        })
    }

    /// Puts a fingerprint into a free place, made if need be. Returns whether there was one.
    fn claim(&self, bucket: BucketNo, print: u64, term: Term) -> bool {
        let places = &self.table.places;
        let free = |place: &PlaceNo| {
            places.value(*place).state() == State::Empty && places.print(*place) == 0
        };
        // Who loses a place to another client goes on to the next.
        bucket.places().filter(free).any(|p| places.claim(p, print))
            || self
                .evict(bucket, term.now)
                .is_some_and(|place| places.claim(place, print))
    }

    /// Sets the value of a claim that has none. `None`: look again.
    fn settle(
        &self,
        bucket: BucketNo,
        (own, empty): (PlaceNo, Value),
        print: u64,
        choice: PinWord,
        term: Term,
    ) -> Option<PinWord> {
        let (table, places) = (&self.table, &self.table.places);
        fence(SeqCst);
        for other in bucket.places().filter(|p| *p != own) {
            let Some(value) = places.value_of(other, print) else {
                continue;
            };
            match value.state() {
                State::Closed => {}
                State::Empty if own.below(other) => {
                    if !table.close(other, value, term.now) {
                        return None;
                    }
                }
                _ => {
                    table.close(own, empty, term.now);
                    return None;
                }
            }
        }
        let set = places.swap(own, empty, empty.used(choice, term.now));
        set.then(|| {
            self.counters.claimed.bump();
            table.note_use();
            choice
        })
    }
}
