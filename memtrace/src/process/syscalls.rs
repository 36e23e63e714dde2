//! Names of system calls.

/// Makes a name of each number that libc has for this processor.
macro_rules! names {
    ($($constant:ident $name:literal),* $(,)?) => {
        /// The name of a system call in which threads wait or spend their time (64-bit x86); `None` for others, which are
        /// told by number.
        pub fn name(number: u64) -> Option<&'static str> {
            Some(match libc::c_long::try_from(number).ok()? {
                $(libc::$constant => $name,)*
                _ => return None,
            })
        }
    };
}

names! {
    SYS_read "read", SYS_write "write", SYS_open "open", SYS_close "close", SYS_poll "poll", SYS_mmap "mmap", SYS_munmap "munmap",
    SYS_mprotect "mprotect", SYS_brk "brk", SYS_rt_sigsuspend "rt_sigsuspend", SYS_rt_sigtimedwait "rt_sigtimedwait",
    SYS_ioctl "ioctl", SYS_pread64 "pread64", SYS_pwrite64 "pwrite64", SYS_readv "readv", SYS_writev "writev",
    SYS_preadv "preadv", SYS_pwritev "pwritev", SYS_preadv2 "preadv2", SYS_pwritev2 "pwritev2", SYS_select "select",
    SYS_pselect6 "pselect6", SYS_ppoll "ppoll", SYS_sched_yield "sched_yield", SYS_madvise "madvise", SYS_mremap "mremap",
    SYS_msync "msync", SYS_pause "pause", SYS_nanosleep "nanosleep", SYS_clock_nanosleep "clock_nanosleep", SYS_sendfile "sendfile",
    SYS_connect "connect", SYS_accept "accept", SYS_accept4 "accept4", SYS_sendto "sendto", SYS_recvfrom "recvfrom",
    SYS_sendmsg "sendmsg", SYS_recvmsg "recvmsg", SYS_sendmmsg "sendmmsg", SYS_recvmmsg "recvmmsg", SYS_clone "clone",
    SYS_clone3 "clone3", SYS_fork "fork", SYS_vfork "vfork", SYS_execve "execve", SYS_execveat "execveat", SYS_exit "exit",
    SYS_exit_group "exit_group", SYS_wait4 "wait4", SYS_waitid "waitid", SYS_semop "semop", SYS_semtimedop "semtimedop",
    SYS_msgsnd "msgsnd", SYS_msgrcv "msgrcv", SYS_fcntl "fcntl", SYS_flock "flock", SYS_fsync "fsync", SYS_fdatasync "fdatasync",
    SYS_sync "sync", SYS_syncfs "syncfs", SYS_fallocate "fallocate", SYS_ftruncate "ftruncate", SYS_getdents64 "getdents64",
    SYS_openat "openat", SYS_openat2 "openat2", SYS_unlink "unlink", SYS_unlinkat "unlinkat", SYS_rename "rename",
    SYS_renameat2 "renameat2", SYS_statx "statx", SYS_newfstatat "newfstatat", SYS_futex "futex", SYS_futex_waitv "futex_waitv",
    SYS_io_getevents "io_getevents", SYS_io_submit "io_submit",
    SYS_io_uring_enter "io_uring_enter", SYS_epoll_wait "epoll_wait", SYS_epoll_pwait "epoll_pwait",
    SYS_epoll_pwait2 "epoll_pwait2", SYS_signalfd4 "signalfd4", SYS_restart_syscall "restart_syscall", SYS_splice "splice",
    SYS_tee "tee", SYS_vmsplice "vmsplice", SYS_copy_file_range "copy_file_range", SYS_mq_timedsend "mq_timedsend",
    SYS_mq_timedreceive "mq_timedreceive", SYS_getrandom "getrandom", SYS_userfaultfd "userfaultfd", SYS_membarrier "membarrier",
    SYS_process_vm_readv "process_vm_readv", SYS_process_vm_writev "process_vm_writev", SYS_ptrace "ptrace", SYS_kill "kill",
    SYS_tgkill "tgkill", SYS_umount2 "umount2", SYS_mount "mount", SYS_bpf "bpf", SYS_perf_event_open "perf_event_open",
}

#[cfg(test)]
mod tests {
    use super::name;

    #[test]
    fn numbers_of_the_table() {
        // arch/x86/entry/syscalls/syscall_64.tbl
        assert_eq!(
            (name(0), name(202), name(232)),
            (Some("read"), Some("futex"), Some("epoll_wait"))
        );
        assert_eq!((name(100_000), name(u64::MAX)), (None, None));
    }
}
