//! A process as `/proc` shows it.

mod build_id;
pub mod descriptors;
mod elf;
mod file_bytes;
pub mod files;
mod location;
pub mod maps;
mod memory;
pub mod metered;
mod module;
mod modules;
pub mod namespace;
mod others;
pub mod pages;
mod program_name;
pub mod smaps;
mod space;
pub mod stack_pointers;
pub mod syscalls;
pub mod threads;

pub use self::{
    build_id::{build_id, build_id_digits, debug_file_by_id, digits},
    elf::{Elf, Segment, Symbol},
    file_bytes::FileBytes,
    location::Location,
    memory::{Copied, Memory},
    module::{FileIdentity, Module},
    modules::Modules,
    others::{mapped_by_others, processes},
    program_name::{NAME_BYTES, program_name},
    space::{AddressSpace, Code, Interpreter},
};
