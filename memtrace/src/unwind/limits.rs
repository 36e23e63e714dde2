//! How much of a file is looked at. The files are a target's and may be made to hurt: each bound is some times what the
//! largest programs in use have, and small enough for a tracer to bear.

/// Most program headers or section headers of a file. More are possible only with an escape in section 0, which
/// executables do not use: `PN_XNUM` and `SHN_LORESERVE` in the ELF specification.
pub(super) const MAX_HEADERS: u16 = 0xfeff;

/// Largest table of section names in bytes. Those of large programs have some hundred.
pub(super) const MAX_NAMES: u64 = 1 << 20;

/// Largest section of call frame information in bytes, also after decompression. It is held in memory while a table is made;
/// libLLVM has 13 MiB, programs of a gigabyte around 100 MiB.
pub(super) const MAX_CFI: u64 = 1 << 28;

/// Most functions (frame description entries) of a file; each takes 24 bytes while a table is made. libLLVM has 130,000.
pub(super) const MAX_FDES: usize = 1 << 22;

/// Most rows of a table before pages are made of them, 16 bytes each then. libLLVM has 87,000 (1.1 million without pruning).
pub(super) const MAX_ROWS: usize = 1 << 22;

/// Most executable segments of a file. Usual are one or two.
pub(super) const MAX_SEGMENTS: usize = 64;

/// Most bytes of executable segments together: what is searched for calls. Chromium has 240 MB.
pub(super) const MAX_TEXT: u64 = 1 << 32;

/// Most bytes in which the kernel's return from a signal is looked for: code without call frame information, where a C
/// library without it is (musl has 0.6 MiB of code). Larger gaps are machine code of another kind, as in V8.
pub(super) const MAX_SIGNAL_SEARCH: u64 = 1 << 24;

/// Deepest stack of remembered states. gimli allows 4; compilers use 1.
pub(super) const MAX_REMEMBERED: usize = 8;

/// Bytes of code read at once.
pub(super) const PIECE: u64 = 1 << 18;
