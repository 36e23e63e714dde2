//! jemalloc with its symbols prefixed `_rjem_`, its functions that no other allocator has, and the C library's own
//! allocator beside it.

use std::{ffi::c_void, hint::black_box, ptr};

use memtrace_test_allocators::{
    truth::{Site, value},
    workload::run,
};
use tikv_jemalloc_sys::{MALLOCX_ALIGN, MALLOCX_ZERO, dallocx, mallocx, rallocx, sallocx, sdallocx, xallocx};

#[global_allocator]
static GLOBAL: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

static MALLOCX: Site = Site::new("jemalloc_site_mallocx");
static RALLOCX: Site = Site::new("jemalloc_site_rallocx");
static XALLOCX: Site = Site::new("jemalloc_site_xallocx");
static LIBC: Site = Site::new("libc_site_malloc");

unsafe extern "C" {
    safe fn malloc(size: usize) -> *mut c_void;
    fn free(address: *mut c_void);
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn jemalloc_site_mallocx(size: usize, flags: i32) -> *mut c_void {
    let address = black_box(unsafe { mallocx(size, flags) });
    assert!(!address.is_null());
    MALLOCX.took(size);
    address
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn jemalloc_site_rallocx(old: *mut c_void, size: usize) -> *mut c_void {
    let address = black_box(unsafe { rallocx(old, size, 0) });
    if !address.is_null() {
        RALLOCX.took(size);
    }
    address
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn jemalloc_site_xallocx(block: *mut c_void, size: usize) -> usize {
    black_box(unsafe { xallocx(block, size, 0, 0) })
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn libc_site_malloc(size: usize) -> *mut c_void {
    LIBC.took(size);
    black_box(malloc(size))
}

/// Resizes in place, where it can: the block then has the new size, and belongs to this site.
fn resize_in_place() -> u64 {
    let mut resized = 0;
    for round in 0..20 {
        let size = 200_000 + round * 1000;
        let block = jemalloc_site_mallocx(size, 0);
        let before = unsafe { sallocx(block, 0) };
        let wanted = if round % 2 == 0 { 2 * size } else { size / 4 };
        let after = jemalloc_site_xallocx(block, wanted);
        // Returns the size the block has then, whether it is another one or not.
        assert_eq!(after, unsafe { sallocx(block, 0) });
        if after >= wanted {
            MALLOCX.gave(size);
            XALLOCX.took(wanted);
        }
        resized += u64::from(after != before);
    }
    resized
}

fn extensions() {
    for round in 0..40_usize {
        let flags = match round % 3 {
            0 => 0,
            1 => MALLOCX_ALIGN(1 << (4 + round % 8)),
            _ => MALLOCX_ZERO,
        };
        let (size, more) = (100 + round * 91, 3000 + round * 50);
        let block = jemalloc_site_mallocx(size, flags);
        match round % 4 {
            0 => {
                MALLOCX.gave(size);
                unsafe { dallocx(block, 0) };
            }
            1 => {
                MALLOCX.gave(size);
                unsafe { sdallocx(block, size, flags) };
            }
            2 => {
                assert_ne!(jemalloc_site_rallocx(block, more), ptr::null_mut());
                MALLOCX.gave(size);
            }
            _ => assert!(jemalloc_site_rallocx(block, isize::MAX as usize).is_null()),
        }
    }
    value("resized_in_place", resize_in_place());
    for round in 0..30 {
        let block = libc_site_malloc(64 + round);
        assert!(!block.is_null());
        if round % 3 == 0 {
            LIBC.gave(64 + round);
            unsafe { free(block) };
        }
    }
}

fn main() {
    run(extensions, &[&MALLOCX, &RALLOCX, &XALLOCX, &LIBC]);
}
