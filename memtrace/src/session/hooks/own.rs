//! Probes on memtrace's own children, on which things are tried out.

use anyhow::Context as _;

use super::{super::budget::STEPPED, Hooks, Mapped, Told, analyses::Analyses, probe_point};
use crate::{
    plan::{self, AttachPoint, Kind},
    probe::{Links, Scope},
    process::AddressSpace,
};

impl Hooks {
    /// Puts a return probe on the allocator of memtrace's own child.
    pub(in crate::session) fn attach_canary(&mut self, pid: u32) -> anyhow::Result<Links> {
        self.attach_to_own(pid, Vec::new(), |point| {
            point.symbol == "malloc" && point.kind == Kind::Allocate
        })
    }

    /// Puts probes on `malloc` and `free` of memtrace's own child, and on a function that the kernel has to step through.
    pub(in crate::session) fn attach_trial(&mut self, pid: u32) -> anyhow::Result<Links> {
        let pair = plan::Pair::parse(&format!("getpid:{STEPPED}")).map_err(|why| anyhow::anyhow!(why))?;
        self.attach_to_own(pid, vec![pair], |point| match &*point.symbol {
            "malloc" => point.kind == Kind::Allocate,
            "free" | STEPPED => true,
            _ => false,
        })
    }

    fn attach_to_own(
        &mut self,
        pid: u32,
        pairs: Vec<plan::Pair>,
        is_wanted: impl Fn(&AttachPoint) -> bool,
    ) -> anyhow::Result<Links> {
        let space = AddressSpace::read(pid).context("failed to read the mappings of the child")?;
        // What is tried out are a call's two ends.
        let request = plan::Request {
            pairs,
            two_traps: true,
            ..plan::Request::default()
        };
        let mut analyses = Analyses::new(request, Told::default());
        let mut links = Links::default();
        for (index, module) in Mapped::of(&space, pid, 0, None).modules {
            analyses.make(index, &module);
            let Some(file) = analyses.get(index) else { continue };
            let wanted = file.points.iter().filter(|(point, _)| is_wanted(point));
            let points = wanted.map(|(point, _)| anyhow::Ok((Scope::Process(pid), probe_point(point, 0, &module)?)));
            let points = points.collect::<anyhow::Result<Vec<_>>>()?;
            if points.iter().any(|(_, point)| point.name == "malloc") {
                self.probes.attach(&points, &mut links, &mut Links::default())?;
                return Ok(links);
            }
        }
        anyhow::bail!("the child has no malloc")
    }
}
