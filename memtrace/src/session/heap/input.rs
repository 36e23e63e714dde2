//! A snapshot's bytes: of a file or of standard input, unpacked where they are packed.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, Read},
    path::Path,
};

use anyhow::{Context as _, bail};

/// First bytes of gzip (RFC 1952) and of zstd (RFC 8878).
const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// Opens it. `-` is standard input.
///
/// # Errors
/// When it cannot be opened or its beginning cannot be read.
pub(super) fn open(file: &Path) -> anyhow::Result<Box<dyn Read>> {
    if file.as_os_str() == "-" {
        return unpacked(Box::new(io::stdin())).context("failed to read standard input");
    }
    let failed = || format!("failed to open {}", file.display());
    let opened = File::open(file).with_context(failed)?;
    if opened.metadata().with_context(failed)?.is_dir() {
        bail!("failed to open {}: it is a directory", file.display());
    }
    unpacked(Box::new(opened)).with_context(failed)
}

fn unpacked(input: Box<dyn Read>) -> io::Result<Box<dyn Read>> {
    let mut input = BufReader::with_capacity(64 << 10, input);
    let beginning = input.fill_buf()?;
    Ok(if beginning.starts_with(GZIP) {
        Box::new(flate2::bufread::MultiGzDecoder::new(input))
    } else if beginning.starts_with(ZSTD) {
        Box::new(zstd::stream::read::Decoder::with_buffer(input)?)
    } else {
        Box::new(input)
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    /// What is read of a file with these bytes.
    fn read(bytes: &[u8]) -> Vec<u8> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        let mut found = Vec::new();
        open(file.path()).unwrap().read_to_end(&mut found).unwrap();
        found
    }

    #[test]
    fn what_is_packed_is_unpacked() {
        let text = b"{\"snapshot\": 1}".repeat(10_000);
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(&text).unwrap();
        assert_eq!(read(&packed.finish().unwrap()), text);
        assert_eq!(read(&zstd::bulk::compress(&text, 1).unwrap()), text);
        assert_eq!(read(&text), text);
        assert!(read(b"").is_empty());
    }

    #[test]
    fn what_cannot_be_opened_is_named() {
        let error = |path: &str| {
            let found = open(Path::new(path)).err().unwrap();
            crate::message::chain(&found)
        };
        assert!(error("/proc/nothing.heapsnapshot").contains("/proc/nothing.heapsnapshot: No such file"));
        assert!(error("/proc").contains("it is a directory"));
    }
}
