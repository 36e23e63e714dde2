//! What cannot be done is refused with exit code 2, the reason, and nothing left behind.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    process::{Child, Command},
    time::Duration,
};

use memtrace_tests::{Finished, Memtrace, PATIENCE, Program, programs, require_root, wait_until};

/// The state letter of a process in `/proc/PID/stat`, after the name in parentheses.
fn state(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

#[test]
fn no_such_process() {
    require_root!();
    let mut child = Command::new("true").spawn().expect("true can be started");
    let pid = child.id().to_string();
    child.wait().expect("a child can be waited for");
    Memtrace::tried(&pid, &[]).assert_refused(&[&pid, "no"]);
}

/// Ends and collects a child that is only there to be a zombie.
struct Zombie(Child);

impl Drop for Zombie {
    fn drop(&mut self) {
        drop(self.0.wait());
    }
}

#[test]
fn a_zombie() {
    require_root!();
    let zombie = Zombie(Command::new("true").spawn().expect("true can be started"));
    let pid = zombie.0.id();
    wait_until(PATIENCE, || (state(pid) == Some('Z')).then_some(())).expect("a zombie");
    Memtrace::tried(&pid.to_string(), &[]).assert_refused(&[&pid.to_string(), "zombie"]);
}

#[test]
fn a_kernel_thread() {
    require_root!();
    // PF_KTHREAD of include/linux/sched.h, in the ninth field.
    let is_kernel = |pid: &u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let flags: u64 = stat.rsplit_once(") ")?.1.split(' ').nth(6)?.parse().ok()?;
        Some(flags & 0x0020_0000 != 0)
    };
    let pids = fs::read_dir("/proc").expect("/proc").flatten();
    let pid = pids
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .find(|pid| is_kernel(pid) == Some(true));
    let Some(pid) = pid else {
        return memtrace_tests::requirements::skipped("no kernel thread is visible here");
    };
    Memtrace::tried(&pid.to_string(), &[]).assert_refused(&[&pid.to_string(), "kernel"]);
}

#[test]
fn a_thread_id() {
    require_root!();
    let mut program = Program::start("life", &["thread"]);
    let tid = program.expect("thread ");
    println!("process {}, thread {tid}", program.pid());
    Memtrace::tried(&tid, &[]).assert_refused(&[&tid, "thread", &program.pid().to_string()]);
    assert!(program.is_alive());
}

#[test]
fn a_static_program_without_symbols() {
    require_root!();
    let mut program = Program::start("matrix-musl-stripped", &["1", "1"]);
    Memtrace::tried(&program.pid().to_string(), &[]).assert_refused(&["static", "--pair"]);
    program.go();
    program.truth();
    assert!(program.end().0.success());
}

/// A 32-bit program of one page that sleeps for ever: `pause` in a loop. Written by hand, because a 64-bit
/// machine seldom has a 32-bit C library.
fn thirty_two_bits() -> Vec<u8> {
    let code = [0xb8, 29, 0, 0, 0, 0xcd, 0x80, 0xeb, 0xf7]; // mov $29, %eax; int $0x80; jmp to the start
    let (base, start) = (0x0804_8000_u32, 52 + 32_u32);
    let length = start + 9;
    let mut elf = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    for half in [2_u16, 3] {
        elf.extend(half.to_le_bytes()); // ET_EXEC, EM_386
    }
    for word in [1, base + start, 52, 0, 0] {
        elf.extend(u32::to_le_bytes(word)); // version, entry, program headers, no sections, no flags
    }
    for half in [52_u16, 32, 1, 0, 0, 0] {
        elf.extend(half.to_le_bytes()); // sizes of the headers, one program header, no sections
    }
    for word in [1, 0, base, base, length, length, 5, 0x1000] {
        elf.extend(u32::to_le_bytes(word)); // PT_LOAD of the whole file, readable and executable
    }
    elf.extend(code);
    elf
}

#[test]
fn a_32_bit_program() {
    require_root!();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("small");
    fs::write(&path, thirty_two_bits()).expect("a file");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("permissions");
    let mut command = Command::new(&path);
    if let Err(error) = command
        .spawn()
        .map(|mut child| child.kill().and_then(|()| child.wait()))
    {
        return memtrace_tests::requirements::skipped(&format!("this kernel runs no 32-bit programs: {error}"));
    }
    let mut program = Program::spawn(&mut command);
    std::thread::sleep(Duration::from_millis(50));
    assert!(program.is_alive(), "the 32-bit program runs");
    Memtrace::tried(&program.pid().to_string(), &[]).assert_refused(&["32-bit"]);
    assert!(program.is_alive(), "and goes on");
}

#[test]
fn itself() {
    require_root!();
    let mut command = Command::new("sh");
    command
        .args(["-c", "exec \"$0\" attach --duration 200ms --pid $$"])
        .arg(Memtrace::binary());
    Memtrace::finish_command(&mut command).assert_refused(&["itself"]);
}

