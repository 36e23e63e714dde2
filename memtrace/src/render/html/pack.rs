//! Data as text that is no markup: JSON, deflated with the frame of zlib, in base64.

use std::io::{self, Write};

use data_encoding::BASE64;
use flate2::{Compression, write::ZlibEncoder};
use serde::Serialize;

/// Bytes that are encoded at once: a multiple of three, so that nothing is padded in the midst.
const CHUNK: usize = 3 << 14;

/// Writes a document.
///
/// # Errors
///
/// Only those of `out`.
pub(super) fn write(document: &impl Serialize, out: &mut dyn Write) -> io::Result<()> {
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::default());
    serde_json::to_writer(io::BufWriter::new(&mut packed), document)?;
    for chunk in packed.finish()?.chunks(CHUNK) {
        out.write_all(BASE64.encode(chunk).as_bytes())?;
    }
    Ok(())
}
