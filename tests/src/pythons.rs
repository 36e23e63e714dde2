//! Interpreters of Python.

use std::{env, fs, path::PathBuf};

/// Every `CPython` from 3.8 on that is here: Debian's, and those of pyenv.
pub fn pythons() -> Vec<PathBuf> {
    let mut all = vec![PathBuf::from("/usr/bin/python3")];
    let home = env::var_os("PYENV_ROOT").map_or_else(|| PathBuf::from("/root/.pyenv"), PathBuf::from);
    let versions = fs::read_dir(home.join("versions")).into_iter().flatten().flatten();
    all.extend(versions.filter_map(|version| {
        let name = version.file_name().into_string().ok()?;
        let minor: u32 = name.strip_prefix("3.")?.split('.').next()?.parse().ok()?;
        let path = version.path().join("bin/python3");
        (minor >= 8 && path.exists()).then_some(path)
    }));
    all.sort();
    all
}
