//! What is handed to whoever attaches: the files of a program, and the places in them.

use std::sync::Arc;

use anyhow::Context as _;
use memtrace_common::Exits;

use crate::{
    plan::{AttachPoint, Checking, Detail, Kind, Tells},
    probe::{Point, Role},
    process::{AddressSpace, Module},
};

/// A program whose mapped files are known.
#[derive(Clone, Debug)]
pub(in crate::session) struct Mapped {
    pub(in crate::session) pid: u32,
    pub(in crate::session) incarnation: u32,
    /// When it began, in nanoseconds of kernel time, if that was seen.
    pub(in crate::session) began_ns: Option<u64>,
    /// Whether it is gone: then no probe is put on for it alone.
    pub(in crate::session) gone: bool,
    /// The files of its code, with their numbers.
    pub(in crate::session) modules: Vec<(u32, Arc<Module>)>,
}

impl Mapped {
    /// What a process has mapped.
    pub(in crate::session) fn of(space: &AddressSpace, pid: u32, incarnation: u32, began_ns: Option<u64>) -> Self {
        let all = space.modules();
        let modules = space.mapped().filter_map(|index| {
            let module = all.get(index as usize)?;
            module.name.starts_with('/').then(|| (index, Arc::clone(module)))
        });
        Self {
            pid,
            incarnation,
            began_ns,
            gone: false,
            modules: modules.collect(),
        }
    }
}

/// A planned point, with the path through which the kernel finds its file.
pub(in crate::session) fn probe_point(point: &AttachPoint, number: u16, module: &Module) -> anyhow::Result<Point> {
    Ok(Point {
        name: point.symbol.clone(),
        file: module.path().context("the file of an attach point is not open")?,
        offset: point.offset,
        role: point.role(),
        order: point.order(),
        cookie: point.cookie(number),
        semaphore: point.semaphore,
        only_takes: point.only_takes(),
    })
}

impl AttachPoint {
    /// The programs that it gets.
    const fn role(&self) -> Role {
        match self.kind {
            Kind::Free => Role::Free,
            Kind::Wrapper => Role::Wrapper,
            Kind::Allocate => match self.detail {
                Detail::Shape(shape) if matches!(shape.exits, Exits::Instructions) => Role::AllocateOnly,
                _ => Role::Allocate,
            },
            Kind::Once => Role::Once,
            Kind::Check(Checking::Enter) => Role::CheckEnter,
            Kind::Check(Checking::Slow) => Role::CheckSlow,
            Kind::Check(Checking::Return) => Role::CheckReturn,
            Kind::Check(Checking::Leave) => Role::CheckLeave,
            Kind::Exit => Role::Leave,
            Kind::Site => Role::Site,
            Kind::SiteFree => Role::SiteFree,
            Kind::Refilled => Role::Refilled,
            Kind::Pool => Role::Pool,
            Kind::StaticAlloc => Role::StaticAlloc,
            Kind::StaticFree => Role::StaticFree,
            Kind::V8(Tells::Allocated) => Role::JsAllocated,
            Kind::V8(Tells::Large) => Role::JsLarge,
            Kind::V8(Tells::Forgotten) => Role::JsForgotten,
            Kind::V8(Tells::Pause) => Role::JsPause,
            Kind::V8(Tells::Collected) => Role::JsCollected,
            Kind::V8(Tells::Survived) => Role::JsSurvived,
            Kind::V8(Tells::Shortage) => Role::JsShortage,
        }
    }
}
