//! What code is mapped from: files held open, the vdso, anonymous memory.

use std::{
    fs::File,
    io::{self, Write as _},
    os::{
        fd::AsRawFd as _,
        unix::fs::{FileExt as _, MetadataExt as _},
    },
    path::{Path, PathBuf},
};

use rustix::fs::{MemfdFlags, memfd_create};

use super::maps::Mapping;

/// Largest vdso image that is read, in bytes. It has one or two pages.
const VDSO_BYTES: u64 = 1 << 20;

/// A file, or something like one, that code is mapped from.
#[derive(Debug)]
pub struct Module {
    /// Path as the target sees it, or a name in brackets.
    pub name: String,
    /// The file itself, held open since the target had it mapped; `None` for anonymous memory and for files that could
    /// not be opened.
    file: Option<File>,
}

impl Module {
    /// Opens what is mapped in process `pid`.
    pub(super) fn open(pid: u32, mapping: &Mapping<'_>) -> Self {
        let name = if mapping.name.is_empty() {
            "[anon]"
        } else {
            mapping.path()
        };
        let file = if mapping.name == "[vdso]" {
            copy_vdso(pid, mapping)
        } else if mapping.inode != 0 {
            open_mapped(pid, mapping)
        } else {
            Err(io::Error::from(io::ErrorKind::Unsupported))
        };
        if let Err(error) = &file
            && mapping.inode != 0
        {
            log::info!("{name} cannot be opened, its frames stay without names: {error}");
        }
        Self {
            name: name.to_owned(),
            file: file.ok(),
        }
    }

    /// A module of a file that is open already.
    pub const fn of(name: String, file: File) -> Self {
        Self { name, file: Some(file) }
    }

    /// Whether addresses in it are file offsets; otherwise they are avmas.
    pub const fn has_file(&self) -> bool {
        self.file.is_some()
    }

    /// The file.
    pub const fn file(&self) -> Option<&File> {
        self.file.as_ref()
    }

    /// A path through which this process, and the kernel on its behalf, opens this very file, whatever has become of
    /// its name.
    pub fn path(&self) -> Option<PathBuf> {
        self.file
            .as_ref()
            .map(|file| PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd())))
    }

    /// The last part of the name.
    pub fn short_name(&self) -> &str {
        Path::new(&self.name)
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or(&self.name)
    }
}

/// Opens the file of a mapping: through the mapping itself, which needs no name and works in any mount namespace; or, where
/// the kernel does not allow that, by its name in the target's root, if that is still the same file.
fn open_mapped(pid: u32, mapping: &Mapping<'_>) -> io::Result<File> {
    let by_mapping = File::open(format!("/proc/{pid}/map_files/{:x}-{:x}", mapping.start, mapping.end));
    by_mapping.or_else(|error| {
        let file = File::open(format!("/proc/{pid}/root{}", mapping.path())).map_err(|_refused| error)?;
        let metadata = file.metadata()?;
        if metadata.ino() == mapping.inode && metadata.is_file() {
            Ok(file)
        } else {
            Err(io::Error::other("the file at its path is another one by now"))
        }
    })
}

/// Copies the vdso out of the target into a file without name: it is an ELF image that no file system has.
fn copy_vdso(pid: u32, mapping: &Mapping<'_>) -> io::Result<File> {
    let length = usize::try_from((mapping.end - mapping.start).min(VDSO_BYTES)).map_err(io::Error::other)?;
    let mut image = vec![0; length];
    File::open(format!("/proc/{pid}/mem"))?.read_exact_at(&mut image, mapping.start)?;
    let mut file = File::from(memfd_create("memtrace-vdso", MemfdFlags::CLOEXEC)?);
    file.write_all(&image)?;
    Ok(file)
}
