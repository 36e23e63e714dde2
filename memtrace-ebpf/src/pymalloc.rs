//! Calls of `CPython`'s pymalloc by code in line: see `memtrace_common::pymalloc`. The probes lie on the jump behind the comparison that
//! tells whether it is pymalloc that is called.

use aya_ebpf::{
    helpers::bpf_probe_read_user,
    programs::{ProbeContext, RetProbeContext},
};
use memtrace_common::{
    Cookie, Counter, Op, When,
    once::holds,
    pymalloc::{ARENA_ENTRY, ARENA_POOLS, Argument, Heap, LARGEST, POOL_ARENA, POOL_FREE, POOL_NEXT, stays},
    request::Request,
    state::{AT_SITE, Freeing, Given, Thread},
};

use crate::{
    enter,
    exit::{self, RETURN_ADDRESS},
    filter::{self, Task},
    free, inflight,
    maps::HEAPS,
    sampled, stats,
    unwind::{self, At},
};

/// The condition of equality (Intel SDM, volume 2, appendix B.1.4.7).
const EQUAL: When = When::Holds(4);

/// What becomes of a call that does not give a block at once: no addresses of blocks.
mod fate {
    /// It takes a new pool first, and gives its first block.
    pub(super) const REFILLS: u64 = 1;
    /// The block is moved to the C library's heap, which tells of the new one.
    pub(super) const LEAVES: u64 = 2;
    /// It is the C library's alone.
    pub(super) const ELSEWHERE: u64 = 3;
    /// The heap cannot be read.
    pub(super) const UNKNOWN: u64 = 4;
}

/// Takes a call that allocates.
#[inline(always)]
pub(crate) fn alloc(ctx: &ProbeContext) -> Result<(), Counter> {
    let Some(task) = filter::current() else { return Ok(()) };
    if !holds(EQUAL, unwind::flags(ctx)) {
        // Another allocator is called, which has probes of its own, or calls what has.
        return Ok(());
    }
    let cookie = enter::cookie(ctx);
    let hook = Cookie::unpack(cookie).ok_or(Counter::BadCookie)?;
    let thread = inflight::thread(task)?;
    let registers = unwind::registers(ctx);
    if inflight::nested(thread, registers.sp, cookie) {
        return Err(Counter::Nested);
    }
    let heap = heap(task).ok_or(Counter::PymallocUnknown)?;
    let request = request(ctx, hook);
    let address = memtrace_site_fate(heap, request.size, request.old);
    match address {
        fate::ELSEWHERE => {
            of_nothing(thread, request);
            return Ok(());
        }
        fate::UNKNOWN => return Err(Counter::PymallocUnknown),
        fate::LEAVES => {
            stats::count(Counter::FreeHits);
            let freed = free::given_back(task, hook, cookie, request.old, registers.sp);
            of_nothing(thread, request);
            return freed;
        }
        _ => {}
    }
    let mut from = registers;
    // Every frame has an address after its instruction.
    from.ip = from.ip.wrapping_add(1);
    thread.call = enter::open(task, thread, (registers, from, At::Call), (hook.op, cookie), request);
    if address == fate::REFILLS {
        thread.call.flags |= AT_SITE;
    } else {
        memtrace_site_gives(thread, &raw const task, address, request.old);
    }
    Ok(())
}

/// Notes for the C library's probe what was asked for.
#[inline(always)]
fn of_nothing(thread: &mut Thread, request: Request) {
    if request.size == 0 {
        thread.given = Given {
            address: Given::OF_NOTHING,
            calls: 0,
        };
    }
}

/// Takes a call that frees. What is not pymalloc's goes on to the C library, whose probe knows the block again.
#[inline(always)]
pub(crate) fn free(ctx: &ProbeContext) -> Result<(), Counter> {
    let Some(task) = filter::current() else { return Ok(()) };
    if !holds(EQUAL, unwind::flags(ctx)) {
        return Ok(());
    }
    stats::count(Counter::FreeHits);
    let cookie = enter::cookie(ctx);
    let hook = Cookie::unpack(cookie).ok_or(Counter::BadCookie)?;
    let address = argument(ctx, hook, 0);
    free::given_back(task, hook, cookie, address, unwind::registers(ctx).sp)
}

/// A new pool was taken: the call that waits for it gives its first block.
#[inline(always)]
pub(crate) fn refilled(ctx: &RetProbeContext) -> Result<(), Counter> {
    let Some(task) = filter::current() else { return Ok(()) };
    let Some(thread) = inflight::known(task) else {
        return Ok(());
    };
    let call = thread.call;
    let sp = unwind::registers(ctx).sp.wrapping_sub(RETURN_ADDRESS);
    // Of a function's own call its return tells.
    if call.sp == 0 || call.flags & AT_SITE == 0 || sp >= call.sp {
        return Ok(());
    }
    if exit::is_of_another_window(&call) {
        thread.call.sp = 0;
        return Err(Counter::Unpaired);
    }
    memtrace_site_gives(thread, &raw const task, ctx.ret::<u64>(), call.old);
    Ok(())
}

