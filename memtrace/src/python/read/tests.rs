use std::{
    fs::File,
    io::{BufRead as _, BufReader},
    os::unix::fs::FileExt as _,
    process::{Child, Command, Stdio},
};

use memtrace_common::python::KeyLayout;
use proptest::prelude::*;

use super::{
    super::{Found, Judged, Mapped, judge, tests::interpreters},
    *,
};
use crate::process::{AddressSpace, metered::tests::Hostile};

/// Enough for any stack of these tests.
const PLENTY: Allowance = Allowance {
    entries: 1000,
    bytes: 1 << 20,
};

/// Says which thread it is, and waits in a function of known name and line.
const PROGRAM: &str = "\
import threading, time
class Größe:
    def wait(self):
        print(threading.get_ident(), flush=True)
        [time.sleep(100) for _ in range(1)]
def middle():
    (lambda: Größe().wait())()
exec(compile('\\n' * 400 + 'middle()', 'λ.py', 'exec'))
";

/// A child that ends with the test, also with one that fails.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _status = self.0.wait();
    }
}

struct Live(File);

impl Fill for Live {
    fn fill(&self, address: u64, bytes: &mut [u8]) -> bool {
        self.0.read_exact_at(bytes, address).is_ok()
    }
}

/// What the thread's stack is, once it waits.
fn read(pid: u32, thread: u64) -> Vec<PythonFrame> {
    let space = AddressSpace::read(pid).unwrap();
    let modules = space.modules();
    let found: Vec<Found> = modules
        .iter()
        .map(|module| module.file().map_or(Found::Nothing, crate::python::find))
        .collect();
    let mapped = space.code().iter().map(|code| Mapped {
        start: code.start,
        offset: code.offset,
        name: "",
        found: &found[code.module as usize],
    });
    let Judged::Readable {
        interpreter, layout, ..
    } = judge(mapped)
    else {
        panic!("the interpreter cannot be read");
    };
    let memory = Live(File::open(format!("/proc/{pid}/mem")).unwrap());
    let form = Form::of(interpreter.version.minor);
    let mut plenty = PLENTY;
    let whole = stack(&memory, &layout, form, thread, &mut plenty).expect("it runs Python");
    assert_eq!(whole.end, End::Start);
    assert_eq!(
        stack(&memory, &layout, form, thread + 64, &mut plenty),
        None,
        "another thread"
    );
    // With less, it is the innermost ones.
    let used = PLENTY.bytes - plenty.bytes;
    let little = [(2, PLENTY.bytes), (PLENTY.entries, used / 2)];
    for (entries, bytes) in little {
        let cut = stack(&memory, &layout, form, thread, &mut Allowance { entries, bytes });
        let cut = cut.expect("it is begun");
        assert_eq!(cut.end, End::Deep);
        assert!(cut.frames.len() < whole.frames.len());
        assert_eq!(cut.frames[..], whole.frames[..cut.frames.len()]);
    }
    whole.frames
}

