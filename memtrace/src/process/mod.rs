//! A process as `/proc` shows it.

mod build_id;
pub mod descriptors;
mod file_bytes;
pub mod files;
mod location;
pub mod maps;
mod module;
pub mod namespace;
mod space;

pub use self::{
    build_id::build_id,
    file_bytes::FileBytes,
    location::Location,
    module::Module,
    space::{AddressSpace, Code, Interpreter},
};
