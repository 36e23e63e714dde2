//! The other processes of the machine.

use std::fs;

use super::{Module, maps};

/// Numbers of all processes that `/proc` shows.
pub fn processes() -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

/// Whether a process has a module mapped that is not one of those meant. Looks at this process first: most files that are
/// shared are the C library.
pub fn mapped_by_others(module: &Module, meant: impl Fn(u32) -> bool) -> bool {
    let (device, inode) = (&module.shown_as.0, module.shown_as.1);
    let own = std::process::id();
    let maps_it = |pid: u32| {
        // Of one that is gone or may not be looked at, nothing is known.
        let text = maps::read(pid).unwrap_or_default();
        maps::parse(&text).any(|mapping| mapping.inode == inode && mapping.device == *device)
    };
    let others = || processes().into_iter().filter(|&pid| pid != own && !meant(pid));
    maps_it(own) || others().any(maps_it)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::AddressSpace;

    #[test]
    fn this_process_shares_its_c_library_and_not_its_memory() {
        assert!(processes().contains(&std::process::id()));
        let modules = AddressSpace::read(std::process::id()).unwrap().modules();
        let library = modules
            .iter()
            .find(|module| module.short_name().starts_with("libc.so"))
            .unwrap();
        assert!(mapped_by_others(library, |_| true));
    }
}
