//! Pools that `CPython`'s pymalloc takes: who asks for a block when there is none left of its size makes it grow by a pool.

use aya_ebpf::programs::RetProbeContext;
use memtrace_common::{
    Cookie, Counter, Op,
    event::{Kind, Map},
    pymalloc::{POOL_ARENA, is_pool},
};

use crate::{
    emit, enter, filter, inflight,
    pymalloc::word,
    stats,
    unwind::{self, At},
};

/// Return of the function that takes a pool: it gives the pool's first free block. The stack is that of its caller.
#[inline(always)]
pub(crate) fn taken(ctx: &RetProbeContext) -> Result<(), Counter> {
    let Some(task) = filter::current() else { return Ok(()) };
    let hook = Cookie::unpack(enter::cookie(ctx)).ok_or(Counter::BadCookie)?;
    let (block, bytes) = (ctx.ret::<u64>(), hook.pool_bytes());
    if block == 0 {
        return Err(Counter::Failed);
    }
    let pool = block & !bytes.wrapping_sub(1);
    if !word(pool.wrapping_add(POOL_ARENA)).is_some_and(is_pool) {
        return Err(Counter::PymallocUnknown);
    }
    let thread = inflight::thread(task)?;
    let stack = unwind::take(task, thread, unwind::registers(ctx), At::Call);
    let record = Map {
        header: emit::header(Kind::Map, Some(Op::Pool), stack.flags, task),
        address: pool,
        size: bytes,
        stack: stack.id,
    };
    if !emit::record(record) {
        stats::count(Counter::LostOther);
    }
    Ok(())
}
