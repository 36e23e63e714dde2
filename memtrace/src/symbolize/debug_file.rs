//! Finding the debug file of a stripped file, and making sure that it is the one.
//!
//! blazesym could follow a debug link itself, but would open whatever the link leads to, a named pipe too, and would fail as
//! a whole when it is the wrong file.

use std::{
    ffi::OsStr,
    fs::File,
    io::{self, Read as _},
    os::unix::ffi::OsStrExt as _,
    path::{Component, Path, PathBuf},
};

use super::binary::{Binary, DebugLink};
use crate::process::{
    debug_file_by_id, digits,
    files::{open_regular, open_regular_in},
};

/// Where distributions put debug files.
pub(super) const DEBUG_DIRECTORIES: [&str; 2] = ["/usr/lib/debug", "/lib/debug"];

/// A debug file that belongs to a module.
#[derive(Debug)]
pub(super) struct DebugFile {
    pub(super) file: File,
    pub(super) binary: Binary,
    /// Whether it is a file in a debug directory of this system rather than one of the target's: whoever administers
    /// the machine put it there.
    pub(super) trusted: bool,
}

/// The debug file of a module, by build id and then by link, as GDB looks for it ("Separate Debug Files" in its manual):
/// first in our debug directories, then as the target sees its own files. `path` is the module's in that view.
pub(super) fn find(binary: &Binary, path: &Path, root: Option<&File>, directories: &[PathBuf]) -> Option<DebugFile> {
    let verified = |file: File, trusted| {
        let found = Binary::read(&file)?;
        belongs(binary, &found, &file).then_some(DebugFile {
            file,
            binary: found,
            trusted,
        })
    };
    let below = below_directories(binary, path, directories);
    let ours = below.iter().find_map(|path| verified(open_regular(path).ok()?, true));
    ours.or_else(|| {
        let beside = binary.link.iter().flat_map(|link| beside(link, path));
        beside.chain(below.iter().cloned()).find_map(|path| {
            let opened = match root {
                Some(root) => open_regular_in(root, &path),
                None => open_regular(&path),
            };
            verified(opened.ok()?, false)
        })
    })
}

/// Where a debug file may be in debug directories.
fn below_directories(binary: &Binary, path: &Path, directories: &[PathBuf]) -> Vec<PathBuf> {
    let by_id = binary.build_id.iter().flat_map(|id| {
        // The second is that of debuginfod's client: debuginfod_find_debuginfo(3).
        let cached = format!("{}/debuginfo", digits(id));
        debug_file_by_id(id).into_iter().chain([cached]).map(PathBuf::from)
    });
    let folder = path.parent().and_then(|folder| folder.strip_prefix("/").ok());
    let link = binary.link.as_ref().and_then(plain_name);
    let by_link = link.and_then(|link| Some(folder?.join(link)));
    // Files that somebody put into one directory, as they are called.
    let name = path.file_name();
    let with_ending = name.map(|name| [name, OsStr::new(".debug")].into_iter().collect());
    let flat = [link.map(OsStr::to_owned), with_ending, name.map(OsStr::to_owned)];
    let mut flat: Vec<PathBuf> = flat.into_iter().flatten().map(PathBuf::from).collect();
    flat.dedup();
    let names = by_id.chain(by_link).chain(flat);
    names
        .flat_map(|name| directories.iter().map(move |directory| directory.join(&name)))
        .collect()
}

/// Where a debug file may be by link, beside the module.
fn beside(link: &DebugLink, path: &Path) -> Vec<PathBuf> {
    let (Some(name), Some(folder)) = (plain_name(link), path.parent().filter(|folder| folder.is_absolute())) else {
        return Vec::new();
    };
    let mut paths = vec![folder.join(name), folder.join(".debug").join(name)];
    // It may name itself.
    paths.retain(|candidate| candidate != path);
    paths
}

/// A name and not a path, or it would lead anywhere.
fn plain_name(link: &DebugLink) -> Option<&OsStr> {
    let mut parts = Path::new(OsStr::from_bytes(&link.name)).components();
    match (parts.next(), parts.next()) {
        (Some(Component::Normal(name)), None) if name.as_bytes() == link.name => Some(name),
        _ => None,
    }
}

/// Whether a debug file was made from the same build.
fn belongs(binary: &Binary, found: &Binary, file: &File) -> bool {
    match (&binary.build_id, &found.build_id, &binary.link) {
        (Some(wanted), Some(id), _) => wanted == id,
        (_, _, Some(link)) => crc32(file).is_ok_and(|crc| crc == link.crc),
        _ => false,
    }
}

/// CRC-32 of a whole file, as `.gnu_debuglink` has it.
fn crc32(mut file: &File) -> io::Result<u32> {
    let mut hasher = crc32fast::Hasher::new();
    let mut buffer = vec![0; 1 << 16];
    // A file with holes can claim any length.
    let mut left = MAX_SUMMED;
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finalize()),
            read => {
                hasher.update(&buffer[..read]);
                left = left
                    .checked_sub(read as u64)
                    .ok_or_else(|| io::Error::other("it is too long"))?;
            }
        }
    }
}

/// Longest debug file whose sum is computed, in bytes: that of Chromium has 5 GB.
const MAX_SUMMED: u64 = 16 << 30;

#[cfg(test)]
mod tests {
    use super::*;

    fn link(name: &str) -> DebugLink {
        DebugLink {
            name: name.into(),
            crc: 0,
        }
    }

    #[test]
    fn a_link_leads_only_to_names() {
        let program = Path::new("/opt/x/prog");
        let wanted = ["/opt/x/prog.debug", "/opt/x/.debug/prog.debug"];
        assert_eq!(beside(&link("prog.debug"), program), wanted.map(PathBuf::from));
        for hostile in ["/etc/passwd", "../prog.debug", "..", ".", "", "a/b", "a/", "./a"] {
            assert_eq!(beside(&link(hostile), program), Vec::<PathBuf>::new(), "{hostile}");
        }
        assert_eq!(beside(&link("prog"), program), [PathBuf::from("/opt/x/.debug/prog")]);
        assert_eq!(beside(&link("prog.debug"), Path::new("[vdso]")), Vec::<PathBuf>::new());
    }

    #[test]
    fn debug_directories_are_searched_by_build_id_and_by_path() {
        let binary = Binary {
            build_id: Some(vec![0x0a, 0xbc, 0xde, 0xf0]),
            link: Some(link("prog.debug")),
            ..Binary::default()
        };
        let paths = below_directories(&binary, Path::new("/opt/x/prog"), &["/d".into(), "/e".into()]);
        let wanted = [
            "/d/.build-id/0a/bcdef0.debug",
            "/e/.build-id/0a/bcdef0.debug",
            "/d/0abcdef0/debuginfo",
            "/e/0abcdef0/debuginfo",
            "/d/opt/x/prog.debug",
            "/e/opt/x/prog.debug",
            "/d/prog.debug",
            "/e/prog.debug",
            "/d/prog",
            "/e/prog",
        ];
        assert_eq!(paths, wanted.map(PathBuf::from));
    }
}
