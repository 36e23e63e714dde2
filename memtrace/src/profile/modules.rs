//! The files that frames are in.

use serde::{Deserialize, Serialize};

use super::Profile;

/// A file that is mapped in a target, or what stands for one.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
pub struct Module {
    /// Its name as [`super::Frame::module`] has it.
    pub name: String,
    /// Its path as the target sees it.
    pub path: String,
    /// Its build id in hexadecimal digits.
    pub build_id: Option<String>,
}

/// What is known of the file that a name stands for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Named<'profile> {
    /// Its path, where all files of that name have one path.
    pub path: Option<&'profile str>,
    /// Its build id, where all have the same.
    pub build_id: Option<&'profile str>,
}

impl Profile {
    /// The file of a name. Frames have no more than the name, so where several files have it, only what all of them have can be
    /// told.
    pub fn module(&self, name: &str) -> Named<'_> {
        let mut same = self.modules.iter().filter(|module| module.name == name);
        let Some(first) = same.next() else {
            return Named::default();
        };
        let (mut path, mut build_id) = (Some(&*first.path), first.build_id.as_deref());
        for other in same {
            path = path.filter(|&path| path == other.path);
            build_id = build_id.filter(|&id| Some(id) == other.build_id.as_deref());
        }
        Named { path, build_id }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::fixture;

    #[test]
    fn what_is_ambiguous_is_not_told() {
        let module = |path: &str, id: &str| Module {
            name: "libc.so.6".into(),
            path: path.into(),
            build_id: Some(id.into()),
        };
        let mut profile = fixture::profile([]);
        assert_eq!(profile.module("libc.so.6"), Named::default());
        profile.modules = vec![module("/lib/libc.so.6", "00"), module("/usr/lib/libc.so.6", "00")];
        let named = Named {
            path: None,
            build_id: Some("00"),
        };
        assert_eq!(profile.module("libc.so.6"), named);
        profile.modules.push(module("/lib/libc.so.6", "01"));
        assert_eq!(profile.module("libc.so.6"), Named::default());
    }
}
