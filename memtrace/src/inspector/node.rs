//! Whether a process is node, and what it does with the signal that opens an inspector.

use std::fs;

use object::{
    Endianness,
    elf::{FileHeader64, SHT_DYNSYM},
    read::elf::{FileHeader as _, Sym as _},
};

use super::error::Error;
use crate::process::{AddressSpace, FileBytes, threads::field};

/// A function that node exports for its addons, in all versions, as a program and as a library (`node.h`).
const EXPORTED: &[u8] = b"node_module_register";

/// SIGUSR1 among the bits of `/proc/PID/status`: signal 10 is bit 9 (signal(7), proc(5)).
const USR1: u64 = 1 << 9;

/// Whether it is node: its executable or a library that it maps exports what only node does.
pub(super) fn check_node(pid: u32) -> Result<(), Error> {
    let space = AddressSpace::read(pid).map_err(|source| Error::Look { pid, source })?;
    let modules = space.modules();
    let is_node = space
        .mapped()
        .filter_map(|index| modules.get(index as usize)?.file())
        .any(|file| exports(&FileBytes::new(file)).unwrap_or(false));
    if is_node { Ok(()) } else { Err(Error::NotNode { pid }) }
}

/// Whether a file exports it; `None` where it is no ELF file that can be read.
fn exports(data: &FileBytes<'_>) -> Option<bool> {
    let header = FileHeader64::<Endianness>::parse(data).ok()?;
    let endian = header.endian().ok()?;
    let sections = header.sections(endian, data).ok()?;
    let symbols = sections.symbols(endian, data, SHT_DYNSYM).ok()?;
    // Addons have the name too, without a definition.
    let defines = symbols.iter().any(|symbol| {
        !symbol.is_undefined(endian) && symbols.symbol_name(endian, symbol).is_ok_and(|name| name == EXPORTED)
    });
    Some(defines)
}

/// Whether it can answer at all.
pub(super) fn check_runs(pid: u32) -> Result<(), Error> {
    if field(&status(pid)?, "State").starts_with(['T', 't']) {
        return Err(Error::Stopped(pid));
    }
    Ok(())
}

/// Whether the signal reaches a handler.
pub(super) fn check_signal(pid: u32) -> Result<(), Error> {
    match without_handler(&status(pid)?) {
        None => Ok(()),
        Some(how) => Err(Error::Signal { pid, how }),
    }
}

fn status(pid: u32) -> Result<String, Error> {
    let status = fs::read(format!("/proc/{pid}/status")).map_err(|source| Error::Look { pid, source })?;
    Ok(String::from_utf8_lossy(&status).into_owned())
}

/// What happens instead. `--disable-sigusr1` blocks it; without a handler its default action ends the program.
fn without_handler(status: &str) -> Option<&'static str> {
    let has = |name| u64::from_str_radix(field(status, name), 16).is_ok_and(|bits| bits & USR1 != 0);
    match () {
        () if has("SigBlk") => Some("blocks that signal"),
        () if has("SigIgn") => Some("ignores that signal"),
        () if !has("SigCgt") => Some("has no handler for that signal, which would end it"),
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(blocked: u64, ignored: u64, caught: u64) -> Option<&'static str> {
        without_handler(&format!(
            "Name:\tnode\nSigBlk:\t{blocked:016x}\nSigIgn:\t{ignored:016x}\nSigCgt:\t{caught:016x}\n"
        ))
    }

    #[test]
    fn only_a_caught_signal_is_sent() {
        // As node 22 shows them: started as it is, and with --disable-sigusr1.
        assert_eq!(told(0, 0x0100_1000, 0x1_0000_4602), None);
        assert!(told(0x200, 0x0100_1000, 0x1_0000_4402).unwrap().contains("blocks"));
        assert!(told(0, 0, 0).unwrap().contains("no handler"));
        assert!(told(0, USR1, 0).unwrap().contains("ignores"));
        assert!(without_handler("").is_some(), "what is not told is not assumed");
    }

    #[test]
    fn this_program_is_not_node() {
        assert!(matches!(check_node(std::process::id()), Err(Error::NotNode { .. })));
        assert!(check_runs(std::process::id()).is_ok());
    }
}
