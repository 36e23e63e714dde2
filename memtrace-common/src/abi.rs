//! What a stack looks like on x86-64 Linux, as far as no table says it: both who walks in the kernel and who walks a copy need it.

// Where the kernel puts the interrupted registers, in bytes from the stack pointer after the handler's return (`struct ucontext`,
// `struct sigcontext_64`, arch/x86/include/uapi/asm): the context's registers begin at 40; bp, sp and ip are its words
// 10, 15 and 16.

/// Where the frame pointer is that a signal interrupted.
pub const SIGNAL_BP: u64 = 40 + 8 * 10;

/// Where its stack pointer is.
pub const SIGNAL_SP: u64 = 40 + 8 * 15;

/// Where its next instruction is.
pub const SIGNAL_IP: u64 = 40 + 8 * 16;

/// The length of an entry in a procedure linkage table, in bytes (System V AMD64 ABI, 5.2), less one.
pub const PLT_MASK: u64 = 15;
