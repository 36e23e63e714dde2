//! A process as `/proc` shows it.

mod location;
pub mod maps;
mod module;
mod space;

pub use self::{location::Location, module::Module, space::{AddressSpace, Code}};
