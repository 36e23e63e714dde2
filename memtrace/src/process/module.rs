//! What code is mapped from: files held open, the vdso, anonymous memory.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::{FileExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use memtrace_common::space::FileKey;
use object::{
    Endianness,
    elf::{FileHeader64, PF_X, PT_LOAD},
    read::elf::{FileHeader as _, ProgramHeader as _},
};
use rustix::fs::{MemfdFlags, memfd_create};

use super::{
    FileBytes,
    files::{descriptor_path, open_regular, open_regular_in},
    maps::Mapping,
};

/// Largest vdso image that is read, in bytes. It has one or two pages.
const VDSO_BYTES: u64 = 1 << 20;

/// Type of file systems made of layers (`OVERLAYFS_SUPER_MAGIC`, include/uapi/linux/magic.h).
const OVERLAY: rustix::fs::FsWord = 0x794c_7630;

/// See [`Module::first_code`].
#[derive(Clone, Copy, Debug)]
pub(super) struct FirstCode {
    pub(super) svma: u64,
    pub(super) offset: u64,
    pub(super) size: u64,
}

/// See [`Module::identity`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct FileIdentity {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

/// A file, or something like one, that code is mapped from.
#[derive(Debug)]
pub struct Module {
    /// Path as the target sees it, or a name in brackets.
    pub name: String,
    /// The file itself, held open since the target had it mapped; `None` for anonymous memory and for files that could
    /// not be opened.
    file: Option<File>,
    /// The target's root directory, to find what lies beside the file in its view.
    root: Option<Arc<File>>,
    /// Device and inode, as `/proc/PID/maps` shows them.
    pub(super) shown_as: (String, u64),
}

impl Module {
    /// Opens what is mapped in process `pid`, whose root directory is `root`; a file only if it may be held open.
    pub(super) fn open(pid: u32, root: Option<&Arc<File>>, mapping: &Mapping<'_>, may_hold: bool) -> Self {
        let name = if mapping.memory_name().is_empty() {
            "[anon]"
        } else {
            mapping.path()
        };
        let file = if !may_hold {
            Err(io::Error::other("too many files are held open already"))
        } else if mapping.name == "[vdso]" {
            copy_vdso(pid, mapping)
        } else if mapping.inode != 0 {
            open_mapped(pid, root.map(Arc::as_ref), mapping)
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
            root: root.map(Arc::clone),
            shown_as: (mapping.device.to_owned(), mapping.inode),
        }
    }

    /// A module of a file that is open already.
    pub const fn of(name: String, file: File) -> Self {
        Self {
            name,
            file: Some(file),
            root: None,
            shown_as: (String::new(), 0),
        }
    }

    /// A module whose file is not here.
    pub const fn without_file(name: String) -> Self {
        Self {
            name,
            file: None,
            root: None,
            shown_as: (String::new(), 0),
        }
    }

    /// Whether addresses in it are file offsets; otherwise they are avmas.
    pub const fn has_file(&self) -> bool {
        self.file.is_some()
    }

    /// The file.
    pub const fn file(&self) -> Option<&File> {
        self.file.as_ref()
    }

    /// The target's root directory.
    pub(crate) fn root(&self) -> Option<&File> {
        self.root.as_deref()
    }

    /// Its first executable segment, as the program headers say.
    pub(super) fn first_code(&self) -> Option<FirstCode> {
        let bytes = &FileBytes::new(self.file.as_ref()?);
        let header = FileHeader64::<Endianness>::parse(bytes).ok()?;
        let endian = header.endian().ok()?;
        let segments = header.program_headers(endian, bytes).ok()?;
        segments
            .iter()
            .filter(|segment| segment.p_type(endian) == PT_LOAD && segment.p_flags(endian) & PF_X != 0)
            .map(|segment| FirstCode {
                svma: segment.p_vaddr(endian),
                offset: segment.p_offset(endian),
                size: segment.p_filesz(endian),
            })
            .min_by_key(|code| code.svma)
    }

    /// How the BPF side finds it, by what `/proc/PID/maps` shows of it; `None` for what is no file there.
    pub fn key(&self) -> Option<FileKey> {
        let (device, inode) = &self.shown_as;
        let (major, minor) = device.split_once(':')?;
        let number = |text| u32::from_str_radix(text, 16).ok();
        (*inode != 0).then_some(FileKey {
            inode: *inode,
            device: number(major)? << 20 | number(minor)?,
            reserved: 0,
        })
    }

