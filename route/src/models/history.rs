//! Who sees a bucket's new owner sees whom it replaced, and no remembered owner is ever missed.

use super::explore;
use crate::ids::{NhopGen, NhopIdx, Pin, Secs};
use crate::nhgrp::{Line, Owner};
use loom::thread;
use std::sync::Arc;

fn pin(n: u32) -> Pin {
    Pin::new(NhopIdx(n), NhopGen::FIRST)
}

fn own(n: u32) -> Owner {
    Owner {
        pin: pin(n),
        ..Owner::default()
    }
}

fn line(owners: &[u32]) -> Arc<Line> {
    let line = Line::default();
    owners
        .iter()
        .for_each(|n| line.give(own(*n), true, Secs(*n)));
    Arc::new(line)
}

/// Control writes a line that another thread reads.
fn beside(owners: &'static [u32], read: fn(&Line), write: fn(&Line)) {
    explore(3, move || {
        let line = line(owners);
        let reader = {
            let line = Arc::clone(&line);
            thread::spawn(move || read(&line))
        };
        write(&line);
        reader.join().unwrap();
    });
}

#[test]
fn loom_who_sees_the_new_owner_sees_the_old_one_remembered() {
    let read = |line: &Line| {
        let owner = line.owner();
        let oldest = line.oldest(|_| true);
        assert!(owner == pin(1) || oldest.is_some_and(|(_, p)| p == pin(1)));
    };
    beside(&[1], read, |line| {
        line.give(own(2), true, Secs(2));
        line.give(own(3), true, Secs(3));
    });
}

#[test]
fn loom_a_remembered_owner_is_found_while_places_close_up() {
    let read = |line: &Line| {
        let (_, oldest) = line.oldest(|lost| lost.pin() != pin(1)).unwrap();
        assert_eq!(oldest, pin(2));
        let newest = line.oldest(|lost| lost.pin() == pin(4));
        assert_eq!(newest.map(|(_, p)| p), Some(pin(4)));
    };
    beside(&[1, 2, 3, 4, 5], read, |line| {
        line.retain(|lost| lost.pin() != pin(1) && lost.pin() != pin(3));
    });
}
