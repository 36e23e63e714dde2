//! One workload for every Rust allocator, which knows its own allocations to the byte.
//!
//! It talks with the harness as the C programs do (`tests/programs/truth.h`): `ready PID`, a line to go, `truth {json}`,
//! `hold`, a line to end. Sites are functions with unmangled names, so that a report shows them as they are called here.
//! Between `ready` and `truth` nothing but sites allocates on the main thread.

use std::{
    alloc::{Layout, alloc, alloc_zeroed, dealloc, realloc},
    hint::black_box,
    thread,
};

use crate::truth::{Site, ready, report, value};

/// Declares the counters of a site.
macro_rules! sites {
    ($($name:ident = $text:literal;)*) => {
        $(static $name: Site = Site::new($text);)*
        static SITES: &[&Site] = &[$(&$name),*];
    };
}

sites! {
    ALLOC = "rust_site_alloc";
    ALIGNED = "rust_site_aligned";
    ZEROED = "rust_site_zeroed";
    REALLOC = "rust_site_realloc";
    FAILING = "rust_site_failing";
    BOX = "rust_site_box";
    VEC = "rust_site_vec";
    THREAD = "rust_site_thread";
}

/// A block with its site, so that it is taken off that one when it goes.
struct Block {
    address: *mut u8,
    layout: Layout,
    site: &'static Site,
}

// A block is one thread's at a time.
unsafe impl Send for Block {}

impl Block {
    fn of(address: *mut u8, layout: Layout, site: &'static Site) -> Self {
        assert!(!address.is_null(), "memory");
        site.took(layout.size());
        unsafe { address.write_bytes(0x5a, layout.size().min(64)) };
        Self { address, layout, site }
    }

    fn free(self) {
        self.site.gave(self.layout.size());
        unsafe { dealloc(self.address, self.layout) };
    }
}

fn layout(size: usize, alignment: usize) -> Layout {
    Layout::from_size_align(size, alignment).expect("a layout")
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn rust_site_alloc(size: usize) -> *mut u8 {
    black_box(unsafe { alloc(black_box(layout(size, 8))) })
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn rust_site_aligned(size: usize, alignment: usize) -> *mut u8 {
    black_box(unsafe { alloc(black_box(layout(size, alignment))) })
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn rust_site_zeroed(size: usize) -> *mut u8 {
    black_box(unsafe { alloc_zeroed(black_box(layout(size, 8))) })
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn rust_site_realloc(old: *mut u8, old_size: usize, size: usize) -> *mut u8 {
    black_box(unsafe { realloc(old, black_box(layout(old_size, 8)), size) })
}

/// Asks for more than there can be: the old block stays.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn rust_site_failing(old: *mut u8, old_size: usize) {
    let huge = black_box(isize::MAX as usize - (1 << 20));
    assert!(black_box(unsafe { alloc(layout(huge, 8)) }).is_null());
    assert!(black_box(unsafe { realloc(old, layout(old_size, 8), huge) }).is_null());
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn rust_site_box() -> *mut [u64; 25] {
    BOX.took(200);
    Box::into_raw(black_box(Box::new(black_box([7; 25]))))
}

/// A vector that grows: every block but the last goes back.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn rust_site_vec(count: u32) {
    let mut numbers: Vec<u32> = Vec::new();
    let mut capacity = 0;
    for number in 0..count {
        numbers.push(black_box(number));
        if numbers.capacity() != capacity {
            if capacity != 0 {
                VEC.gave(4 * capacity);
            }
            capacity = numbers.capacity();
            VEC.took(4 * capacity);
        }
    }
    std::mem::forget(black_box(numbers));
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn rust_site_thread(size: usize) -> *mut u8 {
    // Another alignment, or the compiler would make one function of this and `rust_site_alloc`.
    black_box(unsafe { alloc(black_box(layout(size, 16))) })
}

/// Mostly small, some that an allocator takes straight from the kernel.
fn size(round: usize) -> usize {
    match round % 50 {
        0 => 300_000 + round,
        1 | 2 => 20_000 + round,
        _ => 1 + round * 37 % 1500,
    }
}

fn work() {
    for round in 0..300 {
        let block = Block::of(rust_site_alloc(size(round)), layout(size(round), 8), &ALLOC);
        if round % 3 == 0 {
            block.free();
        }
    }
    for (round, alignment) in [16, 32, 64, 256, 4096, 65536].into_iter().cycle().take(60).enumerate() {
        let block = Block::of(
            rust_site_aligned(size(round), alignment),
            layout(size(round), alignment),
            &ALIGNED,
        );
        assert_eq!(block.address as usize % alignment, 0);
        if round % 2 == 0 {
            block.free();
        }
    }
    for round in 0..100 {
        let block = Block::of(rust_site_zeroed(size(round)), layout(size(round), 8), &ZEROED);
        if round % 4 == 0 {
            block.free();
        }
    }
    // Chains that grow, shrink and fail in between.
    for chain in 0..20 {
        let first = size(chain + 3);
        let mut block = Block::of(rust_site_alloc(first), layout(first, 8), &ALLOC);
        for step in 1..10 {
            let wanted = if step % 3 == 0 {
                block.layout.size() / 2 + 1
            } else {
                block.layout.size() * 2 + step
            };
            let address = rust_site_realloc(block.address, block.layout.size(), wanted);
            block.site.gave(block.layout.size());
            block = Block::of(address, layout(wanted, 8), &REALLOC);
            if step % 4 == 0 {
                rust_site_failing(block.address, block.layout.size());
            }
        }
        if chain % 2 == 0 {
            block.free();
        }
    }
    for round in 0..40 {
        let kept = rust_site_box();
        if round % 2 == 0 {
            BOX.gave(200);
            drop(unsafe { Box::from_raw(kept) });
        }
    }
    rust_site_vec(1000);
    rust_site_vec(70_000);
    let blocks = || -> [Option<Block>; 50] {
        std::array::from_fn(|round| {
            let size = size(round + 7);
            Some(Block::of(rust_site_thread(size), layout(size, 16), &THREAD))
        })
    };
    // Half of what each thread took is freed by this one.
    let threads: [_; 4] = std::array::from_fn(|_| thread::spawn(blocks));
    for thread in threads {
        let taken = thread.join().expect("the thread ends well");
        for block in taken.into_iter().flatten().step_by(2) {
            block.free();
        }
    }
}

/// The whole program; `more` does what only this allocator can, after the common part.
pub fn run(more: impl FnOnce(), more_sites: &[&'static Site]) {
    ready();
    work();
    more();
    value("threads", 4);
    report(SITES, more_sites);
}