    /// What tells the very file from others, so that nothing is done twice to one that several processes have under several
    /// names.
    ///
    /// # Errors
    /// When there is no file, or the system does not tell.
    pub fn identity(&self) -> io::Result<FileIdentity> {
        let file = self.file.as_ref().ok_or(io::ErrorKind::Unsupported)?;
        let metadata = file.metadata()?;
        let overlay = rustix::fs::fstatfs(file)?.f_type == OVERLAY;
        Ok(FileIdentity {
            // Each container has a device of its own for the layers that it shares with others.
            device: if overlay { 0 } else { metadata.dev() },
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        })
    }

    /// A path through which this process, and the kernel on its behalf, opens this very file, whatever has become of
    /// its name.
    pub fn path(&self) -> Option<PathBuf> {
        self.file.as_ref().map(descriptor_path)
    }

    /// The last part of the name.
    pub fn short_name(&self) -> &str {
        Self::short(&self.name)
    }

    /// The last part of such a name.
    pub fn short(name: &str) -> &str {
        Path::new(name)
            .file_name()
            .and_then(|last| last.to_str())
            .unwrap_or(name)
    }
}

/// Opens the file of a mapping: through the mapping itself, which needs no name and works in any mount namespace; or, where
/// the kernel does not allow that (it asks for `CAP_SYS_ADMIN` or `CAP_CHECKPOINT_RESTORE`, proc(5)) or the mapping is gone
/// by now, by its name in the target's root, if that is still the same file.
fn open_mapped(pid: u32, root: Option<&File>, mapping: &Mapping<'_>) -> io::Result<File> {
    let by_mapping = format!("/proc/{pid}/map_files/{:x}-{:x}", mapping.start, mapping.end);
    let opened = open_regular(Path::new(&by_mapping)).and_then(|file| {
        let another = || io::Error::other("another file is mapped there by now");
        is_of(&file, mapping).then_some(file).ok_or_else(another)
    });
    opened.or_else(|error| {
        let Some(root) = root else { return Err(error) };
        let file = open_regular_in(root, Path::new(mapping.path())).map_err(|_refused| error)?;
        if file.metadata()?.ino() == mapping.inode {
            Ok(file)
        } else {
            Err(io::Error::other("the file at its path is another one by now"))
        }
    })
}

/// Whether a file is the one of a mapping. File systems made of layers may show another inode there than of the file itself, but the same
/// path.
fn is_of(file: &File, mapping: &Mapping<'_>) -> bool {
    let same_inode = file.metadata().is_ok_and(|metadata| metadata.ino() == mapping.inode);
    same_inode || fs::read_link(descriptor_path(file)).is_ok_and(|path| path.as_os_str() == mapping.name)
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

#[cfg(test)]
mod tests {
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    /// A mapping that is not there, of a file in the directory: what is left is its name.
    fn gone(name: &str, inode: u64) -> Mapping<'_> {
        Mapping {
            start: 0x1000,
            end: 0x2000,
            writable: false,
            executable: true,
            offset: 0,
            device: "00:00",
            inode,
            name,
        }
    }

    #[test]
    fn a_file_is_found_by_name_in_the_targets_root_if_it_is_the_same() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("file"), "x").unwrap();
        let inode = fs::metadata(directory.path().join("file")).unwrap().ino();
        let root = File::open(directory.path()).unwrap();
        let own = std::process::id();
        assert!(open_mapped(own, Some(&root), &gone("/file (deleted)", inode)).is_ok());
        assert!(open_mapped(own, Some(&root), &gone("/file", inode + 1)).is_err());
        assert!(open_mapped(own, None, &gone("/file", inode)).is_err());
    }

    /// Another library may be mapped where the one was, before its file is opened.
    #[test]
    fn what_is_mapped_there_by_now_is_not_taken_for_what_was() {
        let own = std::process::id();
        let text = crate::process::maps::read(own).unwrap();
        let mapping = crate::process::maps::parse(&text)
            .find(|mapping| mapping.executable && mapping.inode != 0)
            .unwrap();
        assert!(open_mapped(own, None, &mapping).is_ok());
        let other = Mapping {
            inode: mapping.inode + 1,
            ..mapping.clone()
        };
        assert!(open_mapped(own, None, &other).is_ok(), "the path is the same");
        let other = Mapping {
            name: "/usr/lib/other.so",
            ..other
        };
        assert!(open_mapped(own, None, &other).is_err());
    }

    #[test]
    fn a_pipe_in_the_place_of_a_file_is_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR, 0).unwrap();
        let inode = fs::metadata(&pipe).unwrap().ino();
        let root = File::open(directory.path()).unwrap();
        assert!(open_mapped(std::process::id(), Some(&root), &gone("/pipe", inode)).is_err());
    }
}
