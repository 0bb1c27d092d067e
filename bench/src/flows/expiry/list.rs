//! A sorted list: the next to fire is its head, a timer's place is found by walking from there.

use super::{NOBODY, Timers};

/// A flow's timer. Not in the list: `at` is 0.
#[derive(Clone, Copy)]
struct Node {
    at: u32,
    prev: u32,
    next: u32,
}

/// The list; node number `flows` is its head and end.
pub(super) struct List {
    nodes: Vec<Node>,
    head: u32,
}

impl List {
    /// Of this many flows; none is armed.
    pub(super) fn new(flows: usize) -> Self {
        let idle = Node {
            at: 0,
            prev: NOBODY,
            next: NOBODY,
        };
        let head = flows as u32;
        let mut nodes = vec![idle; flows];
        nodes.push(Node {
            at: u32::MAX,
            prev: head,
            next: head,
        });
        Self { nodes, head }
    }

    fn unlink(&mut self, flow: u32) {
        let Node { prev, next, .. } = self.nodes[flow as usize];
        self.nodes[prev as usize].next = next;
        self.nodes[next as usize].prev = prev;
        self.nodes[flow as usize].at = 0;
    }
}

impl Timers for List {
    fn arm(&mut self, flow: u32, at: u32) {
        match self.nodes[flow as usize].at {
            old if old == at => return,
            0 => {}
            _ => self.unlink(flow),
        }
        let mut next = self.nodes[self.head as usize].next;
        while self.nodes[next as usize].at < at {
            next = self.nodes[next as usize].next;
        }
        let prev = self.nodes[next as usize].prev;
        self.nodes[flow as usize] = Node { at, prev, next };
        self.nodes[prev as usize].next = flow;
        self.nodes[next as usize].prev = flow;
    }

    fn advance(&mut self, now: u32) -> usize {
        let mut fired = 0;
        loop {
            let first = self.nodes[self.head as usize].next;
            if first == self.head || self.nodes[first as usize].at > now {
                return fired;
            }
            self.unlink(first);
            fired += 1;
        }
    }
}
