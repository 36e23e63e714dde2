//! The bytes of the sections with call frame information.

use std::io::Read as _;

use flate2::read::ZlibDecoder;
use gimli::{BaseAddresses, DebugFrame, EhFrame, EhFrameHdr, EndianSlice, LittleEndian, Pointer};
use object::{LittleEndian as Little, elf as format, pod};

use super::{
    elf::{Elf, Part},
    error::{TableError, bounded},
    limits::MAX_CFI,
    source::{ReadAt, Source},
    state::Bytes,
};

/// Bytes of the index of `.eh_frame` that are read: its header, at most 4 bytes and two pointers of 8.
const INDEX: u64 = 20;

/// Bytes of sections, empty where there is none.
#[derive(Debug, Default)]
pub(super) struct Sections {
    eh_frame: Vec<u8>,
    eh_frame_svma: u64,
    debug_frame: Vec<u8>,
}

impl Sections {
    pub(super) fn eh_frame(&self) -> EhFrame<Bytes<'_>> {
        EhFrame::new(&self.eh_frame, LittleEndian)
    }

    pub(super) fn debug_frame(&self) -> DebugFrame<Bytes<'_>> {
        DebugFrame::from(EndianSlice::new(&self.debug_frame, LittleEndian))
    }
}

/// Reads them.
pub(super) fn read<S: ReadAt + ?Sized>(source: &Source<'_, S>, elf: &Elf) -> Result<Sections, TableError> {
    let mut sections = Sections::default();
    let eh_frame = match &elf.eh_frame {
        Some(part) => Some(part.clone()),
        None => indexed(source, elf)?,
    };
    if let Some(part) = eh_frame {
        sections.eh_frame = whole(source, ".eh_frame", &part)?;
        sections.eh_frame_svma = part.svma;
    }
    if let Some(part) = &elf.debug_frame {
        sections.debug_frame = whole(source, ".debug_frame", part)?;
        if part.compressed {
            sections.debug_frame = decompress(&sections.debug_frame)?;
        }
    }
    Ok(sections)
}

/// What pointers in the sections count from.
pub(super) fn bases(elf: &Elf, sections: &Sections) -> BaseAddresses {
    let mut bases = BaseAddresses::default().set_eh_frame(sections.eh_frame_svma);
    if let Some(text) = elf.text {
        bases = bases.set_text(text);
    }
    if let Some(got) = elf.got {
        bases = bases.set_got(got);
    }
    bases
}

fn whole<S: ReadAt + ?Sized>(source: &Source<'_, S>, what: &'static str, part: &Part) -> Result<Vec<u8>, TableError> {
    source.read(what, part.file.start, part.file.end - part.file.start, MAX_CFI)
}

/// `.eh_frame` of a file without section headers, which its index points to. The section ends with an entry of length zero;
/// its bytes are taken up to the end of the segment that it is in, or to the limit.
fn indexed<S: ReadAt + ?Sized>(source: &Source<'_, S>, elf: &Elf) -> Result<Option<Part>, TableError> {
    let Some(index) = &elf.eh_frame_hdr else {
        return Ok(None);
    };
    let length = (index.file.end - index.file.start).min(INDEX);
    let bytes = source.read("the index of .eh_frame", index.file.start, length, INDEX)?;
    let bases = BaseAddresses::default().set_eh_frame_hdr(index.svma);
    let Ok(parsed) = EhFrameHdr::new(&bytes, LittleEndian).parse(&bases, 8) else {
        return Ok(None);
    };
    let Pointer::Direct(svma) = parsed.eh_frame_ptr() else {
        return Ok(None);
    };
    let part = elf.loaded.iter().find_map(|segment| segment.from(svma));
    Ok(part.map(|mut part| {
        part.file.end = part.file.end.min(part.file.start.saturating_add(MAX_CFI));
        part
    }))
}

/// Decompresses a section by its header. Other ways than zlib, the only one that linkers use unasked, give an empty one.
fn decompress(section: &[u8]) -> Result<Vec<u8>, TableError> {
    let damaged = || TableError::Damaged("its compressed .debug_frame is not whole");
    let (header, data) = pod::from_bytes::<format::CompressionHeader64<Little>>(section).map_err(|()| damaged())?;
    if header.ch_type.get(Little) != format::ELFCOMPRESS_ZLIB {
        return Ok(Vec::new());
    }
    let size = header.ch_size.get(Little);
    bounded("bytes of .debug_frame", size, MAX_CFI)?;
    let mut bytes = Vec::new();
    // Grows with what comes out: the header may promise anything.
    ZlibDecoder::new(data)
        .take(size)
        .read_to_end(&mut bytes)
        .map_err(|_garbage| damaged())?;
    Ok(bytes)
}