#[test]
fn without_root() {
    require_root!();
    // Where everybody may read it: the build directory may be private.
    let directory = tempfile::tempdir().expect("a temporary directory");
    let readable = |path: &std::path::Path| fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("mode");
    let (binary, target) = (directory.path().join("memtrace"), directory.path().join("life"));
    fs::copy(Memtrace::binary(), &binary).expect("a copy of memtrace");
    fs::copy(programs::path("life"), &target).expect("a copy of the program");
    [directory.path(), &binary, &target].into_iter().for_each(readable);
    let nobody = |path: &std::path::Path| {
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"])
            .arg(path);
        command
    };
    let mut program = Program::ready(nobody(&target).arg("plain"));
    let pid = program.pid().to_string();
    let mut command = nobody(&binary);
    command.args(["attach", "--duration", "200ms", "--pid", &pid]);
    Memtrace::finish_command(&mut command).assert_refused(&["sudo"]);
    assert!(program.is_alive());

    let mut command = nobody(&binary);
    let doctor = Memtrace::finish_command(command.arg("doctor"));
    println!("doctor: {}\n{}", doctor.status, doctor.stdout);
    assert_eq!(doctor.status.code(), Some(1), "a check failed");
    assert!(
        doctor.stdout.to_lowercase().contains("cap_") || doctor.stdout.contains("sudo"),
        "{doctor:?}"
    );
}

/// Root without a capability, as in a container.
fn root_without(capability: &str, pid: &str) -> Finished {
    let mut command = Command::new("setpriv");
    command.args([
        &format!("--bounding-set=-{capability}"),
        &format!("--inh-caps=-{capability}"),
    ]);
    command
        .arg(Memtrace::binary())
        .args(["attach", "--duration", "200ms", "--pid", pid]);
    Memtrace::finish_command(&mut command)
}

#[test]
fn root_that_may_not_is_not_told_to_become_root() {
    require_root!();
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "sleep", "100"]);
    let program = Program::spawn(&mut command);
    let pid = program.pid().to_string();
    wait_until(PATIENCE, || {
        fs::read_to_string(format!("/proc/{pid}/comm"))
            .is_ok_and(|name| name == "sleep\n")
            .then_some(())
    });
    for (capability, word) in [("sys_ptrace", "CAP_SYS_PTRACE"), ("sys_admin,-bpf,-perfmon", "CAP_BPF")] {
        let finished = root_without(capability, &pid);
        finished.assert_refused(&[word, "although memtrace runs as root"]);
        assert!(!finished.stderr.contains("sudo"), "{finished:?}");
    }
}

#[test]
fn a_process_without_its_main_thread() {
    require_root!();
    let mut program = Program::start("life", &["headless"]);
    let pid = program.pid();
    wait_until(PATIENCE, || (state(pid) == Some('Z')).then_some(())).expect("the main thread ends");
    Memtrace::tried(&pid.to_string(), &[]).assert_refused(&[&pid.to_string(), "main thread"]);
    program.go();
    program.truth();
    assert!(program.end().0.success());
}

/// Attaches with limits on open files, soft and hard, to a program that has mapped more.
fn attach_with_few_files(limits: &str) -> (Finished, tempfile::TempDir) {
    let program = Program::start("life", &["files"]);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut command = Command::new("prlimit");
    command.arg(format!("--nofile={limits}")).arg(Memtrace::binary());
    command.args([
        "attach",
        "--duration",
        "200ms",
        "--pid",
        &program.pid().to_string(),
        "-o",
    ]);
    (Memtrace::finish_command(command.arg(directory.path())), directory)
}

#[test]
fn more_files_of_code_than_a_process_may_have_open() {
    require_root!();
    let (finished, directory) = attach_with_few_files("1024:8192");
    assert!(finished.status.success(), "{finished:?}");
    assert!(directory.path().join("profile.json").is_file());
    // Where the limit cannot be raised, what cannot be done is refused in a few words.
    let (finished, _) = attach_with_few_files("256:256");
    println!("{}: {}", finished.status, finished.stderr);
    assert!(finished.stderr.len() < 2000, "{}", finished.stderr.len());
    finished.assert_says(&[]);
}

#[test]
fn wrong_flags() {
    require_root!();
    let program = Program::start("life", &["plain"]);
    let pid = program.pid().to_string();
    let cases: &[&[&str]] = &[
        &["--duration", "5x"],
        &["--duration", "-1s"],
        &["--duration", "99999999999999999999s"],
        &["--duration", "18446744073709551615s"],
        &["--interval", "18446744073709551615s"],
        &["--interval", "0s"],
        &["--top", "many"],
        &["--min-age", "old"],
        &["--min-size", "-5"],
        &["--flame", "nonsense"],
        &["--duration", "0s"],
        &["--top", "0"],
        &["--min-age", "500ms"],
        &["--ring-size", "big"],
        &["--ring-size", "1000TiB"],
        &["--unknown"],
        &["left-over"],
    ];
    for case in cases {
        println!("{case:?}");
        Memtrace::finished(["attach", "--pid", &pid].iter().chain(*case)).assert_refused(&[]);
    }
    for pid in ["abc", "0", "-1", "99999999999", "4294967295", ""] {
        println!("--pid {pid:?}");
        Memtrace::tried(pid, &[]).assert_refused(&[]);
    }
    for case in [&["attach"][..], &[], &["nonsense"]] {
        println!("{case:?}");
        Memtrace::finished(case).assert_refused(&[]);
    }
}
