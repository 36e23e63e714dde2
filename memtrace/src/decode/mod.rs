//! Bytes of the ring to [`Event`]s. Total: any bytes give an event or an error, never a panic.
//!
//! Records are copied out by unaligned reads, so the bytes may lie anywhere; the frames of a stack, the only part
//! that can be long, stay where they are until they are asked for. Nothing is allocated.

mod encode;
mod javascript;
mod python;
#[cfg(test)]
mod tests;

use bytemuck::AnyBitPattern;
use memtrace_common::{
    Op,
    event::{
        Alloc, Break, Fork, Free, Header, Image, JsAllocated, JsCollected, JsSampled, JsShortage, JsSurvived, Kind,
        Map, Pairs, Program, Realloc, Remap, StackEnd, StackHead, Unmap, Weighted,
    },
    identity::Identity,
    javascript::{MARK, NO_POSITION},
    limits::MAX_FRAMES,
    op::Class,
    python::MAX_ENTRIES,
};
use thiserror::Error;

pub use self::{
    encode::{encode, encode_stack},
    javascript::{JavaScript, Piece},
    python::Python,
};

/// One record.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Event<'a> {
    /// A call stack, before the first event that names it.
    Stack(Stack<'a>),
    /// A block was allocated.
    Alloc(Alloc),
    /// A block was allocated that stands for several.
    Weighted(Weighted),
    /// Blocks were allocated and freed that no other event tells of.
    Pairs(Pairs),
    /// A block was freed.
    Free(Free),
    /// A block was given to `realloc`.
    ReallocBegin(Free),
    /// A `realloc` returned.
    ReallocEnd(Realloc),
    /// A range was mapped.
    Map(Map),
    /// A range was given to `munmap`.
    UnmapBegin(Unmap),
    /// The `munmap` failed.
    UnmapFailed(Unmap),
    /// A range was given to `mremap`.
    RemapBegin(Unmap),
    /// An `mremap` returned.
    RemapEnd(Remap),
    /// The program break was set or asked for.
    Break(Break),
    /// The process replaced its program.
    Exec(Program),
    /// A process was forked.
    Fork(Fork),
    /// A process has ended.
    Exit(Header),
    /// A process is seen for the first time.
    Join(Program),
    /// Code of a process was mapped or changed.
    Code(Header),
    /// Code of a file was mapped.
    Image(Image),
    /// A Python function, before the first stack that names it.
    Python(Python<'a>),
    /// A function of JavaScript, before the first stack that names it.
    JavaScript(JavaScript<'a>),
    /// A piece of compiled code of such a function, before the first stack that goes through it.
    JavaScriptCode(Piece<'a>),
    /// A thread has taken bytes for JavaScript objects.
    JsAllocated(JsAllocated),
    /// A collection of a thread's JavaScript heap has ended.
    JsCollected(JsCollected),
    /// A byte that was drawn of what a thread takes for JavaScript objects has been taken.
    JsSampled(JsSampled),
    /// [`Kind::JsSurvived`]
    JsSurvived(JsSurvived),
    /// V8 has run out of memory, or has come near the limit of a heap.
    JsShortage(JsShortage),
}

impl Event<'_> {
    /// What every record begins with.
    pub const fn header(&self) -> &Header {
        match self {
            Self::Stack(stack) => &stack.head.header,
            Self::Alloc(record) => &record.header,
            Self::Weighted(record) => &record.alloc.header,
            Self::Pairs(record) => &record.header,
            Self::Free(record) | Self::ReallocBegin(record) => &record.header,
            Self::ReallocEnd(record) => &record.header,
            Self::Map(record) => &record.header,
            Self::UnmapBegin(record) | Self::UnmapFailed(record) | Self::RemapBegin(record) => &record.header,
            Self::RemapEnd(record) => &record.header,
            Self::Break(record) => &record.header,
            Self::Exec(record) | Self::Join(record) => &record.header,
            Self::Fork(record) => &record.header,
            Self::Exit(header) | Self::Code(header) => header,
            Self::Image(record) => &record.header,
            Self::Python(code) => &code.head.header,
            Self::JavaScript(function) => &function.head.header,
            Self::JavaScriptCode(piece) => &piece.head.header,
            Self::JsAllocated(record) => &record.header,
            Self::JsCollected(record) => &record.header,
            Self::JsSampled(record) => &record.header,
            Self::JsSurvived(record) => &record.header,
            Self::JsShortage(record) => &record.header,
        }
    }

    /// The event without a tie to the ring's memory, to be kept for a while. What is long has to be copied, not kept.
    pub const fn detached(self) -> Option<Event<'static>> {
        Some(match self {
            Self::Stack(_) | Self::Python(_) | Self::JavaScript(_) | Self::JavaScriptCode(_) => return None,
            Self::Alloc(record) => Event::Alloc(record),
            Self::Weighted(record) => Event::Weighted(record),
            Self::Pairs(record) => Event::Pairs(record),
            Self::Free(record) => Event::Free(record),
            Self::ReallocBegin(record) => Event::ReallocBegin(record),
            Self::ReallocEnd(record) => Event::ReallocEnd(record),
            Self::Map(record) => Event::Map(record),
            Self::UnmapBegin(record) => Event::UnmapBegin(record),
            Self::UnmapFailed(record) => Event::UnmapFailed(record),
            Self::RemapBegin(record) => Event::RemapBegin(record),
            Self::RemapEnd(record) => Event::RemapEnd(record),
            Self::Break(record) => Event::Break(record),
            Self::Exec(record) => Event::Exec(record),
            Self::Fork(record) => Event::Fork(record),
            Self::Exit(record) => Event::Exit(record),
            Self::Join(record) => Event::Join(record),
            Self::Code(record) => Event::Code(record),
            Self::Image(record) => Event::Image(record),
            Self::JsAllocated(record) => Event::JsAllocated(record),
            Self::JsCollected(record) => Event::JsCollected(record),
            Self::JsSampled(record) => Event::JsSampled(record),
            Self::JsSurvived(record) => Event::JsSurvived(record),
            Self::JsShortage(record) => Event::JsShortage(record),
        })
    }
}

/// A stack record; its frames stay in the ring's memory until they are asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stack<'a> {
    /// The fixed part.
    pub head: StackHead,
    words: &'a [u8],
    python: &'a [u8],
}

