//! Interpreters of Python.

use std::{env, fs, path::PathBuf};

use crate::programs;

/// Every `CPython` from 3.8 on that is here: Debian's, in the program and as a library, those of pyenv, and those that `MEMTRACE_PYTHONS`
/// names, with colons between them.
pub fn pythons() -> Vec<PathBuf> {
    let mut all = vec![PathBuf::from("/usr/bin/python3")];
    match programs::available("python-library") {
        Ok(()) => all.push(programs::path("python-library")),
        Err(why) => println!("skipped: {why}"),
    }
    let home = env::var_os("PYENV_ROOT").map_or_else(|| PathBuf::from("/root/.pyenv"), PathBuf::from);
    let versions = fs::read_dir(home.join("versions")).into_iter().flatten().flatten();
    all.extend(versions.filter_map(|version| {
        let name = version.file_name().into_string().ok()?;
        let minor: u32 = name.strip_prefix("3.")?.split('.').next()?.parse().ok()?;
        let path = version.path().join("bin/python3");
        (minor >= 8 && path.exists()).then_some(path)
    }));
    all.sort();
    let named = env::var_os("MEMTRACE_PYTHONS").unwrap_or_default();
    all.extend(env::split_paths(&named).filter(|path| path.exists()));
    all
}
