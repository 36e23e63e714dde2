//! A file of the target: what it lets a report say.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use super::{Check, debug_info::Symbols};
use crate::process::FileBytes;

/// A file that code of the target comes from.
#[derive(Debug)]
pub(super) struct Subject {
    /// Path as the target sees it.
    path: String,
    symbols: Result<Symbols, String>,
}

impl Subject {
    /// Reads the file's symbols; `None` is a file that could not be opened.
    pub(super) fn new(path: &str, file: Option<File>) -> Self {
        let file = file.ok_or_else(|| "it could not be opened".to_owned());
        Self {
            path: path.to_owned(),
            symbols: file.and_then(|file| read(&file)),
        }
    }

    /// Where the names of its functions come from.
    pub(super) fn symbols(&self) -> Check {
        match &self.symbols {
            Ok(symbols) => judge_symbols(&self.path, symbols, debug_file(&self.path, symbols).as_deref()),
            Err(error) => Check::warning("symbols", format!("{}: failed to read them: {error}", self.path)),
        }
    }
}

fn read(file: &File) -> Result<Symbols, String> {
    Symbols::read(&FileBytes::new(file)).map_err(|error| error.to_string())
}

/// The debug file of the file at `path`, if it is installed and made of the same build.
fn debug_file(path: &str, symbols: &Symbols) -> Option<PathBuf> {
    symbols.debug_files(Path::new(path)).into_iter().find(|debug_file| {
        // A pipe in its place would wait for ever.
        debug_file.is_file()
            && File::open(debug_file)
                .is_ok_and(|file| read(&file).is_ok_and(|debug| debug.debug_info && debug.build_id == symbols.build_id))
    })
}

fn judge_symbols(path: &str, symbols: &Symbols, debug_file: Option<&Path>) -> Check {
    const NAME: &str = "symbols";
    const INSTALL: &str = "install the debug symbols of its package (Debian, Ubuntu: PACKAGE-dbgsym or -dbg; Fedora: debuginfo-install \
                           PACKAGE), or compile it with -g";
    if symbols.debug_info {
        return Check::ok(NAME, format!("{path}: functions and source lines (.debug_info)"));
    }
    if let Some(debug_file) = debug_file {
        return Check::ok(
            NAME,
            format!("{path}: functions and source lines ({})", debug_file.display()),
        );
    }
    if symbols.symbol_table {
        return Check::ok(NAME, format!("{path}: functions (.symtab), no source lines")).remedy(INSTALL);
    }
    let missing = match &symbols.debug_link {
        Some(link) => format!("; its debug file {} is not installed", link.display()),
        None => String::new(),
    };
    Check::warning(
        NAME,
        format!("{path}: exported functions only, the others have no names{missing}"),
    )
    .remedy(INSTALL)
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Level, debug_info::tests::small_library},
        *,
    };

    #[test]
    fn the_best_source_of_names_is_told() {
        let full = Symbols {
            debug_info: true,
            symbol_table: true,
            ..Symbols::default()
        };
        assert!(judge_symbols("/x", &full, None).what.contains(".debug_info"));
        let table = Symbols {
            symbol_table: true,
            ..Symbols::default()
        };
        let check = judge_symbols("/x", &table, None);
        assert_eq!((check.level, check.what.contains("no source lines")), (Level::Ok, true));
        let link = Symbols {
            debug_link: Some("x.debug".into()),
            ..Symbols::default()
        };
        assert_eq!(
            judge_symbols("/x", &link, Some(Path::new("/d/x.debug"))).level,
            Level::Ok
        );
        let check = judge_symbols("/x", &link, None);
        assert_eq!(
            (check.level, check.what.contains("x.debug is not installed")),
            (Level::Warning, true)
        );
        let unreadable = Subject::new("/x", None);
        assert_eq!(unreadable.symbols().level, Level::Warning);
    }

    #[test]
    fn a_debug_file_of_another_build_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        std::fs::write(folder.path().join("x.debug"), small_library()).unwrap();
        let own = Symbols::read(small_library()).unwrap();
        let mut stripped = Symbols {
            debug_info: false,
            debug_link: Some("x.debug".into()),
            ..own
        };
        assert_eq!(
            debug_file(path.to_str().unwrap(), &stripped),
            Some(folder.path().join("x.debug"))
        );
        stripped.build_id = Some(vec![1, 2, 3]);
        assert_eq!(debug_file(path.to_str().unwrap(), &stripped), None);
    }
}
