//! Tests of whole tables.

mod cfi_bytes;
mod elf_file;
mod hostile;
mod layout;
mod meaning;
mod parts;
mod property;
mod real;
mod seeds;
