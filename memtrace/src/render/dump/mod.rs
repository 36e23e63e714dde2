//! The stacks of all threads as text: threads with equal stacks that wait in the same are one entry.

pub mod json;
#[cfg(test)]
mod tests;

use std::io::{self, Write};

use super::{escape, label};
use crate::profile::{
    Frame, FrameKind,
    dump::{Dump, DumpedProcess, DumpedStack, DumpedThread, Waits},
};

/// What can be chosen of its form.
#[derive(Clone, Copy, Debug, Default)]
pub struct Form {
    /// Each thread has an entry of its own.
    pub apart: bool,
}

/// Threads that are named one by one in an entry; of more it is said how many there are.
const NAMED: usize = 50;

/// Writes a dump.
///
/// # Errors
/// Only those of `out`.
pub fn write(dump: &Dump, form: Form, out: &mut dyn Write) -> io::Result<()> {
    for (index, process) in dump.processes.iter().enumerate() {
        if index > 0 {
            writeln!(out)?;
        }
        self::process(process, form, out)?;
    }
    Ok(())
}

fn process(process: &DumpedProcess, form: Form, out: &mut dyn Write) -> io::Result<()> {
    let threads = match process.threads.len() {
        1 => "1 thread".to_owned(),
        many => format!("{many} threads"),
    };
    writeln!(
        out,
        "{} (pid {}), {threads}: {}",
        label::command(&process.command),
        process.pid,
        escape::text(&process.executable)
    )?;
    for note in &process.notes {
        writeln!(out, "  note: {}", escape::text(note))?;
    }
    for entry in entries(process, form) {
        writeln!(out)?;
        self::entry(process, &entry, out)?;
    }
    Ok(())
}

/// What is told once: threads of one process that are alike, by number.
fn entries(process: &DumpedProcess, form: Form) -> Vec<Vec<&DumpedThread>> {
    let mut entries: Vec<Vec<&DumpedThread>> = Vec::new();
    for thread in &process.threads {
        let alike = |entry: &&mut Vec<&DumpedThread>| {
            let first = entry.first();
            first.is_some_and(|first| {
                (first.stack, &first.waits, &first.problem) == (thread.stack, &thread.waits, &thread.problem)
            })
        };
        match entries.iter_mut().find(alike) {
            Some(entry) if !form.apart => entry.push(thread),
            _ => entries.push(vec![thread]),
        }
    }
    // Most threads first: a pool of them is the least interesting, but says what the process is.
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.len()));
    entries
}

fn entry(process: &DumpedProcess, threads: &[&DumpedThread], out: &mut dyn Write) -> io::Result<()> {
    let Some(first) = threads.first() else {
        return Ok(());
    };
    let named: Vec<_> = threads
        .iter()
        .take(NAMED)
        .map(|thread| format!("{} {}", thread.tid, label::command(&thread.name)))
        .collect();
    let doing = waits(&first.waits);
    if threads.len() == 1 {
        writeln!(out, "thread {}: {doing}", named.concat())?;
    } else {
        writeln!(out, "{} threads: {doing}", threads.len())?;
        let rest = match threads.len() - named.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        writeln!(out, "  {}{rest}", named.join(", "))?;
    }
    if let Some(problem) = &first.problem {
        writeln!(out, "  note: {}", escape::text(problem))?;
    }
    match first.stack.and_then(|stack| process.stacks.get(stack)) {
        Some(stack) => frames(stack, out),
        None => writeln!(out, "  [no stack]"),
    }
}

/// `sleeping in futex (futex_do_wait)`.
fn waits(waits: &Waits) -> String {
    let call = waits.call.as_deref().map(|call| format!(" in {}", escape::text(call)));
    let wchan = waits
        .wchan
        .as_deref()
        .map(|wchan| format!(" ({})", escape::text(wchan)));
    format!(
        "{}{}{}",
        state(waits.state),
        call.unwrap_or_default(),
        wchan.unwrap_or_default()
    )
}

/// The states of proc(5) in words.
const fn state(state: char) -> &'static str {
    match state {
        'R' => "running",
        'S' => "sleeping",
        'D' => "in uninterruptible sleep",
        'T' => "stopped",
        't' => "stopped by its tracer",
        'Z' | 'X' | 'x' => "ended",
        'I' => "idle",
        _ => "in an unknown state",
    }
}

fn frames(stack: &DumpedStack, out: &mut dyn Write) -> io::Result<()> {
    let mut number = 0;
    for frame in &stack.frames {
        if frame.inlined {
            writeln!(out, "     {}", line(frame))?;
        } else {
            writeln!(out, "{number:>4} {}", line(frame))?;
            number += 1;
        }
    }
    if stack.by_frame_pointer > 0 {
        writeln!(
            out,
            "  note: frames of code without unwind information were left by frame pointer ({} of them); callers may be missing there",
            stack.by_frame_pointer
        )?;
    }
    if let Some(python) = stack.python {
        if !python.fits {
            writeln!(
                out,
                "  note: calls of the Python evaluator and Python frames are not equally many here: the Python frames are in one piece, at \
                 the innermost call"
            )?;
        }
        if let Some(words) = python.end.words() {
            writeln!(out, "  note: {words}")?;
        }
    }
    if let Some(javascript) = stack.javascript {
        if javascript.untold > 0 {
            writeln!(
                out,
                "  note: {} frames look like JavaScript's, but their functions could not be read: they are native ones",
                javascript.untold
            )?;
        }
        if javascript.cut {
            writeln!(
                out,
                "  note: there are more frames of JavaScript than memtrace reads: the others are native ones"
            )?;
        }
    }
    match stack.end.words() {
        Some(words) => writeln!(out, "  [no further: {words}]"),
        None => Ok(()),
    }
}

/// Function, source line, and where its code is. An inlined function has no code of its own.
fn line(frame: &Frame) -> String {
    let function = match frame.function.as_deref() {
        Some(function) if !function.trim().is_empty() => escape::text(function).into_owned(),
        _ => "[no symbol]".into(),
    };
    let line = frame.line.map_or(String::new(), |line| format!(":{line}"));
    let source = frame
        .file
        .as_deref()
        .filter(|file| !file.is_empty())
        .map_or(String::new(), |file| format!(" at {}{line}", escape::text(file)));
    if frame.inlined {
        format!("{function} (inlined){source}")
    } else if frame.kind != FrameKind::Native {
        // It is in no file that was mapped.
        format!("{function} ({}){source}", frame.kind.name())
    } else {
        format!("{function}{source} in {}+{:#x}", label::module(frame), frame.offset)
    }
}
