//! Session files: what an observation has seen, to be read later, elsewhere, by anybody.
//!
//! A file is [blocks](block) that are only appended, so it can be read up to the last whole one whatever ended the recording. What
//! the blocks hold is in [`content`]: first a [`Start`], then, moment for moment, what is new (modules, stacks, sites, processes)
//! and what has changed; now and then details; at the end the names of all frames and an [`End`]. The format is described in
//! docs/file-format.md.

pub mod block;
pub mod content;
mod file;
pub mod frames;
mod outline;
mod pace;
mod readings;
mod series;
mod state;
#[cfg(test)]
mod tests;

pub use self::{
    block::ReadError,
    content::{Detail, End, ModuleFacts, Names, ProcessNews, RuntimeNames, SiteDetail, Start},
    file::FileWriter,
    outline::{Known, Outline, Session},
    pace::Pace,
    series::{Contents, Series, names},
    state::{SiteState, State},
};
