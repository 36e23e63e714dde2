//! The loop of a walk, in the form that the kernel has.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::{bpf_for_each_map_elem, bpf_loop};
use memtrace_common::{javascript::EngineLayout, space::Space};

use super::step;
use crate::maps::{CONFIG, Scratch, TURNS, TURNS_COUNT};

/// What a turn is told. On the program's stack, so it holds nothing but pointers.
#[repr(C)]
struct Context {
    scratch: *mut Scratch,
    space: *const Space,
    engine: *const EngineLayout,
}

/// Goes from frame to frame until the walk ends.
#[inline(always)]
pub(super) fn walk(scratch: &mut Scratch, space: Option<&'static Space>, engine: Option<&'static EngineLayout>) {
    let mut context = Context {
        scratch,
        space: space.map_or(core::ptr::null(), core::ptr::from_ref),
        engine: engine.map_or(core::ptr::null(), core::ptr::from_ref),
    };
    let context = (&raw mut context).cast::<c_void>();
    // The setting is constant when the program is verified, so a kernel does not see the call it does not have.
    if CONFIG.load().has_loop != 0 {
        // SAFETY: the callback has the signature that the helper calls it with, and the context outlives the call.
        let _turns = unsafe { bpf_loop(TURNS_COUNT, loop_turn as *mut c_void, context, 0) };
    } else {
        // SAFETY: as above.
        let _turns = unsafe {
            bpf_for_each_map_elem(
                (&raw const TURNS).cast_mut().cast(),
                element_turn as *mut c_void,
                context,
                0,
            )
        };
    }
}

/// What a callback returns to go on, and to end.
const GO_ON: i64 = 0;
const END: i64 = 1;

extern "C" fn loop_turn(_index: u32, context: *mut Context) -> i64 {
    turn(context)
}

extern "C" fn element_turn(_map: *mut c_void, _key: *mut u32, _value: *mut u32, context: *mut Context) -> i64 {
    turn(context)
}

/// Four frames: calling back costs as much as a step.
#[inline(always)]
fn turn(context: *mut Context) -> i64 {
    // SAFETY: the context is the one that `walk` made, alive during the loop.
    let context = unsafe { &*context };
    let mut step = 0;
    while step < 4 {
        if step::memtrace_leave_frame(context.scratch, context.space, context.engine) == 0 {
            return END;
        }
        step += 1;
    }
    GO_ON
}
