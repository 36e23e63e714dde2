//! The objects of an interpreter inside another program: each by call stack, and by type.

use std::process::Command;

use memtrace_tests::{Memtrace, Program, programs, require_root, require_tool};

use super::{
    pymalloc::{doctor, heap, observed},
    python_census::assert_grown,
    python_hosts::hosts,
};

#[test]
fn python_objects_of_an_interpreter_inside_another_program() {
    require_root!();
    require_tool!("python3");
    hosts(|host, home| {
        for way in ["main", "thread"] {
            let start = |how: &str| {
                let mut command = Command::new(host);
                command.env_remove("PYTHONMALLOC").env("PYTHONHOME", home);
                command.env("PYTHONHASHSEED", "0").env("PYHOOKS", how);
                command.arg(programs::source("pymalloc.py")).arg(way);
                Program::ready(command.arg(programs::path("libpyhooks.so")).arg("300"))
            };
            let mut counted = start("count");
            let (truth, report) = if doctor(&counted).contains("reach its four functions: probes there would see every")
            {
                observed(counted)
            } else {
                counted.go();
                (counted.truth(), observed(start("quiet")).1)
            };
            let sums = truth.site("python");
            println!("{way}: {sums:?}, {:?}", truth.values);
            assert!(sums.allocated_count > 1000, "{way}: the program allocates");
            assert_eq!(
                heap(&report),
                [sums.bytes, sums.count, sums.allocated_bytes, sums.allocated_count],
                "{way}"
            );
            assert_eq!(report.profile["health"]["conflicts"], 0, "{way}");
        }
    });
}

#[test]
fn python_census_of_an_interpreter_inside_another_program() {
    require_root!();
    require_tool!("python3");
    hosts(|host, home| {
        for way in ["main", "thread"] {
            let mut command = Command::new(host);
            command.env("PYTHONHOME", home).arg(programs::source("python_pools.py"));
            let mut program = Program::ready(command.arg(way));
            let memtrace = Memtrace::attach(program.pid(), &["--census"]);
            program.go();
            program.expect("hold");
            let report = memtrace.finish();
            let pid = program.pid();
            assert!(program.end().0.success(), "{way}");
            assert_grown(&report, pid, way);
        }
    });
}
