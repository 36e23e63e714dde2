//! The name of the program that a process runs.

use std::{fs, io, os::unix::ffi::OsStrExt as _, path::Path};

use memtrace_common::limits;

/// Bytes of a program's name that the kernel keeps, but for the zero at their end.
pub const NAME_BYTES: usize = limits::COMMAND_BYTES - 1;

/// What node 24 and later call the main thread of every program (src/node.cc; the second in newer ones), so that the kernel's name of the
/// program is gone.
const RENAMED: [&[u8]; 2] = [b"MainThread", b"node-MainThread"];

/// The name of the program as the kernel keeps it, which may be any bytes; of those that call themselves as all of their kind do, the name of
/// their file. `proc` is where processes are listed.
///
/// # Errors
/// When there is no such process.
pub fn program_name(proc: &Path, pid: u32) -> io::Result<Vec<u8>> {
    let directory = proc.join(pid.to_string());
    let mut name = fs::read(directory.join("comm"))?;
    // A name may end with a line break of its own, so only the last is the file's.
    name.pop_if(|byte| *byte == b'\n');
    if !RENAMED.contains(&&*name) {
        return Ok(name);
    }
    let executable = fs::read_link(directory.join("exe")).ok();
    let file = executable.as_ref().and_then(|path| path.file_name());
    Ok(file.map_or(name, |file| {
        let file = file.as_bytes();
        file[..file.len().min(NAME_BYTES)].to_vec()
    }))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn process(proc: &Path, pid: u32, name: &[u8], executable: &str) {
        let directory = proc.join(pid.to_string());
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("comm"), name).unwrap();
        symlink(executable, directory.join("exe")).unwrap();
    }

    #[test]
    fn a_program_is_called_as_the_kernel_calls_it() {
        let proc = tempfile::tempdir().unwrap();
        process(proc.path(), 5, b"a\xff\n\n", "/bin/b");
        assert_eq!(program_name(proc.path(), 5).unwrap(), b"a\xff\n");
        assert!(program_name(proc.path(), 6).is_err());
    }

    #[test]
    fn a_program_that_is_called_as_all_of_its_kind_has_the_name_of_its_file() {
        let proc = tempfile::tempdir().unwrap();
        process(proc.path(), 5, b"MainThread\n", "/usr/bin/node");
        process(proc.path(), 6, b"node-MainThread\n", "/opt/a-service-with-a-long-name");
        assert_eq!(program_name(proc.path(), 5).unwrap(), b"node");
        assert_eq!(program_name(proc.path(), 6).unwrap(), b"a-service-with-");
        fs::remove_file(proc.path().join("5/exe")).unwrap();
        assert_eq!(program_name(proc.path(), 5).unwrap(), b"MainThread");
    }
}
