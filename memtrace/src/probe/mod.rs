//! The kernel side, seen from user space: load the object, attach its programs, read its maps.
//!
//! The only module that names aya. Everything attached here is owned by a file descriptor of this process, so
//! the kernel detaches it when the process ends, however it ends.

mod attach;
mod batch;
mod checks;
mod counted;
mod counters;
mod error;
mod heaps;
mod kernel_types;
mod links;
mod load;
mod lost;
mod members;
mod mode;
mod multi;
mod point;
mod pythons;
mod ring;
mod sweep;
mod sys;
mod tables;
mod tracefs;
mod watchpoint;

pub use self::{
    checks::Checks,
    counters::Counters,
    error::ProbeError,
    heaps::Heaps,
    links::Links,
    load::{Options, Probes},
    lost::LostFrees,
    members::{Hooked, Members},
    mode::{Modes, wait_for_programs},
    point::{On, Point, Role, Scope},
    pythons::{Engines, Layouts, Pythons},
    ring::{Ring, RingRecord},
    sweep::Sweeper,
    tables::{Arena, Tables},
    watchpoint::Watchpoints,
};