/// A frame of a stack.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct StackFrame {
    /// Its address (avma).
    pub address: u64,
    /// Where it is JavaScript's, its function's [`memtrace_common::javascript::Key::identity`] and
    /// [`memtrace_common::javascript::position`].
    pub function: Option<(u64, u64)>,
}

impl Stack<'_> {
    /// Its frames, leaf first.
    pub fn frames(&self) -> impl Iterator<Item = StackFrame> {
        let mut words = self.words().peekable();
        std::iter::from_fn(move || {
            let address = words.next()?;
            let function = words.next_if(|&word| word & MARK != 0);
            Some(StackFrame {
                address,
                function: function.map(|id| (id, words.next().unwrap_or(NO_POSITION))),
            })
        })
    }

    /// The words that tell of them.
    fn words(&self) -> impl Iterator<Item = u64> {
        self.words.chunks_exact(8).map(bytemuck::pod_read_unaligned)
    }

    /// Python frames, innermost first, with the marks between them: two words each, as [`memtrace_common::event::Stack::words`] has them.
    pub fn python(&self) -> impl ExactSizeIterator<Item = (u64, u64)> {
        let entries = self.python.chunks_exact(16);
        entries.map(|entry| bytemuck::pod_read_unaligned::<[u64; 2]>(entry).into())
    }
}

/// Why a record is not an event.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum Malformed {
    /// A kind that this version does not know.
    #[error("kind {0} is unknown")]
    Kind(u8),
    /// An operation that this version does not know, or that a record of this kind cannot be about.
    #[error("a record of kind {kind} cannot be about operation {op}")]
    Op {
        /// Number of the kind.
        kind: u8,
        /// Number of the operation.
        op: u8,
    },
    /// Not as long as its kind wants it.
    #[error("a record of kind {kind} cannot be {length} bytes long")]
    Length {
        /// Number of the kind.
        kind: u8,
        /// Length of the record in bytes.
        length: usize,
    },
    /// The frames do not have the identity that the record says: its memory was overwritten while it was copied.
    #[error("the frames of a stack do not match its identity")]
    Identity,
}

