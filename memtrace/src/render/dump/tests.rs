use serde_json::Value;

use super::*;
use crate::{
    profile::{
        FrameKind,
        dump::{DumpedJavaScript, DumpedPython, PythonEnd, StackEnd, Taken},
    },
    render::json_schema::closed,
};

fn frame(function: &str, inlined: bool) -> Frame {
    Frame {
        function: (!function.is_empty()).then(|| function.to_owned()),
        module: "prog\u{1b}[2J".into(),
        offset: 0x1234,
        file: inlined.then(|| "src/a\u{202e}.c".to_owned()),
        line: inlined.then_some(7),
        inlined,
        kind: FrameKind::Native,
    }
}

fn sample() -> Dump {
    let thread = |tid, stack, state, taken| DumpedThread {
        tid,
        name: "work\ner".into(),
        waits: Waits {
            state,
            call: (state == 'S').then(|| "futex".to_owned()),
            wchan: (state == 'S').then(|| "futex_do_wait".to_owned()),
        },
        stack,
        taken,
        problem: stack.is_none().then(|| "it did not come to a stop".to_owned()),
    };
    let stack = |names: &[&str], end, by_frame_pointer| DumpedStack {
        frames: names.iter().map(|name| frame(name, *name == "small")).collect(),
        end,
        by_frame_pointer,
        python: None,
        javascript: None,
    };
    Dump {
        processes: vec![DumpedProcess {
            pid: 42,
            command: "prog".into(),
            executable: "/bin/prog".into(),
            threads: vec![
                thread(42, Some(1), 'R', Some(Taken::Stopped { nanoseconds: 90_000 })),
                thread(43, Some(0), 'S', Some(Taken::Waiting)),
                thread(44, Some(0), 'S', Some(Taken::Waiting)),
                thread(45, None, 'D', None),
                thread(46, Some(2), 'S', Some(Taken::Waiting)),
                thread(47, Some(3), 'S', Some(Taken::Waiting)),
            ],
            stacks: vec![
                stack(&["small", "wait", "start"], StackEnd::Start, 0),
                stack(&["", "main"], StackEnd::NoTable, 1),
                DumpedStack {
                    frames: vec![
                        Frame {
                            kind: FrameKind::Python,
                            file: Some("a\u{1b}.py".into()),
                            line: Some(3),
                            ..frame("Class.f", false)
                        },
                        frame("main", false),
                    ],
                    python: Some(DumpedPython {
                        end: PythonEnd::Foreign,
                        fits: false,
                    }),
                    ..stack(&[], StackEnd::Start, 0)
                },
                DumpedStack {
                    frames: vec![Frame {
                        kind: FrameKind::JavaScript,
                        file: Some("node:fs".into()),
                        line: Some(9),
                        ..frame("read", false)
                    }],
                    javascript: Some(DumpedJavaScript { untold: 2, cut: true }),
                    ..stack(&[], StackEnd::Start, 0)
                },
            ],
            notes: vec!["a note".into()],
        }],
    }
}

fn rendered(form: Form) -> String {
    let mut out = Vec::new();
    write(&sample(), form, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn alike_threads_are_one_entry_and_names_are_escaped() {
    let text = rendered(Form::default());
    assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'));
    let wanted = "\
prog (pid 42), 6 threads: /bin/prog
  note: a note

2 threads: sleeping in futex (futex_do_wait)
  43 work\\u{a}er, 44 work\\u{a}er
     small (inlined) at src/a\\u{202e}.c:7
   0 wait in prog\\u{1b}[2J+0x1234
   1 start in prog\\u{1b}[2J+0x1234

thread 42 work\\u{a}er: running
   0 [no symbol] in prog\\u{1b}[2J+0x1234
   1 main in prog\\u{1b}[2J+0x1234
  note: frames of code without unwind information were left by frame pointer (1 of them); callers may be missing there
  [no further: the code has no unwind information, and its frame pointer leads nowhere]

thread 45 work\\u{a}er: in uninterruptible sleep
  note: it did not come to a stop
  [no stack]

thread 46 work\\u{a}er: sleeping in futex (futex_do_wait)
   0 Class.f (Python) at a\\u{1b}.py:3
   1 main in prog\\u{1b}[2J+0x1234
  note: calls of the Python evaluator and Python frames are not equally many here: the Python frames are in one piece, at the innermost call
  note: what should be a Python function is something else: there are no Python frames from there on

thread 47 work\\u{a}er: sleeping in futex (futex_do_wait)
   0 read (JavaScript) at node:fs:9
  note: 2 frames look like JavaScript's, but their functions could not be read: they are native ones
  note: there are more frames of JavaScript than memtrace reads: the others are native ones
";
    assert_eq!(text, wanted);
    assert_eq!(rendered(Form { apart: true }).matches("thread 4").count(), 6);
}

#[test]
fn the_document_keeps_the_published_schema() {
    let mut schema: Value = serde_json::from_str(include_str!("../../../../docs/dump.schema.json")).unwrap();
    jsonschema::draft202012::meta::validate(&schema).unwrap();
    closed(&mut schema);
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let mut out = Vec::new();
    json::write(&sample(), &mut out).unwrap();
    let mut document: Value = serde_json::from_slice(&out).unwrap();
    let errors: Vec<_> = validator
        .iter_errors(&document)
        .map(|error| error.to_string())
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");
    document["processes"][0]["threads"][0]["new"] = 1.into();
    assert!(!validator.is_valid(&document));
}
