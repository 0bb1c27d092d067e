//! What only the machine can give: memory as atomic words, the prefetch instruction, wide registers.
//!
//! The one module of this crate with `unsafe`.
#![allow(unsafe_code)]

mod lanes;
mod pages;
mod wide;

pub(crate) use lanes::equal_lanes;
pub use pages::{Pages, Touched};
pub(crate) use pages::{Region, prefetch};
pub(crate) use wide::{LANES, widest};
