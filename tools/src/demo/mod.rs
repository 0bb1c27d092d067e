//! The demo.
mod addressing;
mod clients;
mod compare;
mod interrupts;
mod judge;
mod models;
mod progress;
mod rack;
mod report;
mod script;
mod stage;
