//! What a file knows of its own functions, and where more may be found.

use std::path::{Path, PathBuf};

use object::{Endianness, Object as _, ReadRef, read::elf::ElfFile64};

use crate::process::debug_file_by_id;

/// Where debug files are looked for.
const DEBUG_DIRECTORIES: [&str; 2] = ["/usr/lib/debug", "/lib/debug"];

/// What an ELF file says about its functions.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Symbols {
    /// Whether it has debug information: source lines and inlined functions.
    pub(super) debug_info: bool,
    /// Whether it has the symbol table that `strip` takes away.
    pub(super) symbol_table: bool,
    /// Name of the file that its debug information was moved to.
    pub(super) debug_link: Option<PathBuf>,
    /// Its build id.
    pub(super) build_id: Option<Vec<u8>>,
}

impl Symbols {
    /// Reads them.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub(super) fn read<'data, R: ReadRef<'data>>(data: R) -> object::read::Result<Self> {
        use std::os::unix::ffi::OsStrExt as _;

        let file = ElfFile64::<Endianness, R>::parse(data)?;
        let has = |name| file.section_by_name(name).is_some();
        // One damaged section does not make the others worthless.
        let link = file
            .gnu_debuglink()
            .ok()
            .flatten()
            .map(|(name, _)| std::ffi::OsStr::from_bytes(name));
        Ok(Self {
            debug_info: has(".debug_info") || has(".zdebug_info"),
            symbol_table: file.symbols().next().is_some(),
            debug_link: link.map(PathBuf::from),
            build_id: file.build_id().ok().flatten().map(<[u8]>::to_vec),
        })
    }

    /// Paths at which the debug file of the file at `path` may be, by build id and by debug link.
    pub(super) fn debug_files(&self, path: &Path) -> Vec<PathBuf> {
        let mut files = Vec::new();
        if let Some(name) = self.build_id.as_deref().and_then(debug_file_by_id) {
            files.extend(
                DEBUG_DIRECTORIES
                    .iter()
                    .map(|directory| Path::new(directory).join(&name)),
            );
        }
        // Only a plain name: the file is not to be trusted, and must not lead anywhere else.
        let link = self
            .debug_link
            .as_deref()
            .filter(|link| link.file_name() == Some(link.as_os_str()));
        if let (Some(link), Some(folder)) = (link, path.parent()) {
            files.push(folder.join(link));
            let below = folder.strip_prefix("/").unwrap_or(folder);
            files.extend(
                DEBUG_DIRECTORIES
                    .iter()
                    .map(|directory| Path::new(directory).join(below).join(link)),
            );
        }
        files
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::{process::Command, sync::OnceLock};

    use proptest::prelude::*;

    use super::*;

    /// A library of few kilobytes, to be damaged.
    pub(in super::super) fn small_library() -> &'static [u8] {
        static LIBRARY: OnceLock<Vec<u8>> = OnceLock::new();
        LIBRARY.get_or_init(|| compiled(&["-g"], &[]))
    }

    fn compiled(flags: &[&str], objcopy: &[&str]) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let (source, library) = (folder.path().join("a.c"), folder.path().join("a.so"));
        std::fs::write(
            &source,
            "int f(int a) { return a * 7 + 1; } int h(int a) { return f(a) + f(a * a); }",
        )
        .unwrap();
        let ok = Command::new("cc")
            .args([
                "-shared",
                "-fPIC",
                "-nostdlib",
                "-Wl,--build-id=0x0123456789abcdef",
                "-o",
            ])
            .args([&library, &source])
            .args(flags)
            .status()
            .unwrap();
        assert!(ok.success());
        if !objcopy.is_empty() {
            assert!(
                Command::new("objcopy")
                    .args(objcopy)
                    .arg(&library)
                    .status()
                    .unwrap()
                    .success()
            );
        }
        std::fs::read(&library).unwrap()
    }

    #[test]
    fn what_is_there_and_what_was_stripped() {
        let all = Symbols::read(small_library()).unwrap();
        assert!(all.debug_info && all.symbol_table, "{all:?}");
        assert_eq!(all.build_id, Some(vec![0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef]));
        let stripped = compiled(&["-s"], &["--add-gnu-debuglink=/bin/true"]);
        let stripped = Symbols::read(&*stripped).unwrap();
        assert!(!stripped.debug_info && !stripped.symbol_table, "{stripped:?}");
        assert_eq!(stripped.debug_link.as_deref(), Some(Path::new("true")));
    }

    #[test]
    fn debug_files_are_looked_for_where_distributions_put_them() {
        let symbols = Symbols {
            build_id: Some(vec![0xab, 0x01, 0x02]),
            debug_link: Some("x.debug".into()),
            ..Symbols::default()
        };
        let files = symbols.debug_files(Path::new("/usr/bin/x"));
        for wanted in [
            "/usr/lib/debug/.build-id/ab/0102.debug",
            "/usr/bin/x.debug",
            "/usr/lib/debug/usr/bin/x.debug",
        ] {
            assert!(files.contains(&PathBuf::from(wanted)), "{wanted}: {files:?}");
        }
        assert_eq!(
            Symbols::default().debug_files(Path::new("/usr/bin/x")),
            Vec::<PathBuf>::new()
        );
    }

    #[test]
    fn a_link_leads_to_no_other_directory() {
        for link in ["/etc/shadow", "../x", "..", "", "a/b", "a/"] {
            let symbols = Symbols {
                debug_link: Some(link.into()),
                ..Symbols::default()
            };
            assert_eq!(
                symbols.debug_files(Path::new("/usr/bin/x")),
                Vec::<PathBuf>::new(),
                "{link}"
            );
        }
    }

    proptest! {
        #[test]
        fn damaged_files_are_survived(at in 0usize..65536, bytes in proptest::collection::vec(any::<u8>(), 1..32), cut: u16) {
            let mut file = small_library().to_vec();
            let at = at % file.len();
            for (old, new) in file[at..].iter_mut().zip(&bytes) {
                *old = *new;
            }
            if cut < 2000 {
                file.truncate(usize::from(cut));
            }
            if let Ok(symbols) = Symbols::read(&*file) {
                let _paths = symbols.debug_files(Path::new("/usr/bin/x"));
            }
        }
    }
}
