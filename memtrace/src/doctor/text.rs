//! A report as text: a line for each check, below it what to do.

use std::io::{self, Write};

use super::{Level, Report};
use crate::render::escape;

/// Width of the column with the level, in characters.
const LEVEL: usize = 9;

/// Width of the column with the name, in characters.
const NAME: usize = 18;

/// Writes the report.
///
/// # Errors
/// Those of `out`.
pub fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let next = report.checks.iter().skip(1).map(Some).chain([None]);
    for (check, next) in report.checks.iter().zip(next) {
        let level = match check.level {
            Level::Ok => "ok",
            Level::Warning => "warning",
            Level::Fails => "fails",
        };
        // Names of files and programs come from the target.
        writeln!(out, "{level:<LEVEL$}{:<NAME$}{}", check.name, escape::text(&check.what))?;
        // What several lines have in common is said once, below the last of them.
        let said_below = next.is_some_and(|next| (next.name, &next.remedy) == (check.name, &check.remedy));
        if let Some(remedy) = check.remedy.as_ref().filter(|_| !said_below) {
            writeln!(out, "{:LEVEL$}{:NAME$}{}", "", "", escape::text(remedy))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{super::Check, *};

    #[test]
    fn columns_remedies_and_escapes() {
        let report = Report {
            checks: vec![
                Check::ok("kernel", "6.18.44 (needs 5.15)"),
                Check::fails("target", "runs \u{1b}[2J").remedy("do this"),
                Check::warning("symbols", "a").remedy("install"),
                Check::warning("symbols", "b").remedy("install"),
            ],
        };
        let mut out = Vec::new();
        write(&report, &mut out).unwrap();
        let wanted = "\
ok       kernel            6.18.44 (needs 5.15)
fails    target            runs \\u{1b}[2J
                           do this
warning  symbols           a
warning  symbols           b
                           install
";
        assert_eq!(String::from_utf8(out).unwrap(), wanted);
    }
}
