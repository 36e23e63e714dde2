//! The terminal that standard output may be.

use std::io::{self, IsTerminal as _};

use rustix::termios::tcgetwinsize;

/// Columns where there is no terminal, or one that does not tell.
const COLUMNS: usize = 80;

/// Fewer are no use: lines are wider than that then.
const LEAST_COLUMNS: usize = 40;

/// Width of what is written to standard output: the terminal's own.
pub fn columns() -> usize {
    let out = io::stdout();
    let size = out.is_terminal().then(|| tcgetwinsize(&out).ok()).flatten();
    match size.map(|size| usize::from(size.ws_col)) {
        None | Some(0) => COLUMNS,
        Some(columns) => columns.max(LEAST_COLUMNS),
    }
}
