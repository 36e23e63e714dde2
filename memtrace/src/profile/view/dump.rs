//! The same for the stacks of threads.

use rustc_hash::FxHashMap;

use super::{Interpreters, View, shown};
use crate::profile::{
    Frame, FrameKind,
    dump::{Dump, DumpedProcess, DumpedStack},
};

impl Dump {
    /// The dump with the frames that are shown; stacks that are equal in these are one.
    #[must_use]
    pub fn viewed(mut self, view: View) -> Self {
        for process in &mut self.processes {
            let mut frames = process.stacks.iter().flat_map(|stack| &stack.frames);
            if frames.any(|frame| view.concerns(frame.kind)) {
                self::process(process, view);
            }
        }
        self
    }
}

fn process(process: &mut DumpedProcess, view: View) {
    let all = std::mem::take(&mut process.stacks);
    let frames: Vec<&Frame> = all.iter().flat_map(|stack| &stack.frames).collect();
    let interpreters = Interpreters::of(&frames);
    let mut numbers = FxHashMap::<DumpedStack, usize>::default();
    let of_old: Vec<usize> = all
        .iter()
        .map(|stack| {
            let frames: Vec<&Frame> = stack.frames.iter().collect();
            let shown = shown(view, &frames, |frame| Some(*frame), &interpreters);
            let mut frames: Vec<Frame> = shown.into_iter().cloned().collect();
            if frames.is_empty() && !stack.frames.is_empty() {
                frames.push(view.nothing());
            }
            let is_shown = |kind: FrameKind| frames.iter().any(|frame| frame.kind == kind);
            let (python, javascript) = (is_shown(FrameKind::Python), view != View::Native);
            let viewed = DumpedStack {
                frames,
                python: stack.python.filter(|_| python),
                javascript: stack.javascript.filter(|_| javascript),
                ..stack.clone()
            };
            let next = numbers.len();
            *numbers.entry(viewed).or_insert_with_key(|viewed| {
                process.stacks.push(viewed.clone());
                next
            })
        })
        .collect();
    for thread in &mut process.threads {
        thread.stack = thread.stack.and_then(|old| of_old.get(old).copied());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::dump::{DumpedJavaScript, DumpedPython, DumpedThread, PythonEnd, StackEnd, Waits};

    fn frame(function: &str, kind: FrameKind) -> Frame {
        Frame {
            function: Some(function.to_owned()),
            module: if kind == FrameKind::Native {
                "python3"
            } else {
                "[python]"
            }
            .to_owned(),
            offset: 0,
            file: None,
            line: None,
            inlined: false,
            kind,
        }
    }

    /// Three threads: two differ in how the interpreter came to `f`, one runs no Python.
    fn sample() -> Dump {
        let native = |name| frame(name, FrameKind::Native);
        let python = |name| frame(name, FrameKind::Python);
        let stack = |frames: Vec<Frame>| DumpedStack {
            python: frames
                .iter()
                .any(|frame| frame.kind == FrameKind::Python)
                .then_some(DumpedPython {
                    end: PythonEnd::Start,
                    fits: true,
                }),
            javascript: frames
                .iter()
                .any(|frame| frame.kind == FrameKind::JavaScript)
                .then_some(DumpedJavaScript::default()),
            frames,
            end: StackEnd::Start,
            by_frame_pointer: 0,
        };
        let evaluator = || native("_PyEval_EvalFrameDefault");
        let thread = |tid, stack| DumpedThread {
            tid,
            name: "t".into(),
            waits: Waits::default(),
            stack: Some(stack),
            taken: None,
            problem: None,
        };
        Dump {
            processes: vec![DumpedProcess {
                pid: 1,
                command: "python3".into(),
                executable: "python3".into(),
                threads: vec![thread(1, 0), thread(2, 1), thread(3, 2)],
                stacks: vec![
                    stack(vec![
                        native("read"),
                        python("f"),
                        evaluator(),
                        native("PyObject_Call"),
                        native("main"),
                    ]),
                    stack(vec![native("read"), python("f"), evaluator(), native("main")]),
                    stack(vec![native("poll"), native("main")]),
                ],
                notes: Vec::new(),
            }],
        }
    }

    fn names(dump: &Dump) -> (Vec<Vec<&str>>, Vec<Option<usize>>) {
        let process = &dump.processes[0];
        let stacks = process.stacks.iter().map(|stack| {
            stack
                .frames
                .iter()
                .filter_map(|frame| frame.function.as_deref())
                .collect()
        });
        (
            stacks.collect(),
            process.threads.iter().map(|thread| thread.stack).collect(),
        )
    }

    #[test]
    fn frames_of_javascript_are_shown_or_not() {
        let sample = || {
            let mut dump = sample();
            let stack = &mut dump.processes[0].stacks[2];
            stack.frames.insert(1, frame("later", FrameKind::JavaScript));
            stack.frames.insert(2, frame("Builtins_JSEntry", FrameKind::Native));
            stack.javascript = Some(DumpedJavaScript::default());
            dump
        };
        let shown = sample().viewed(View::Merged);
        assert_eq!(names(&shown).0[1], ["poll", "later", "main"]);
        let shown = sample().viewed(View::Only(FrameKind::JavaScript));
        assert_eq!(names(&shown).0, [vec!["(no JavaScript)"], vec!["later"]]);
        let shown = sample().viewed(View::Native);
        assert!(shown.processes[0].stacks.iter().all(|stack| stack.javascript.is_none()));
        assert_eq!(names(&shown).0[2], ["poll", "Builtins_JSEntry", "main"]);
    }

    #[test]
    fn stacks_that_are_shown_alike_are_one() {
        let shown = sample().viewed(View::Merged);
        let (stacks, of_threads) = names(&shown);
        assert_eq!(stacks, [vec!["read", "f", "main"], vec!["poll", "main"]]);
        assert_eq!(of_threads, [Some(0), Some(0), Some(1)]);
        let shown = sample().viewed(View::Only(FrameKind::Python));
        assert_eq!(names(&shown).0, [vec!["f"], vec!["(no Python)"]]);
        let shown = sample().viewed(View::Native);
        assert_eq!(names(&shown).0.len(), 3);
        assert!(shown.processes[0].stacks.iter().all(|stack| stack.python.is_none()));
        // Nothing is of that kind, so nothing is left out.
        let shown = sample().viewed(View::Only(FrameKind::JavaScript));
        assert_eq!(names(&shown), names(&sample()));
        let (all, shown) = (sample(), sample().viewed(View::All));
        assert_eq!(names(&shown), names(&all));
    }
}
