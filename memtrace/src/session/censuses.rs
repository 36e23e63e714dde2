//! `--census`: the objects of Python programs at the beginning and at the end of an observation.

use anyhow::bail;

use crate::{
    profile::census::{Census, Growth},
    pymalloc::{
        FindError,
        census::{CensusError, take},
    },
    target::TargetInfo,
};

/// The censuses at the beginning.
#[derive(Debug, Default)]
pub(super) struct Censuses(Vec<(TargetInfo, Census)>);

impl Censuses {
    /// Takes them of all of these processes that run Python.
    ///
    /// # Errors
    /// When one cannot be taken, or none of the processes runs Python.
    pub(super) fn begin(targets: &[TargetInfo]) -> anyhow::Result<Self> {
        let mut begun = Vec::new();
        for target in targets {
            match take(target) {
                Ok(census) => begun.push((target.clone(), census)),
                Err(CensusError::Find(FindError::None(_))) => {}
                Err(error) => bail!("--census is not supported for process {}: {error}", target.pid),
            }
        }
        if begun.is_empty() {
            bail!("--census found no interpreter of CPython in what is observed: leave it out");
        }
        Ok(Self(begun))
    }

    /// Takes them again; what grew, and what is to be said of the others.
    pub(super) fn end(self) -> (Vec<Growth>, Vec<String>) {
        let (mut grown, mut notes) = (Vec::new(), Vec::new());
        for (target, before) in self.0 {
            match take(&target) {
                Ok(after) => grown.push(Growth { before, after }),
                Err(error) => notes.push(format!(
                    "of process {} there is no census at the end, so what grew is not known: {error}",
                    target.pid
                )),
            }
        }
        (grown, notes)
    }
}