/// Reads one record.
///
/// # Errors
/// Bytes that the BPF side of this version does not send.
pub fn decode(record: &[u8]) -> Result<Event<'_>, Malformed> {
    let Some((&number, _)) = record.split_first() else {
        return Err(Malformed::Length { kind: 0, length: 0 });
    };
    let kind = Kind::from_u8(number).ok_or(Malformed::Kind(number))?;
    let event = match kind {
        Kind::Stack => return stack(record).map(Event::Stack),
        Kind::PythonCode => return python::read(record).map(Event::Python),
        Kind::JavaScriptFunction => return javascript::read(record).map(Event::JavaScript),
        Kind::JavaScriptCode => return javascript::read_piece(record).map(Event::JavaScriptCode),
        Kind::Alloc => Event::Alloc(read(record)?),
        Kind::Weighted => Event::Weighted(read(record)?),
        Kind::Pairs => Event::Pairs(read(record)?),
        Kind::Free => Event::Free(read(record)?),
        Kind::ReallocBegin => Event::ReallocBegin(read(record)?),
        Kind::ReallocEnd => Event::ReallocEnd(read(record)?),
        Kind::Map => Event::Map(read(record)?),
        Kind::UnmapBegin => Event::UnmapBegin(read(record)?),
        Kind::UnmapFailed => Event::UnmapFailed(read(record)?),
        Kind::RemapBegin => Event::RemapBegin(read(record)?),
        Kind::RemapEnd => Event::RemapEnd(read(record)?),
        Kind::Break => Event::Break(read(record)?),
        Kind::Exec => return read(record).map(Event::Exec),
        Kind::Fork => return read(record).map(Event::Fork),
        Kind::Exit => return read(record).map(Event::Exit),
        Kind::Join => return read(record).map(Event::Join),
        Kind::Code => return read(record).map(Event::Code),
        Kind::Image => return read(record).map(Event::Image),
        Kind::JsAllocated => return read(record).map(Event::JsAllocated),
        Kind::JsCollected => return read(record).map(Event::JsCollected),
        Kind::JsSampled => return read(record).map(Event::JsSampled),
        Kind::JsSurvived => return read(record).map(Event::JsSurvived),
        Kind::JsShortage => return read(record).map(Event::JsShortage),
    };
    // The second byte of every record is the operation's number.
    let op = record.get(1).copied().unwrap_or(0);
    if Op::from_u8(op).is_some_and(|op| carries(kind, op)) {
        Ok(event)
    } else {
        Err(Malformed::Op { kind: number, op })
    }
}

/// Whether a record of this kind can be about this operation: the ledger files blocks and ranges by it.
const fn carries(kind: Kind, op: Op) -> bool {
    match kind {
        Kind::Alloc => matches!(op.class(), Class::Heap) && !op.is_free() && !op.is_resize(),
        // What is resized in a sample is a new block of it.
        Kind::Weighted | Kind::Pairs => matches!(op.class(), Class::Heap) && !op.is_free(),
        Kind::Free => matches!(op.class(), Class::Heap) && op.is_free(),
        Kind::ReallocBegin | Kind::ReallocEnd => op.is_realloc() || op.is_resize(),
        Kind::Map => matches!(op, Op::Mmap | Op::MmapFile | Op::MmapReserve | Op::MmapAny | Op::Pool),
        Kind::UnmapBegin | Kind::UnmapFailed => matches!(op, Op::Munmap),
        Kind::RemapBegin | Kind::RemapEnd => matches!(op, Op::Mremap),
        Kind::Break => matches!(op, Op::Brk | Op::BrkAny),
        Kind::PythonCode
        | Kind::JavaScriptFunction
        | Kind::JavaScriptCode
        | Kind::JsAllocated
        | Kind::JsCollected
        | Kind::JsSampled
        | Kind::JsSurvived
        | Kind::JsShortage
        | Kind::Stack
        | Kind::Exec
        | Kind::Fork
        | Kind::Exit
        | Kind::Join
        | Kind::Code
        | Kind::Image => true,
    }
}

fn read<T: AnyBitPattern>(record: &[u8]) -> Result<T, Malformed> {
    bytemuck::try_pod_read_unaligned(record).map_err(|_length| length(record))
}

fn length(record: &[u8]) -> Malformed {
    Malformed::Length {
        kind: record.first().copied().unwrap_or(0),
        length: record.len(),
    }
}

fn stack(record: &[u8]) -> Result<Stack<'_>, Malformed> {
    let (head, frames) = record
        .split_at_checked(size_of::<StackHead>())
        .ok_or_else(|| length(record))?;
    let head: StackHead = read(head)?;
    let (count, entries) = (head.count as usize, usize::from(head.python));
    if count > 3 * MAX_FRAMES || entries > MAX_ENTRIES || frames.len() != 8 * count + 16 * entries {
        return Err(length(record));
    }
    let (words, python) = frames.split_at(8 * count);
    let stack = Stack { head, words, python };
    if stack.frames().count() > MAX_FRAMES {
        return Err(length(record));
    }
    let mut identity = Identity::new(head.header.incarnation);
    stack.words().for_each(|word| identity.push(word));
    for (id, what) in stack.python() {
        identity.push(id);
        identity.push(what);
    }
    if identity.finish(head.end, head.epoch).id != head.id || StackEnd::from_u8(head.end).is_none() {
        return Err(Malformed::Identity);
    }
    Ok(stack)
}
