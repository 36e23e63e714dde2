//! The kernel side, seen from user space: load the object, attach its programs, read its maps.
//!
//! The only module that names aya. Everything attached here is owned by a file descriptor of this process, so
//! the kernel detaches it when the process ends, however it ends.

mod attach;
mod counted;
mod counters;
mod error;
mod kernel_types;
mod load;
mod lost;
mod members;
mod ring;
mod tables;
mod tracefs;

pub use self::{
    attach::{Links, Point, Role, Scope},
    counters::Counters,
    error::ProbeError,
    load::{Options, Probes},
    lost::LostFrees,
    members::{Hooked, Members},
    ring::{Ring, RingRecord},
    tables::{Arena, Tables},
};
