//! What a report says of each process and of each group.

use serde_json::Value;

use crate::{Report, Sums, Truth};

/// A row of `processes`.
#[derive(Clone, Copy, Debug)]
pub struct Process<'a>(&'a Value);

/// Bytes and count of an amount; panics if it is none.
fn amount(value: &Value) -> (u64, u64) {
    let number = |field: &str| {
        let number = value[field].as_u64();
        number.unwrap_or_else(|| panic!("no {field} in the amount {value}"))
    };
    (number("bytes"), number("count"))
}

impl<'a> Process<'a> {
    /// Its process id.
    pub fn pid(self) -> u64 {
        self.0["pid"].as_u64().expect("a process has a pid")
    }

    /// A field that is text, or empty.
    pub fn text(self, field: &str) -> &'a str {
        self.0[field].as_str().unwrap_or("")
    }

    /// A field that is a number, if it is there.
    pub fn number(self, field: &str) -> Option<u64> {
        self.0[field].as_u64()
    }

    /// A field that is a number of seconds, if it is there.
    pub fn seconds(self, field: &str) -> Option<f64> {
        self.0[field].as_f64()
    }

    /// Bytes and blocks of `live`, `allocated`, `at_exit` or `inherited`.
    pub fn amount(self, field: &str) -> (u64, u64) {
        amount(&self.0[field])
    }

    /// The names of the allocators that are hooked in it.
    pub fn allocators(self) -> Vec<&'a str> {
        let allocators = self.0["allocators"].as_array().map_or(&[][..], Vec::as_slice);
        allocators
            .iter()
            .filter_map(|allocator| allocator["name"].as_str())
            .collect()
    }

    /// The names of the functions that are hooked in it.
    pub fn hooks(self) -> Vec<&'a str> {
        let allocators = self.0["allocators"].as_array().map_or(&[][..], Vec::as_slice);
        allocators
            .iter()
            .filter_map(|allocator| allocator["hooks"].as_array())
            .flatten()
            .filter_map(Value::as_str)
            .collect()
    }

    /// What is said not to be hooked.
    pub fn unhooked(self) -> Vec<&'a str> {
        let all = self.0["unhooked"].as_array().into_iter().flatten();
        all.filter_map(Value::as_str).collect()
    }

    /// Asserts that an allocator is hooked whose name begins so.
    pub fn assert_allocator(self, name: &str) {
        let found = self.allocators();
        println!("process {}: allocators {found:?}, hooks {:?}", self.pid(), self.hooks());
        assert!(
            found.iter().any(|found| found.starts_with(name)),
            "no {name} among the allocators {found:?}; not hooked: {}",
            self.0["unhooked"]
        );
    }

    /// Asserts what a child that says so itself (`programs/family.c`) has of its own and of its parent's.
    pub fn assert_family(self, truth: &Truth) {
        let own = truth.sites.values().fold(Sums::default(), |mut sum, &site| {
            sum.add(site);
            sum
        });
        let left = (truth.value("inherited_bytes"), truth.value("inherited_count"));
        println!(
            "process {}: truth {own:?}, inherited {left:?}; memtrace {}",
            self.pid(),
            self.0
        );
        assert_eq!(self.amount("live"), own.live(), "live of {}", self.pid());
        assert_eq!(
            self.amount("allocated"),
            (own.allocated_bytes, own.allocated_count),
            "allocated of {}",
            self.pid()
        );
        assert_eq!(self.amount("inherited"), left, "inherited of {}", self.pid());
    }
}

impl Report {
    /// The rows of `processes`.
    pub fn processes(&self) -> impl Iterator<Item = Process<'_>> {
        let rows = self.profile["processes"].as_array();
        rows.expect("the profile has processes").iter().map(Process)
    }

    /// The process of this number; panics unless there is exactly one.
    pub fn process(&self, pid: u32) -> Process<'_> {
        let mut found = self.processes().filter(|process| process.pid() == u64::from(pid));
        match (found.next(), found.next()) {
            (Some(process), None) => process,
            (None, _) => panic!("no process {pid} in {}", self.profile["processes"]),
            (Some(_), Some(_)) => panic!("process {pid} is there twice: {}", self.profile["processes"]),
        }
    }

    /// The only process of a report that observed one.
    pub fn only_process(&self) -> Process<'_> {
        let mut processes = self.processes();
        let only = processes.next().expect("a process");
        assert!(processes.next().is_none(), "more than one process");
        only
    }

    /// Processes of this command.
    pub fn processes_of<'a>(&'a self, command: &'a str) -> impl Iterator<Item = Process<'a>> {
        self.processes()
            .filter(move |process| process.text("command") == command)
    }

    /// Rows of `sites` that are in this group.
    pub fn sites_of<'a>(&'a self, group: &'a str) -> impl Iterator<Item = &'a Value> {
        self.rows().iter().filter(move |row| row["group"] == group)
    }

    /// Sums over the rows of a function in a group.
    pub fn site_in(&self, group: &str, function: &str) -> Sums {
        let mut sums = Sums::default();
        for row in self.rows_of(function).filter(|row| row["group"] == group) {
            let ((bytes, count), (allocated_bytes, allocated_count)) =
                (amount(&row["live"]), amount(&row["allocated"]));
            sums.add(Sums {
                bytes,
                count,
                allocated_bytes,
                allocated_count,
            });
        }
        sums
    }

    /// What was live when its process ended, over the rows of a function, in a group or in all.
    pub fn at_exit(&self, group: Option<&str>, function: &str) -> (u64, u64) {
        let rows = self
            .rows_of(function)
            .filter(|row| group.is_none_or(|group| row["group"] == group));
        rows.map(|row| amount(&row["at_exit"]))
            .fold((0, 0), |sum, (bytes, count)| (sum.0 + bytes, sum.1 + count))
    }

    /// The names of the groups.
    pub fn groups(&self) -> Vec<&str> {
        let groups = self.profile["groups"].as_array().map_or(&[][..], Vec::as_slice);
        groups.iter().filter_map(Value::as_str).collect()
    }

    /// Asserts that processes with such numbers are nowhere in the report.
    pub fn assert_without(&self, pids: &[u32]) {
        for process in self.processes() {
            assert!(
                !pids.iter().any(|&pid| u64::from(pid) == process.pid()),
                "process {} is no target",
                process.pid()
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_says_what_is_hooked_and_what_is_left() {
        let row = json!({
            "pid": 7, "command": "server", "allocators": [{"name": "jemalloc (_rjem_)", "hooks": ["_rjem_malloc", "_rjem_sdallocx"]}],
            "unhooked": [], "live": {"bytes": 10, "count": 1}, "allocated": {"bytes": 30, "count": 2},
            "inherited": {"bytes": 5, "count": 1},
        });
        let process = Process(&row);
        assert_eq!((process.pid(), process.text("command")), (7, "server"));
        assert_eq!(process.hooks(), ["_rjem_malloc", "_rjem_sdallocx"]);
        assert_eq!(process.number("parent"), None);
        process.assert_allocator("jemalloc");
        let site = json!({"bytes": 10, "count": 1, "allocated_bytes": 30, "allocated_count": 2});
        let values = json!({"pid": 7, "inherited_bytes": 5, "inherited_count": 1});
        process.assert_family(&Truth::from_line(
            &json!({"sites": {"site": site}, "values": values}).to_string(),
        ));
    }

    #[test]
    #[should_panic(expected = "no mimalloc")]
    fn another_allocator_is_not_the_one() {
        let row = json!({"pid": 7, "allocators": [{"name": "glibc", "hooks": ["malloc"]}]});
        Process(&row).assert_allocator("mimalloc");
    }
}
