//! Opening files whose paths a target has chosen.

use std::{
    fs::File,
    io,
    os::fd::AsRawFd as _,
    path::{Path, PathBuf},
};

use rustix::fs::{Mode, OFlags, ResolveFlags};

/// Opens a regular file for reading, and nothing else.
///
/// The target chooses what its paths lead to. Opening a named pipe would wait for ever and opening a device runs its
/// driver, so the file is first taken hold of without being opened (`O_PATH`), looked at, and only then opened by that
/// handle: what was looked at is what is read.
///
/// # Errors
/// What the system says, or [`io::ErrorKind::InvalidInput`] for something that is not a regular file.
pub fn open_regular(path: &Path) -> io::Result<File> {
    let handle = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    open_handle(&File::from(handle))
}

/// As [`open_regular`], with a path as a process sees it whose root directory is `root`: links in it lead to where they
/// lead for that process, and never out of its root (`openat2`, Linux 5.6).
///
/// # Errors
/// As [`open_regular`].
pub fn open_regular_in(root: &File, path: &Path) -> io::Result<File> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let handle = rustix::fs::openat2(root, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve)?;
    open_handle(&File::from(handle))
}

/// Takes hold of the root directory of a process: its view of the file system, for as long as the descriptor is held.
///
/// # Errors
/// What the system says.
pub fn open_root(pid: u32) -> io::Result<File> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::open(
        format!("/proc/{pid}/root"),
        flags,
        Mode::empty(),
    )?))
}

fn open_handle(handle: &File) -> io::Result<File> {
    if !handle.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    File::open(descriptor_path(handle))
}

/// The path by which this process, and the kernel on its behalf, opens the file behind a descriptor again, whatever became
/// of its name.
pub fn descriptor_path(file: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_pipe_or_a_device_is_refused_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, Mode::RUSR, 0).unwrap();
        for path in [pipe.as_path(), Path::new("/dev/zero"), directory.path()] {
            assert_eq!(
                open_regular(path).unwrap_err().kind(),
                io::ErrorKind::InvalidInput,
                "{path:?}"
            );
        }
        assert_eq!(
            open_regular(Path::new("/nonexistent")).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
    }

    #[test]
    fn links_do_not_lead_out_of_a_root() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("etc")).unwrap();
        fs::write(directory.path().join("etc/inside"), "inside").unwrap();
        std::os::unix::fs::symlink("/etc/inside", directory.path().join("absolute")).unwrap();
        std::os::unix::fs::symlink("../../../../../../etc/passwd", directory.path().join("up")).unwrap();
        let root = File::open(directory.path()).unwrap();
        let absolute = open_regular_in(&root, Path::new("/absolute")).unwrap();
        assert_eq!(fs::read(descriptor_path(&absolute)).unwrap(), b"inside");
        assert_eq!(
            open_regular_in(&root, Path::new("/up")).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
    }
}
