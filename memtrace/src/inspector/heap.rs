//! What is asked of a heap.

use std::{borrow::Cow, io, time::Duration};

use serde::Deserialize;
use serde_json::{json, value::RawValue};

use super::{Inspector, error::Error};
use crate::units;

/// How long a program may take to answer what costs nothing: its main thread may be busy.
const ANSWERS_WITHIN: Duration = Duration::from_secs(30);

/// Sizes, in bytes.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeapUsage {
    /// What objects take, dead ones included.
    #[serde(deserialize_with = "whole")]
    pub used_size: u64,
    /// What V8 has for them.
    #[serde(deserialize_with = "whole")]
    pub total_size: u64,
}

/// V8 gives sizes as floating point numbers.
fn whole<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    f64::deserialize(deserializer).map(units::whole)
}

/// How the heap is sampled.
#[derive(Clone, Copy, Debug)]
pub struct Sampling {
    /// Mean bytes between two samples.
    pub interval: u64,
    /// Whether objects count that are collected before the end; node 20 and later.
    pub allocated: bool,
}

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow)]
    chunk: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Profile<'a> {
    #[serde(borrow)]
    profile: &'a RawValue,
}

impl Inspector {
    /// How large the heap is.
    ///
    /// # Errors
    /// When it is not told.
    pub fn heap_usage(&mut self) -> Result<HeapUsage, Error> {
        let answer = self
            .session()?
            .call("Runtime.getHeapUsage", &json!({}), Some(ANSWERS_WITHIN), &mut |_, _| {
                Ok(())
            })?;
        self.understood(&answer)
    }

    /// Takes a snapshot, piece by piece: the program is stopped until all of it is made.
    ///
    /// # Errors
    /// When it is not whole.
    pub fn snapshot(&mut self, write: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> Result<(), Error> {
        let pid = self.pid;
        let mut bytes = 0_u64;
        let mut on_event = |event: &str, params: &RawValue| {
            if event != "HeapProfiler.addHeapSnapshotChunk" {
                return Ok(());
            }
            let piece: Chunk<'_> = serde_json::from_str(params.get()).map_err(|error| Error::Protocol {
                pid,
                what: format!("with a piece of a snapshot that cannot be read: {error}"),
            })?;
            bytes += piece.chunk.len() as u64;
            write(piece.chunk.as_bytes()).map_err(|source| Error::Output { pid, source })
        };
        let params = json!({ "reportProgress": false });
        self.is_snapshotting = true;
        self.session()?
            .call("HeapProfiler.takeHeapSnapshot", &params, None, &mut on_event)?;
        self.is_snapshotting = false;
        if bytes == 0 {
            return Err(Error::Protocol {
                pid,
                what: "that a snapshot is taken, and sent none".to_owned(),
            });
        }
        Ok(())
    }

    /// Begins to sample.
    ///
    /// # Errors
    /// When that is refused.
    pub fn start_sampling(&mut self, sampling: Sampling) -> Result<(), Error> {
        let params = json!({
            "samplingInterval": sampling.interval,
            "includeObjectsCollectedByMajorGC": sampling.allocated,
            "includeObjectsCollectedByMinorGC": sampling.allocated,
        });
        self.session()?.call(
            "HeapProfiler.startSampling",
            &params,
            Some(ANSWERS_WITHIN),
            &mut |_, _| Ok(()),
        )?;
        Ok(())
    }

    /// Ends it, and gives the profile as V8 writes it: the content of a `.heapprofile`. V8 collects garbage first.
    ///
    /// # Errors
    /// When there is none.
    pub fn stop_sampling(&mut self) -> Result<String, Error> {
        let answer = self
            .session()?
            .call("HeapProfiler.stopSampling", &json!({}), None, &mut |_, _| Ok(()))?;
        let profile: Profile<'_> = self.understood(&answer)?;
        Ok(profile.profile.get().to_owned())
    }

    fn understood<'a, T: Deserialize<'a>>(&self, answer: &'a str) -> Result<T, Error> {
        serde_json::from_str(answer).map_err(|error| Error::Protocol {
            pid: self.pid,
            what: format!("what is not understood: {error}"),
        })
    }
}
