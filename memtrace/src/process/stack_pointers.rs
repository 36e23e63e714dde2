//! Where the stacks of a process's threads are, as far as `/proc` tells.

use std::fs;

use super::threads::{Place, place};

/// Threads that are looked at: each costs some ten microseconds.
const MOST: usize = 4096;

/// Stack pointers (avma) of the threads that wait in the kernel. Of one that runs it is not told.
pub fn waiting(pid: u32) -> Vec<u64> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    let pointers = tasks.flatten().take(MOST).filter_map(|task| {
        let text = fs::read_to_string(task.path().join("syscall")).ok()?;
        pointer(&text)
    });
    pointers.collect()
}

/// The stack pointer in a line of `/proc/PID/task/TID/syscall`.
fn pointer(text: &str) -> Option<u64> {
    match place(text)? {
        Place::Blocked { sp, .. } => Some(sp),
        Place::Running => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_but_one_word_is_the_pointer() {
        assert_eq!(pointer("running\n"), None);
        assert_eq!(pointer("-1 0x7ffd8c1a6ff8 0x7fcf691222ad\n"), Some(0x7ffd_8c1a_6ff8));
        assert_eq!(pointer("0 0x3 0x1 0x2 0x3 0x4 0x5 0x7ff8 0x22ad\n"), Some(0x7ff8));
        assert_eq!(pointer(""), None);
    }

    #[test]
    fn a_thread_that_waits_tells_where_its_stack_is() {
        let (tell, told) = std::sync::mpsc::channel();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            let local = 0_u8;
            tell.send((&raw const local).addr() as u64).unwrap();
            let _ended = ended.recv();
        });
        let local = told.recv().unwrap();
        let found = (0..1000).any(|_| {
            std::thread::yield_now();
            waiting(std::process::id())
                .iter()
                .any(|&pointer| pointer.abs_diff(local) < 64 << 10)
        });
        assert!(found);
        drop(end);
        thread.join().unwrap();
    }
}
