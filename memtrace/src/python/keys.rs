//! Where the C library keeps what a thread has under a key, as it tells debuggers: glibc has a description of each field that they
//! need, of three words: bits, how many there are, and the offset (`DB_STRUCT_FIELD`, `nptl_db/db_info.c`).

use memtrace_common::python::KeyLayout;
use object::ReadRef;

use crate::process::Elf;

/// A field of one of the C library's structures.
#[derive(Clone, Copy)]
struct Field {
    count: u32,
    offset: u32,
}

/// What is believed of sizes and offsets, in bytes: a thread's descriptor has 2.3 KB.
const MAX_OFFSET: u32 = 1 << 16;

/// Bits of a pointer.
const POINTER_BITS: u32 = 64;

/// How a file that is the C library, or its part for threads, keeps what threads have under keys; `None` for any other.
pub(super) fn of<'data, R: ReadRef<'data>>(elf: &Elf<'data, R>) -> Option<KeyLayout> {
    let words = |name: &str, count: usize| {
        let symbol = elf.exported(name)?;
        let bytes = elf.bytes(symbol.svma, 4 * count as u64)?;
        let word = |bytes: &[u8]| Some(u32::from_le_bytes(bytes.try_into().ok()?));
        bytes.chunks_exact(4).map(word).collect::<Option<Vec<u32>>>()
    };
    let field = |name: &str| {
        let [bits, count, offset] = words(name, 3)?[..] else {
            return None;
        };
        // An array may be told as one field.
        let count = if count == 1 { bits / POINTER_BITS } else { count };
        (offset < MAX_OFFSET).then_some(Field { count, offset })
    };
    let blocks = field("_thread_db_pthread_specific")?;
    let entries = field("_thread_db_pthread_key_data_level2_data")?;
    let value = field("_thread_db_pthread_key_data_data")?;
    let [entry_bytes] = words("_thread_db_sizeof_pthread_key_data", 1)?[..] else {
        return None;
    };
    let [block_bytes] = words("_thread_db_sizeof_pthread_key_data_level2", 1)?[..] else {
        return None;
    };
    let sane = (8..MAX_OFFSET).contains(&entry_bytes) && (entry_bytes..MAX_OFFSET).contains(&block_bytes);
    if !sane || blocks.count == 0 {
        return None;
    }
    // Where the description has no number of entries, the sizes tell it.
    let fits = (block_bytes - entries.offset.min(block_bytes)) / entry_bytes;
    let block_keys = if entries.count > 0 {
        entries.count.min(fits)
    } else {
        fits
    };
    block_keys.is_power_of_two().then_some(KeyLayout {
        blocks: blocks.offset,
        block_count: blocks.count,
        block_shift: block_keys.trailing_zeros(),
        entries: entries.offset,
        entry_bytes,
        value: value.offset,
    })
}
