//! Words that several processors change.
//!
//! Rust has no atomic operations for this target, so these are written down. `asm!` is taken by the compiler to change any
//! memory, so nothing is moved across them. Lints read the programs as if they were for this machine: then the words are Rust's.

/// Puts `new` in the place of `old`; `false` when something else is there. Ordered against everything (`BPF_CMPXCHG`, Linux 5.12).
#[inline(always)]
#[cfg(target_arch = "bpf")]
pub(crate) fn swap(word: *mut u64, old: u64, new: u64) -> bool {
    let found: u64;
    // SAFETY: the callers' words are in map memory, which lives as long as the program, and aligned.
    unsafe {
        core::arch::asm!(
            "r0 = cmpxchg_64(r1 + 0, r0, r2)",
            inlateout("r0") old => found,
            in("r1") word,
            in("r2") new,
        );
    }
    found == old
}

/// Writes a word after everything that was written before. A plain store: x86-64 keeps stores in order.
#[inline(always)]
#[cfg(target_arch = "bpf")]
pub(crate) fn store(word: *mut u64, value: u64) {
    // SAFETY: as above.
    unsafe {
        core::arch::asm!("*(u64 *)(r1 + 0) = r2", in("r1") word, in("r2") value);
    }
}

/// Reads a word before everything that is read later. A plain load: x86-64 keeps loads in order.
#[inline(always)]
#[cfg(target_arch = "bpf")]
pub(crate) fn load(word: *const u64) -> u64 {
    let value: u64;
    // SAFETY: as above.
    unsafe {
        core::arch::asm!("r0 = *(u64 *)(r1 + 0)", out("r0") value, in("r1") word);
    }
    value
}

/// Sets bits of a word.
#[inline(always)]
#[cfg(target_arch = "bpf")]
pub(crate) fn or(word: *mut u64, bits: u64) {
    // SAFETY: as above.
    unsafe {
        core::arch::asm!("lock *(u64 *)(r1 + 0) |= r2", in("r1") word, in("r2") bits);
    }
}

/// Reads what others may write meanwhile: right only if a state that was read before is there afterwards.
#[inline(always)]
pub(crate) fn peek<T>(place: *const T) -> T {
    // SAFETY: as above; any bytes are a value of the callers' types, which are made of integers.
    unsafe { core::ptr::read_volatile(place) }
}

#[cfg(not(target_arch = "bpf"))]
pub(crate) use host::{load, or, store, swap};

#[cfg(not(target_arch = "bpf"))]
mod host {
    use core::sync::atomic::{AtomicU64, Ordering};

    fn atomic<'a>(word: *const u64) -> &'a AtomicU64 {
        // SAFETY: as for the others.
        unsafe { AtomicU64::from_ptr(word.cast_mut()) }
    }

    pub(crate) fn swap(word: *mut u64, old: u64, new: u64) -> bool {
        let swapped = atomic(word).compare_exchange(old, new, Ordering::SeqCst, Ordering::SeqCst);
        swapped.is_ok()
    }

    pub(crate) fn or(word: *mut u64, bits: u64) {
        atomic(word).fetch_or(bits, Ordering::SeqCst);
    }

    pub(crate) fn store(word: *mut u64, value: u64) {
        atomic(word).store(value, Ordering::Release);
    }

    pub(crate) fn load(word: *const u64) -> u64 {
        atomic(word).load(Ordering::Acquire)
    }
}
