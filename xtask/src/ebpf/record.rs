//! The text beside the object that says what it was built with.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};

use super::toolchain::Toolchain;
use crate::workspace;

const HEADER: &str = "# What memtrace.bpf.o was built with. Written by `cargo xtask ebpf`; do not edit.\n";

/// Of these, another value may give other bytes from the same source. The crates named in the record as well are
/// part of the source: Cargo.lock pins them.
const TOOLS: [&str; 3] = ["rustc", "bpf-linker", "cargo"];

/// What an object was built with: names and versions.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Record(BTreeMap<String, String>);

impl Record {
    /// The record of what `toolchain` builds.
    pub(crate) fn of(toolchain: &Toolchain) -> Result<Self> {
        let rustc = toolchain.rustc.line.trim_start_matches("rustc ");
        let linker = toolchain.linker.trim_start_matches("bpf-linker ");
        let cargo = toolchain.cargo().arg("-V").read()?;
        let mut entries = BTreeMap::from([
            ("rustc".to_owned(), format!("{rustc}, LLVM {}", toolchain.rustc.llvm)),
            ("bpf-linker".to_owned(), linker.to_owned()),
            ("cargo".to_owned(), cargo.trim().trim_start_matches("cargo ").to_owned()),
        ]);
        for name in ["aya-ebpf", "aya-log-ebpf"] {
            entries.insert(name.to_owned(), locked_version(name)?);
        }
        Ok(Self(entries))
    }

    /// Reads what [`Record::to_text`] wrote. Lines that are not understood are left out, so that a damaged
    /// record is a different one.
    pub(crate) fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let entries = lines.filter_map(|line| line.split_once(": "));
        Self(
            entries
                .map(|(name, version)| (name.to_owned(), version.to_owned()))
                .collect(),
        )
    }

    /// One line per name, under a line that says what this is.
    pub(crate) fn to_text(&self) -> String {
        let lines = self.0.iter().map(|(name, version)| format!("{name}: {version}\n"));
        std::iter::once(HEADER.to_owned()).chain(lines).collect()
    }

    /// In what the tools differ, in words; empty when they are the same.
    pub(crate) fn toolchain_differences(&self, kept: &Self) -> String {
        let unknown = "an unknown version".to_owned();
        let differences = TOOLS.iter().filter_map(|&tool| {
            let here = self.0.get(tool).unwrap_or(&unknown);
            let there = kept.0.get(tool).unwrap_or(&unknown);
            (here != there).then(|| format!("{tool} is {here} here, and the object in the tree was made with {there}"))
        });
        differences.collect::<Vec<_>>().join("; ")
    }
}

/// The version that Cargo.lock pins.
fn locked_version(name: &str) -> Result<String> {
    let path = workspace::root().join("Cargo.lock");
    let lock = std::fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
    find_locked(&lock, name).with_context(|| format!("{} does not name {name}", path.display()))
}

/// Cargo writes the version on the line after the name.
fn find_locked(lock: &str, name: &str) -> Option<String> {
    let (_, rest) = lock.split_once(&format!("\nname = \"{name}\"\nversion = \""))?;
    rest.split_once('"').map(|(version, _)| version.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(rustc: &str, aya: &str) -> Record {
        Record::parse(&format!(
            "{HEADER}rustc: {rustc}\nbpf-linker: 0.13.0\ncargo: 1.95.0\naya-ebpf: {aya}\n"
        ))
    }

    #[test]
    fn text_round_trips() {
        let record = record("1.96.0 (abc 2026-05-25), LLVM 22.1.8", "0.2.1");
        assert_eq!(Record::parse(&record.to_text()), record);
        assert!(record.to_text().starts_with(HEADER));
    }

    #[test]
    fn only_tools_excuse_a_difference() {
        assert_eq!(
            record("1.96.0", "0.2.1").toolchain_differences(&record("1.96.0", "0.2.0")),
            ""
        );
        let other = record("1.97.0", "0.2.1").toolchain_differences(&record("1.96.0", "0.2.1"));
        assert_eq!(
            other,
            "rustc is 1.97.0 here, and the object in the tree was made with 1.96.0"
        );
        let none = record("1.96.0", "0.2.1").toolchain_differences(&Record::parse(""));
        assert!(none.contains("an unknown version"), "{none}");
    }

    #[test]
    fn versions_are_found_in_the_lock_file() {
        let lock = "version = 4\n\n[[package]]\nname = \"aya\"\nversion = \"0.14.0\"\n\n[[package]]\nname = \"aya-ebpf\"\nversion = \"0.2.1\"\n";
        assert_eq!(find_locked(lock, "aya-ebpf").as_deref(), Some("0.2.1"));
        assert_eq!(find_locked(lock, "aya-obj"), None);
    }
}
