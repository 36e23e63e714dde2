//! What Python's and JavaScript's part have in common: which processes run a program that has a runtime, what the frames of its own are called, and
//! what the reader of a report must know of it.

mod names;
mod notes;
mod programs;
mod record;

pub(super) use self::{
    names::{Names, Place},
    notes::Notes,
    programs::Programs,
    record::{recorded, to_record},
};
