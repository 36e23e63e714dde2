//! Settings that the loader writes into the object's read-only data before the kernel verifies it.

use crate::limits::COMMAND_BYTES;

/// Name of the symbol that holds [`Config`] in the object.
pub const SYMBOL: &str = "CONFIG";

/// Settings fixed for the life of a session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(C)]
pub struct Config {
    /// Bytes waiting in the ring at which the collector is woken at once rather than at its next tick.
    pub wakeup_bytes: u64,
    /// Frames that a stack may have, at most [`crate::limits::MAX_FRAMES`].
    pub max_frames: u32,
    /// 1 when stacks are unwound by tables, 0 when by frame pointer alone.
    pub by_tables: u32,
    /// Which processes join by themselves: [`Join`] as its number.
    pub join: u32,
    /// 1 when children are followed.
    pub follow: u32,
    /// 1 when the kernel has `bpf_loop` and `bpf_find_vma` (Linux 5.17); else `bpf_for_each_map_elem` (5.13) turns the unwinder's
    /// loop, and a program's dynamic loader is known only while the program lives.
    pub has_loop: u32,
    /// Where the kernel keeps what its return probes put in the place of return addresses.
    pub return_probes: ReturnProbes,
    /// Where the kernel keeps the address that it puts in their place.
    pub trampoline: Trampoline,
    /// Where the kernel keeps the thread pointer.
    pub thread_pointer: ThreadPointer,
    /// Where the kernel counts the threads of a process.
    pub threads: Threads,
    /// Where it keeps what is mapped.
    pub files: Files,
    /// 1 when probes are in every process, from its first instruction on.
    pub everywhere: u32,
    /// 1 when blocks wait for their free before they are sent: [`crate::young`].
    pub young: u32,
    /// What a processor's number is combined with (and) to find its slots in the table of pairs.
    pub processors: u32,
    /// 1 when it is sampled where JavaScript objects are allocated: [`crate::v8_heap::draw`].
    pub javascript_sites: u32,
    /// Zero.
    pub reserved: u32,
    /// The PID namespace in which processes and threads are numbered.
    pub pid_namespace: PidNamespace,
    /// The name of programs that join, with [`Join::Command`]; filled up with zeros.
    pub command: [u8; COMMAND_BYTES],
}

/// Which processes join without being told of by the collector.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(u32)]
pub enum Join {
    /// None.
    #[default]
    Nobody = 0,
    /// Every one, at its first call that is seen.
    All = 1,
    /// Those whose program gets a certain name, when it begins.
    Command = 2,
}

/// A PID namespace, by its file `/proc/PID/ns/pid`; all zero is the first one of the machine, which needs no looking up.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct PidNamespace {
    /// Device as the kernel has it inside (`MKDEV`, `include/linux/kdev_t.h`).
    pub device: u64,
    /// Inode.
    pub inode: u64,
}

/// Offsets in bytes of fields in the running kernel's own structures, from its BTF. With `known` 0 they are not there, and
/// return addresses that a return probe has replaced end a stack.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct ReturnProbes {
    /// 1 when all of the offsets are known.
    pub known: u32,
    /// `task_struct.utask`
    pub task_utask: u32,
    /// `uprobe_task.return_instances`
    pub utask_instances: u32,
    /// `return_instance.stack`
    pub instance_stack: u32,
    /// `return_instance.orig_ret_vaddr`
    pub instance_address: u32,
    /// `return_instance.next`
    pub instance_next: u32,
}

/// As [`ReturnProbes`]. Without it the address is taken to be the one that the kernel asks for, which it does not get when
/// something is there already: without address space randomisation the stack is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct Trampoline {
    /// 1 when all of the offsets are known.
    pub known: u32,
    /// `task_struct.mm`
    pub task_mm: u32,
    /// `mm_struct.uprobes_state.xol_area`
    pub mm_area: u32,
    /// `xol_area.vaddr`
    pub area_address: u32,
}

/// As [`ReturnProbes`]. Without it, there are no Python frames.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct ThreadPointer {
    /// 1 when the offset is known.
    pub known: u32,
    /// `task_struct.thread.fsbase`
    pub task_base: u32,
}

/// As [`ReturnProbes`]. Without it, a process is taken for ended when its main thread ends.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct Threads {
    /// 1 when all of the offsets are known.
    pub known: u32,
    /// `task_struct.signal`
    pub task_signal: u32,
    /// `signal_struct.live`
    pub signal_live: u32,
}

/// As [`ReturnProbes`]. Without it, what code a process has mapped is known only while it lives.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct Files {
    /// 1 when all of the offsets are known.
    pub known: u32,
    /// `task_struct.files`
    pub task_files: u32,
    /// `files_struct.fdt`
    pub files_table: u32,
    /// `fdtable.fd`
    pub table_entries: u32,
    /// `file.f_inode`
    pub file_inode: u32,
    /// `inode.i_ino`
    pub inode_number: u32,
    /// `inode.i_sb`
    pub inode_system: u32,
    /// `super_block.s_dev`
    pub system_device: u32,
    /// `task_struct.mm`
    pub task_mm: u32,
    /// `mm_struct.exe_file`
    pub mm_executable: u32,
    /// `mm_struct.start_code`
    pub mm_code: u32,
    /// `mm_struct.saved_auxv`
    pub mm_auxiliary: u32,
    /// `vm_area_struct.vm_file`
    pub area_file: u32,
}

const _: () = {
    assert!(size_of::<Files>() == 52);
    assert!(size_of::<ThreadPointer>() == 8);
    assert!(size_of::<Threads>() == 12);
    assert!(size_of::<ReturnProbes>() == 24);
    assert!(size_of::<Trampoline>() == 16);
    assert!(size_of::<PidNamespace>() == 16);
    assert!(size_of::<Config>() == 192);
};
