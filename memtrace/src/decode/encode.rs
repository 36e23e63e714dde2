//! Events back to the bytes of the ring: for tests and benchmarks, which have no kernel.
//!
//! Written from the record types, not from the decoder, so that a round trip says something.

use bytemuck::bytes_of;
use memtrace_common::event::{Header, StackEnd, StackHead};
use memtrace_common::{event::Kind, identity::Identity};

use super::Event;

/// The record of an event, as the BPF side would send it. Of a header only the kind is set here.
pub fn encode(event: &Event<'_>) -> Vec<u8> {
    let (kind, mut bytes) = match event {
        Event::Stack(stack) => {
            let mut bytes = bytes_of(&stack.head).to_vec();
            bytes.extend_from_slice(stack.words);
            bytes.extend_from_slice(stack.python);
            (Kind::Stack, bytes)
        }
        Event::Alloc(record) => (Kind::Alloc, bytes_of(record).to_vec()),
        Event::Weighted(record) => (Kind::Weighted, bytes_of(record).to_vec()),
        Event::Pairs(record) => (Kind::Pairs, bytes_of(record).to_vec()),
        Event::Free(record) => (Kind::Free, bytes_of(record).to_vec()),
        Event::ReallocBegin(record) => (Kind::ReallocBegin, bytes_of(record).to_vec()),
        Event::ReallocEnd(record) => (Kind::ReallocEnd, bytes_of(record).to_vec()),
        Event::Map(record) => (Kind::Map, bytes_of(record).to_vec()),
        Event::UnmapBegin(record) => (Kind::UnmapBegin, bytes_of(record).to_vec()),
        Event::UnmapFailed(record) => (Kind::UnmapFailed, bytes_of(record).to_vec()),
        Event::RemapBegin(record) => (Kind::RemapBegin, bytes_of(record).to_vec()),
        Event::RemapEnd(record) => (Kind::RemapEnd, bytes_of(record).to_vec()),
        Event::Break(record) => (Kind::Break, bytes_of(record).to_vec()),
        Event::Exec(record) => (Kind::Exec, bytes_of(record).to_vec()),
        Event::Fork(record) => (Kind::Fork, bytes_of(record).to_vec()),
        Event::Exit(record) => (Kind::Exit, bytes_of(record).to_vec()),
        Event::Join(record) => (Kind::Join, bytes_of(record).to_vec()),
        Event::Code(record) => (Kind::Code, bytes_of(record).to_vec()),
        Event::Image(record) => (Kind::Image, bytes_of(record).to_vec()),
        Event::JsAllocated(record) => (Kind::JsAllocated, bytes_of(record).to_vec()),
        Event::JsCollected(record) => (Kind::JsCollected, bytes_of(record).to_vec()),
        Event::JsSampled(record) => (Kind::JsSampled, bytes_of(record).to_vec()),
        Event::JsSurvived(record) => (Kind::JsSurvived, bytes_of(record).to_vec()),
        Event::JsShortage(record) => (Kind::JsShortage, bytes_of(record).to_vec()),
        Event::Python(code) => {
            let bytes = [bytes_of(&code.head), code.name, code.file, code.table].concat();
            (Kind::PythonCode, bytes)
        }
        Event::JavaScript(function) => {
            let bytes = [
                bytes_of(&function.head),
                function.name,
                function.file,
                function.source,
                function.table,
            ]
            .concat();
            (Kind::JavaScriptFunction, bytes)
        }
        Event::JavaScriptCode(piece) => {
            let bytes = [bytes_of(&piece.head), piece.bytes].concat();
            (Kind::JavaScriptCode, bytes)
        }
    };
    bytes[0] = kind as u8;
    bytes
}

/// The record of a stack: what [`super::decode`] takes, as long as there are at most
/// [`memtrace_common::limits::MAX_FRAMES`] frames (avma, leaf first).
pub fn encode_stack(header: Header, frames: &[u64]) -> Vec<u8> {
    let head = StackHead {
        header: Header {
            kind: Kind::Stack as u8,
            ..header
        },
        id: Identity::of(header.incarnation, frames, StackEnd::Start as u8, 0).id,
        epoch: 0,
        count: u32::try_from(frames.len()).unwrap_or(u32::MAX),
        end: StackEnd::Start as u8,
        notes: 0,
        python: 0,
    };
    let mut bytes = bytes_of(&head).to_vec();
    bytes.extend(frames.iter().flat_map(|frame| frame.to_le_bytes()));
    bytes
}
