//! The workload of Rust's other allocators with the one of the system: C's.

#[path = "../allocators/src/truth.rs"]
mod truth;
#[path = "../allocators/src/workload.rs"]
mod workload;

fn main() {
    workload::run(|| (), &[]);
}
