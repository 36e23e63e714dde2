//! Where a thread of somebody else's program has its data, without stopping it.

use std::ptr;

/// Bytes from the begin of glibc's description of a thread, to which its thread pointer leads, to its list of robust mutexes
/// (`struct pthread`, `robust_head`, `nptl/descr.h`, on x86-64 since 2.5). Nothing says it of a C library at hand, so what comes of it
/// is to be checked: the word at a thread pointer is the thread pointer itself (ELF Handling For Thread-Local Storage, 3.4.6).
const ROBUST_LIST: u64 = 736;

/// What is the thread pointer (avma) of a thread, if its C library is glibc: from the list of robust mutexes that each of its threads gives
/// to the kernel, which a `get_robust_list` of anybody who may trace it tells. The thread is not touched. `None` where it has no list.
pub fn thread_pointer(tid: u32) -> Option<u64> {
    let mut head = ptr::null_mut::<libc::c_void>();
    let mut length: libc::size_t = 0;
    let tid = libc::pid_t::try_from(tid).ok()?;
    #[expect(unsafe_code, reason = "no wrapper has this call")]
    // SAFETY: the kernel writes a pointer to the second argument and a size to the third, which both are ours and live longer than the call.
    let result = unsafe { libc::syscall(libc::SYS_get_robust_list, tid, &raw mut head, &raw mut length) };
    let head = (result == 0).then(|| head.addr() as u64)?;
    head.checked_sub(ROBUST_LIST).filter(|&pointer| pointer > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Memory;

    #[test]
    fn a_thread_pointer_leads_to_itself() {
        let own = rustix::thread::gettid().as_raw_nonzero().get().cast_unsigned();
        let pointer = thread_pointer(own).unwrap();
        let memory = Memory::open(std::process::id()).unwrap();
        let mut word = [0; 8];
        assert!(memory.fill(pointer, &mut word));
        assert_eq!(u64::from_le_bytes(word), pointer);
        let other = std::thread::spawn(move || {
            let own = rustix::thread::gettid().as_raw_nonzero().get().cast_unsigned();
            thread_pointer(own)
        });
        assert_ne!(other.join().unwrap(), Some(pointer));
        assert_eq!(thread_pointer(u32::MAX), None);
    }
}