/// The call on record gives a block: a `realloc` in the place of `old`. 0 when there is no memory for it. A global function: in line, it would be
/// verified in every state of what comes before.
#[unsafe(no_mangle)]
pub extern "C" fn memtrace_site_gives(thread: *mut Thread, task: *const Task, address: u64, old: u64) -> u32 {
    // SAFETY: null or valid, which the verifier checks at each call; the current thread's.
    let thread = unsafe { thread.as_mut() };
    // SAFETY: null or valid, likewise.
    let task = unsafe { task.as_ref() };
    let (Some(thread), Some(task)) = (thread, task) else {
        return 0;
    };
    let call = thread.call;
    thread.call.sp = 0;
    let Some(hook) = Cookie::unpack(call.cookie) else {
        stats::count(Counter::BadCookie);
        return 0;
    };
    if hook.op.is_realloc() && address != 0 && address != old {
        // It may call pymalloc's functions for both.
        thread.given = Given { address, calls: 0 };
        thread.freeing = Freeing {
            address: old,
            sp: call.sp,
            cookie: call.cookie,
            left: 0,
        };
    }
    if let Err(why) = exit::returned(*task, thread, call, address) {
        stats::count(why);
    }
    0
}

#[inline(always)]
fn heap(task: Task) -> Option<&'static Heap> {
    // SAFETY: the value's memory stays that of some heap; of another one addresses cannot be read, or are no blocks that are known.
    unsafe { HEAPS.get(task.program) }
}

/// What is asked for.
#[inline(always)]
fn request(ctx: &ProbeContext, hook: Cookie) -> Request {
    let first = argument(ctx, hook, 0);
    // Where there is none, this is 0.
    let second = argument(ctx, hook, 1);
    let is_realloc = hook.op.is_realloc();
    let size = if is_realloc {
        second
    } else if hook.op as u8 == Op::Malloc as u8 {
        first
    } else if first <= LARGEST && second <= LARGEST {
        // A product that pymalloc serves has factors that are no larger; the interpreter has checked that it fits.
        first * second
    } else {
        LARGEST + 1
    };
    Request {
        size,
        old: if is_realloc { first } else { 0 },
        out: 0,
        overflow: false,
    }
}

/// The block that a call gives, or one of [`fate`]. A global function, for the same reason.
#[unsafe(no_mangle)]
pub extern "C" fn memtrace_site_fate(heap: *const Heap, size: u64, old: u64) -> u64 {
    // SAFETY: null or valid, which the verifier checks at each call.
    let Some(heap) = (unsafe { heap.as_ref() }) else {
        return fate::UNKNOWN;
    };
    becomes(heap, size, old).unwrap_or(fate::UNKNOWN)
}

#[inline(always)]
fn becomes(heap: &Heap, size: u64, old: u64) -> Option<u64> {
    if old != 0 {
        match owner(heap, old)? {
            Owner::Elsewhere => return Some(fate::ELSEWHERE),
            Owner::Pool(block) if stays(block, size) => return Some(old),
            Owner::Pool(_) => {}
        }
    }
    let Some(list) = heap.list(size) else {
        return Some(if old == 0 { fate::ELSEWHERE } else { fate::LEAVES });
    };
    let pool = word(list)?;
    if word(pool.wrapping_add(POOL_NEXT))? == pool {
        return Some(fate::REFILLS);
    }
    word(pool.wrapping_add(POOL_FREE))
}

/// Whose a block is.
enum Owner {
    /// pymalloc's, of a pool with blocks of so many bytes.
    Pool(u64),
    /// The C library's.
    Elsewhere,
}

/// Whose the block at an address is; `None` when the array of arenas cannot be read.
#[inline(always)]
fn owner(heap: &Heap, address: u64) -> Option<Owner> {
    let pool = heap.pool_of(address);
    let array = word(heap.arenas)?;
    let Some(header) = word(pool.wrapping_add(POOL_ARENA)) else {
        // Before the first block of the C library's heap is nothing.
        return Some(Owner::Elsewhere);
    };
    let entry = array.wrapping_add((header & 0xffff_ffff) * ARENA_ENTRY);
    let arena = word(entry).zip(word(entry.wrapping_add(ARENA_POOLS)));
    let block = arena.and_then(|(arena, pools)| heap.block_size(pool, header, arena, pools));
    Some(block.map_or(Owner::Elsewhere, Owner::Pool))
}

/// The value of a site's first or second argument.
#[inline(always)]
fn argument(ctx: &ProbeContext, hook: Cookie, index: u32) -> u64 {
    let bits = hook.site_bits(index);
    let register = sampled::register(ctx, Argument::register(bits));
    memtrace_site_argument(bits, register, unwind::registers(ctx).sp)
}

/// The value of an argument, given the register that it may be in: a global function, for its cases.
#[unsafe(no_mangle)]
pub extern "C" fn memtrace_site_argument(bits: u64, register: u64, sp: u64) -> u64 {
    match Argument::unpack(bits) {
        Argument::Constant(value) => value.into(),
        Argument::Register(_, plus) => register.wrapping_add(i64::from(plus).cast_unsigned()),
        Argument::Low(_) => register & 0xffff_ffff,
        Argument::Stack(offset) => word(sp.wrapping_add(offset.into())).unwrap_or_else(|| {
            stats::count(Counter::BadPointer);
            0
        }),
    }
}

/// A word of the target's memory.
#[inline(always)]
pub(crate) fn word(address: u64) -> Option<u64> {
    // SAFETY: the helper checks the address and fails on memory that cannot be read.
    unsafe { bpf_probe_read_user(address as *const u64) }.ok()
}
