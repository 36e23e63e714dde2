//! A node that is a library, as in Debian: stacks and heaps are told as of one that is a program.

use memtrace_tests::{nodes, require, require_root};

use super::{javascript, out_of_heap, v8_heap};

#[test]
fn stacks_equal_call_sites_line_by_line() {
    require_root!();
    require!(nodes::debian_there());
    javascript::compare_interpreted(nodes::debian());
}

#[test]
fn what_is_allocated_is_what_v8_counts() {
    require_root!();
    require!(nodes::debian_there());
    v8_heap::compare_counted(nodes::debian(), "json", "60000", "Debian's node");
}

#[test]
fn the_end_of_a_program_is_told_with_its_stack() {
    require_root!();
    require!(nodes::debian_there());
    out_of_heap::compare_end(nodes::debian(), 18);
}
