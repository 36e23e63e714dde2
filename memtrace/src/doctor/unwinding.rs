//! How the frames of each file that a process has mapped would be found.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Check,
    frame_pointers::{self, Estimate, Verdict},
};
use crate::{
    process::{AddressSpace, FileBytes, Module},
    unwind::{Counts, Table, TableError},
};

const NAME: &str = "unwinding";

/// What a module offers an unwinder.
enum Source {
    /// A table.
    Table(Counts),
    /// A file without unwind information, and what its functions look like.
    FramePointers(Option<Estimate>),
    /// No file: code that the program made itself.
    Anonymous,
    /// Unwind information that cannot be used.
    Damaged(TableError),
}

/// A check for each module, in the order of addresses; code without a file is one of them.
pub(super) fn checks(space: &AddressSpace) -> Vec<Check> {
    let mut mappings: BTreeMap<u32, usize> = BTreeMap::new();
    let mut order = Vec::new();
    for code in space.code() {
        let count = mappings.entry(code.module).or_default();
        if *count == 0 {
            order.push(code.module);
        }
        *count += 1;
    }
    let modules = space.modules();
    let module = |index: &u32| modules.get(*index as usize).map(Arc::as_ref);
    order
        .iter()
        .filter_map(|index| Some(judge(&module(index)?.name, mappings[index], &look(module(index)?))))
        .collect()
}

fn look(module: &Module) -> Source {
    let Some(file) = module.file() else {
        return Source::Anonymous;
    };
    match Table::build(file) {
        Ok(table) if table.is_empty() => Source::FramePointers(frame_pointers::estimate(&FileBytes::new(file)).ok()),
        Ok(table) => Source::Table(table.counts()),
        Err(error) => Source::Damaged(error),
    }
}

fn judge(name: &str, mappings: usize, source: &Source) -> Check {
    const REMEDY: &str = "compile it with -fasynchronous-unwind-tables or -fno-omit-frame-pointer";
    let place = match mappings {
        1 => name.to_owned(),
        count => format!("{name} ({count} mappings)"),
    };
    let pointers = "by frame pointer, it has no unwind information";
    match source {
        Source::Table(counts) => {
            let rows = crate::units::count(counts.rows as u64);
            let what = format!("{place}: by table, {rows} rows");
            match counts.damaged {
                0 => Check::ok(NAME, what),
                damaged => Check::warning(
                    NAME,
                    format!("{what}; {damaged} functions are described in a way that cannot be read"),
                ),
            }
        }
        Source::Anonymous => Check::ok(NAME, format!("{place}: by frame pointer, it is of no file")),
        Source::Damaged(error) => Check::warning(
            NAME,
            format!("{place}: by frame pointer, its unwind information cannot be used: {error}"),
        ),
        Source::FramePointers(estimate) => {
            let Estimate { sampled, setting } = estimate.unwrap_or_default();
            let basis = format!("(estimated: {setting} of {sampled} functions start by setting one)");
            match estimate.unwrap_or_default().verdict() {
                Verdict::Yes => Check::ok(NAME, format!("{place}: {pointers} {basis}")),
                Verdict::Partly => {
                    Check::warning(NAME, format!("{place}: {pointers}; some stacks end there {basis}")).remedy(REMEDY)
                }
                Verdict::No => Check::warning(
                    NAME,
                    format!("{place}: {pointers} and keeps none; stacks end there {basis}"),
                )
                .remedy(REMEDY),
                // Nearly all are data, or stubs.
                Verdict::Unknown => Check::ok(
                    NAME,
                    format!("{place}: {pointers}, and names too few functions to judge"),
                ),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Level, *};

    #[test]
    fn each_source_is_told() {
        let counts = |damaged| Counts {
            rows: 1234,
            damaged,
            ..Counts::default()
        };
        let estimate = |setting| Source::FramePointers(Some(Estimate { sampled: 100, setting }));
        for (source, level, words) in [
            (Source::Table(counts(0)), Level::Ok, "by table, 1,234 rows"),
            (Source::Table(counts(3)), Level::Warning, "3 functions"),
            (Source::Anonymous, Level::Ok, "of no file"),
            (estimate(95), Level::Ok, "95 of 100"),
            (estimate(50), Level::Warning, "some stacks end there"),
            (estimate(0), Level::Warning, "stacks end there"),
            (Source::FramePointers(None), Level::Ok, "too few functions"),
        ] {
            let check = judge("/x", 2, &source);
            assert_eq!((check.level, check.what.contains(words)), (level, true), "{check:?}");
            assert!(check.what.contains("/x (2 mappings)"), "{check:?}");
        }
    }

    #[test]
    fn this_process_is_unwound_by_tables() {
        let space = AddressSpace::read(std::process::id()).unwrap();
        let checks = checks(&space);
        let own = std::env::current_exe().unwrap().display().to_string();
        assert!(
            checks
                .iter()
                .any(|check| check.what.starts_with(&own) && check.what.contains("by table")),
            "{checks:?}"
        );
    }
}