#[test]
fn a_waiting_program_is_read_as_it_is() {
    for program in interpreters().iter().filter_map(|(file, _)| executable(file)) {
        let mut child = Running(
            Command::new(&program)
                .args(["-X", "utf8", "-c", PROGRAM])
                .stdout(Stdio::piped())
                .spawn()
                .unwrap(),
        );
        let mut line = String::new();
        BufReader::new(child.0.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let thread: u64 = line.trim().parse().unwrap();
        // It has printed, and is on its way to sleep.
        let asleep = |frames: &[PythonFrame]| frames.iter().any(|frame| frame.line == Some(5));
        let frames = (0..500)
            .map(|_| {
                std::thread::sleep(std::time::Duration::from_millis(10));
                read(child.0.id(), thread)
            })
            .find(|frames| asleep(frames))
            .expect("it sleeps at last");
        let seen: Vec<_> = frames
            .iter()
            .map(|frame| {
                let name = frame.function.rsplit('.').next().unwrap_or_default();
                (name, &*frame.file, frame.line.unwrap_or(0))
            })
            .collect();
        let wanted = [
            ("<listcomp>", "<string>", 5),
            ("wait", "<string>", 5),
            ("<lambda>", "<string>", 7),
            ("middle", "<string>", 7),
            ("<module>", "λ.py", 401),
            ("<module>", "<string>", 8),
        ];
        // From 3.12 on comprehensions are part of their function.
        let inlined = usize::from(seen.len() < wanted.len());
        assert_eq!(seen, wanted[inlined..], "{}", program.display());
        let is_qualified = frames.iter().any(|frame| &*frame.function == "Größe.wait");
        let old = ["3.8", "3.9", "3.10"]
            .iter()
            .any(|old| program.ends_with(format!("python{old}")));
        assert_eq!(is_qualified, !old, "{}", program.display());
    }
}

/// The program of an interpreter's file.
fn executable(file: &std::path::Path) -> Option<std::path::PathBuf> {
    let name = file.file_name()?.to_str()?;
    let minor: u8 = name.split('.').nth(1)?.trim_end_matches('m').parse().ok()?;
    let supported = super::super::offsets::KNOWN.contains(&minor);
    let program = if name.starts_with("lib") {
        file.parent()?.parent()?.join(format!("bin/python3.{minor}"))
    } else {
        file.to_owned()
    };
    (supported && program.exists()).then_some(program)
}

proptest! {
    #[test]
    fn garbage_ends_the_walk(seed in any::<u64>(), more in proptest::collection::vec(any::<u64>(), 0..4), minor in 8_u8..15) {
        const THREAD: u64 = 0x7000;
        let offsets = super::super::offsets::of(minor).unwrap();
        let layout = Layout {
            key: 0x1000,
            current: if minor < 12 { 0x1008 } else { 0 },
            code_type: 0x2000,
            frame: offsets.frame,
            keys: KeyLayout { blocks: 0x510, block_count: 32, block_shift: 5, entries: 0, entry_bytes: 16, value: 8 },
            state: offsets.state,
            code: offsets.code,
            text: offsets.text,
        };
        let mut words = vec![THREAD, 0x2000, 0x8000, 0x8100, 0x20, 0x64, 1 << 32 | 1, u64::MAX];
        words.extend(more);
        let memory = Hostile { words, seed };
        let mut allowance = PLENTY;
        if let Some(stack) = stack(&memory, &layout, Form::of(minor), THREAD, &mut allowance) {
            prop_assert!(stack.frames.len() <= stack.entries.len());
            prop_assert_eq!(stack.entries.len() + allowance.entries, PLENTY.entries);
            prop_assert!(stack.end != End::Deep || allowance.entries == 0 || allowance.bytes == 0);
            for frame in stack.frames {
                prop_assert!(frame.function.chars().count() <= NAME_BYTES + 1 && frame.file.chars().count() <= FILE_BYTES + 1);
            }
        }
    }

    #[test]
    fn garbage_in_the_layout_ends_the_walk_too(
        seed in any::<u64>(),
        layout in proptest::collection::vec(any::<u8>(), size_of::<Layout>()),
        small in any::<bool>(),
    ) {
        let mut layout: Layout = bytemuck::pod_read_unaligned(&layout);
        if small {
            // What is read first is there: the walk gets farther.
            layout.key = 0x1000;
            layout.current = 0x1008;
            layout.state.bytes = 256;
            layout.frame.bytes = 128;
            layout.code.bytes = 256;
            layout.code_type = 0x2000;
        }
        let memory = Hostile { words: vec![0x2000, 0x8000, 0x20, 0x64, 1 << 32 | 1], seed };
        for form in [Form::Advances, Form::Ranges, Form::Locations] {
            let mut allowance = PLENTY;
            if let Some(stack) = stack(&memory, &layout, form, 0x2000, &mut allowance) {
                prop_assert!(stack.entries.len() <= PLENTY.entries && allowance.bytes <= PLENTY.bytes);
            }
        }
    }
}
