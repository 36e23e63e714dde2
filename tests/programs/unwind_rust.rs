//! Rust without unwinding and without frame pointers: generic code, closures, trait objects, a sort's callback and a
//! thread allocate through the site of `unwind_site.c`.

use std::{collections::BTreeMap, hint::black_box, thread};

unsafe extern "C" {
    safe fn foreign_start();
    safe fn foreign_end();
    safe fn foreign_allocate(size: usize);
}

trait Visit {
    fn visit(&self, depth: usize) -> usize;
}

struct Tree(Vec<Box<dyn Visit>>);
struct Leaf([u8; 24]);

impl Visit for Tree {
    #[inline(never)]
    fn visit(&self, depth: usize) -> usize {
        self.0.iter().map(|child| child.visit(depth + 1)).sum::<usize>() + 1
    }
}

impl Visit for Leaf {
    #[inline(never)]
    fn visit(&self, depth: usize) -> usize {
        let copy = black_box(self.0);
        foreign_allocate(depth + 1);
        usize::from(black_box(copy)[0])
    }
}

fn tree(depth: usize) -> Box<dyn Visit> {
    if depth == 0 {
        return Box::new(Leaf([7; 24]));
    }
    Box::new(Tree((0..2).map(|_| tree(depth - 1)).collect()))
}

#[inline(never)]
fn sort() -> usize {
    let mut numbers: Vec<u64> = (0..40).map(|number| number * 17 % 40).collect();
    numbers.sort_by(|left, right| {
        foreign_allocate(100);
        left.cmp(right)
    });
    black_box(numbers).len()
}

#[inline(never)]
fn recurse<T: Copy + Into<u64>>(depth: u64, value: T) -> u64 {
    let mut buffer = [value; 33];
    black_box(&mut buffer);
    if depth == 0 {
        foreign_allocate(200);
        return buffer[1].into();
    }
    let below = if depth.is_multiple_of(2) { recurse(depth - 1, value.into()) } else { recurse(depth - 1, 7_u8) };
    below + black_box(buffer)[3].into()
}

#[inline(never)]
fn work(tree: &dyn Visit) -> u64 {
    let mut map = BTreeMap::new();
    map.entry(1).or_insert_with(|| {
        foreign_allocate(300);
        2
    });
    tree.visit(0) as u64 + sort() as u64 + recurse(20, 1_u16) + black_box(map)[&1]
}

fn main() {
    let root = tree(5);
    foreign_start();
    black_box(work(&*root));
    let other = thread::spawn(|| black_box(work(&*tree(4))));
    other.join().unwrap();
    foreign_end();
}
