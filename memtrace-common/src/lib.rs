//! The wire contract between memtrace's BPF programs and its collector.
//!
//! Every byte that crosses from the kernel to user space has its type here: the records of the ring
//! buffer ([`event`]), the cookie that an attach point carries ([`cookie`]), the settings the loader
//! writes into the object ([`config`]), the values of the maps ([`state`]) and the counters
//! ([`counter`]). Decisions that the BPF side takes and that need no kernel live here as plain
//! functions, so that they are tested on the host ([`request`], [`once`], [`check`], [`identity`], [`javascript`], [`pymalloc`], [`python`], [`sampling`], [`unwind`], [`v8_heap`], [`young`]).
//!
//! Layout rules: `repr(C)`, explicit padding, no `bool`, and an assertion on every size.

#![no_std]
#![expect(
    clippy::cast_possible_truncation,
    reason = "numbers are packed into words, and taken out of them by their widths"
)]
#![expect(
    clippy::inline_always,
    reason = "the BPF side wants these in line: a call there spills registers and is verified on its own"
)]

#[macro_use]
mod numbered;

pub mod abi;
pub mod check;
pub mod config;
pub mod cookie;
pub mod counter;
pub mod event;
pub mod identity;
pub mod javascript;
pub mod limits;
mod mix;
pub mod once;
pub mod op;
mod pod;
pub mod pymalloc;
pub mod python;
pub mod request;
pub mod sampling;
pub mod space;
pub mod state;
pub mod unwind;
pub mod v8_heap;
pub mod young;

pub use self::{
    cookie::{Cookie, Exits, Operand, Shape},
    counter::Counter,
    once::{Once, When},
    op::Op,
};
