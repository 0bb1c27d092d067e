//! The neighbours' table from outside: frames in, frames out, in virtual time.

mod adverts;
mod frames;
mod gateway;
mod hold;
mod hostile;
mod input;
mod limits;
mod moves;
mod peer;
mod resolve;
mod rig;
mod view;
