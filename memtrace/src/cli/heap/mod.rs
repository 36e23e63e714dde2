//! `memtrace heap`

mod live;

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::output::to_file_or_stdout;
use crate::{
    exit::Exit,
    profile::heap::{HeapComparison, HeapSummary},
    render::heap::{self, Form, Sort, json},
    session, terminal,
};

/// Heaps of JavaScript programs: read snapshots of V8 (node, Chrome), or ask a running node program
///
/// `show`, `path` and `compare` read files, and touch no program; `snapshot`, `sample`, `histogram` and `diff` ask a program that runs, by its
/// inspector (docs/inspector.md). A file is what node writes with --heapsnapshot-signal or `v8.writeHeapSnapshot`, and what Chrome saves. It may be packed (gzip, zstd), and - is
/// standard input. The numbers are those of Chrome's `DevTools` (docs/heap-snapshots.md).
#[derive(Debug, Args)]
pub(super) struct HeapVerb {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Show(Show),
    Path(PathTo),
    Compare(Compare),
    Snapshot(live::Snapshot),
    Sample(live::Sample),
    Histogram(live::Histogram),
    Diff(live::Diff),
}

/// What a snapshot holds: classes with their objects, shallow and retained sizes, and the objects that retain most
#[derive(Debug, Args)]
struct Show {
    /// The snapshot
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// By what classes are sorted
    #[arg(long, value_enum, default_value_t = SortArg::Retained)]
    sort: SortArg,
    #[command(flatten)]
    form: FormArgs,
}

/// Why an object is there: the shortest way to it, and who alone keeps it
#[derive(Debug, Args)]
struct PathTo {
    /// The snapshot
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The object's id, as `heap show` lists them and Chrome shows them behind an @
    #[arg(long, value_name = "N")]
    id: u32,
    #[command(flatten)]
    form: FormArgs,
}

/// What is new in the second of two snapshots of one process, and what of the first is gone, by class
#[derive(Debug, Args)]
struct Compare {
    /// The snapshot that is compared with
    #[arg(value_name = "BEFORE")]
    before: PathBuf,
    /// The snapshot that is looked at
    #[arg(value_name = "AFTER")]
    after: PathBuf,
    #[command(flatten)]
    form: FormArgs,
}

#[derive(Debug, Args)]
struct FormArgs {
    /// Rows of each table
    #[arg(long, value_name = "N", default_value_t = 20)]
    top: usize,
    /// As JSON, with all classes; --top is then the number of objects only
    #[arg(long)]
    json: bool,
}

/// By what classes are sorted.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum SortArg {
    /// Bytes that would go with all objects of the class
    Retained,
    /// Bytes of the objects themselves
    Shallow,
    /// How many objects there are
    Count,
}

impl From<SortArg> for Sort {
    fn from(sort: SortArg) -> Self {
        match sort {
            SortArg::Retained => Self::Retained,
            SortArg::Shallow => Self::Shallow,
            SortArg::Count => Self::Count,
        }
    }
}

impl HeapVerb {
    pub(super) fn run(self) -> anyhow::Result<Exit> {
        match self.verb {
            Verb::Show(args) => args.run(),
            Verb::Path(args) => args.run(),
            Verb::Compare(args) => args.run(),
            Verb::Snapshot(args) => args.run(),
            Verb::Sample(args) => args.run(),
            Verb::Histogram(args) => args.run(),
            Verb::Diff(args) => args.run(),
        }
    }
}

impl FormArgs {
    fn form(&self, sort: Sort) -> Form {
        Form {
            top: self.top,
            sort,
            columns: terminal::columns(),
        }
    }
}

impl Show {
    fn run(self) -> anyhow::Result<Exit> {
        let summary = session::heap::summary(&self.file, self.form.top)?;
        shown(&summary, &self.form, self.sort.into())
    }
}

impl PathTo {
    fn run(self) -> anyhow::Result<Exit> {
        let path = session::heap::path(&self.file, self.id)?;
        to_file_or_stdout(None, |out| {
            if self.form.json {
                json::write(json::Content::Path(&path), out)
            } else {
                heap::path(&path, self.form.form(Sort::Retained), out)
            }
        })
    }
}

impl Compare {
    fn run(self) -> anyhow::Result<Exit> {
        compared(&session::heap::comparison(&self.before, &self.after)?, &self.form)
    }
}

/// Writes what is in a heap.
fn shown(summary: &HeapSummary, form: &FormArgs, sort: Sort) -> anyhow::Result<Exit> {
    to_file_or_stdout(None, |out| {
        if form.json {
            json::write(json::Content::Heap(summary), out)
        } else {
            heap::summary(summary, form.form(sort), out)
        }
    })
}

/// Writes what is different.
fn compared(comparison: &HeapComparison, form: &FormArgs) -> anyhow::Result<Exit> {
    to_file_or_stdout(None, |out| {
        if form.json {
            json::write(json::Content::Comparison(comparison), out)
        } else {
            heap::comparison(comparison, form.form(Sort::Retained), out)
        }
    })
}
