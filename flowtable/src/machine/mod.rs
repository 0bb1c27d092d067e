//! What only the machine can give: memory as atomic words, the prefetch instruction, wide registers.
//!
//! The one module of this crate with `unsafe`.
#![allow(unsafe_code)]

mod lanes;
mod pages;
mod wide;

pub(crate) use lanes::equal_lanes;
pub(crate) use pages::{HUGE, Region, prefetch};
pub use pages::{Pages, Touched};
pub(crate) use wide::{LANES, widest};
