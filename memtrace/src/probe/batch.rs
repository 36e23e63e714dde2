//! Which places a program can be attached to at once, without a change of order that could matter.

use std::path::Path;

use super::{Point, Scope, point::Program};

/// Places in one file that get the same program for the same processes.
#[derive(Debug)]
pub(super) struct Batch<'a> {
    pub(super) program: Program,
    pub(super) scope: Scope,
    pub(super) file: &'a Path,
    /// At least one.
    pub(super) points: Vec<&'a Point>,
    /// [`Point::only_takes`] of all of them.
    pub(super) only_takes: bool,
    /// Nothing with a higher one comes before: the points' order, and whether the program is at entries, for returns come first.
    stage: (u8, bool),
}

/// Puts together what is neighbours in the order of attaching: of equal order, program, file and processes. All files' points of an
/// order come before any of the next, for a block may be allocated by one file and freed by another.
pub(super) fn batches(points: &[(Scope, Point)]) -> Vec<Batch<'_>> {
    let mut batches: Vec<Batch<'_>> = Vec::new();
    for (scope, point) in points {
        for &program in point.role.programs() {
            let stage = (point.order, !program.returns);
            let same = batches.iter_mut().find(|batch| {
                batch.stage == stage
                    && batch.program == program
                    && batch.only_takes == point.only_takes
                    && batch.scope == *scope
                    && batch.file == point.file
            });
            match same {
                Some(batch) => batch.points.push(point),
                None => batches.push(Batch {
                    program,
                    scope: *scope,
                    file: &point.file,
                    points: vec![point],
                    only_takes: point.only_takes,
                    stage,
                }),
            }
        }
    }
    // Stable: files stay in their order.
    batches.sort_by_key(|batch| batch.stage);
    batches
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::Role, *};

    const ROLES: [Role; 23] = [
        Role::Free,
        Role::Wrapper,
        Role::Allocate,
        Role::AllocateOnly,
        Role::Leave,
        Role::Once,
        Role::Site,
        Role::SiteFree,
        Role::Refilled,
        Role::Pool,
        Role::StaticAlloc,
        Role::StaticFree,
        Role::CheckEnter,
        Role::CheckSlow,
        Role::CheckReturn,
        Role::CheckLeave,
        Role::JsAllocated,
        Role::JsLarge,
        Role::JsForgotten,
        Role::JsPause,
        Role::JsCollected,
        Role::JsSurvived,
        Role::JsShortage,
    ];

    fn point(file: &str, offset: u64, role: Role, order: u8) -> Point {
        Point {
            name: format!("{role:?}"),
            file: file.into(),
            offset,
            role,
            order,
            cookie: offset,
            semaphore: 0,
            only_takes: order == 4,
        }
    }

    fn shown(batches: &[Batch<'_>]) -> Vec<String> {
        let places = |batch: &Batch<'_>| batch.points.iter().map(|point| point.offset).collect::<Vec<_>>();
        batches
            .iter()
            .map(|batch| format!("{} {} {:?}", batch.program.name, batch.file.display(), places(batch)))
            .collect()
    }

    #[test]
    fn what_frees_is_first_in_all_files_and_exits_are_before_entries() {
        let own = Scope::Process(7);
        let points = [
            (own, point("libc", 4, Role::Allocate, 4)),
            (own, point("libc", 1, Role::Free, 0)),
            (own, point("libc", 2, Role::Free, 0)),
            (own, point("libc", 3, Role::Allocate, 3)),
            (own, point("libc", 5, Role::Allocate, 4)),
            (own, point("own", 6, Role::AllocateOnly, 4)),
            (own, point("own", 7, Role::Leave, 2)),
            (own, point("own", 8, Role::Free, 0)),
        ];
        assert_eq!(
            shown(&batches(&points)),
            [
                "free_enter libc [1, 2]",
                "free_enter own [8]",
                "alloc_leave own [7]",
                "alloc_exit libc [3]",
                "alloc_enter libc [3]",
                "alloc_exit libc [4, 5]",
                "alloc_enter libc [4, 5]",
                "alloc_enter own [6]",
            ]
        );
    }

    #[test]
    fn processes_are_kept_apart() {
        let points = [Scope::Process(1), Scope::Machine, Scope::Thread(1), Scope::Process(2)]
            .map(|scope| (scope, point("libc", 1, Role::Free, 0)));
        assert_eq!(batches(&points).len(), 4);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_the_order_holds(
            wanted in prop::collection::vec((0..ROLES.len(), 0..7_u8, 0..3_u32, 0..2_usize), 0..60),
        ) {
            let points: Vec<_> = (0..).zip(&wanted).map(|(offset, &(role, order, process, file))| {
                let scope = if process == 0 { Scope::Machine } else { Scope::Process(process) };
                (scope, point(["libc", "own"][file], offset, ROLES[role], order))
            }).collect();
            let batches = batches(&points);
            let attached: Vec<_> = batches
                .iter()
                .flat_map(|batch| batch.points.iter().map(|point| (point.order, point.offset, batch.program.name)))
                .collect();
            let programs: usize = points.iter().map(|(_, point)| point.role.programs().len()).sum();
            prop_assert_eq!(attached.len(), programs);
            prop_assert!(attached.is_sorted_by_key(|(order, ..)| order));
            for batch in &batches {
                prop_assert!(batch.points.is_sorted_by_key(|point| point.offset), "as they were given");
                prop_assert!(batch.points.iter().all(|point| point.file == batch.file));
            }
            for (_, point) in &points {
                let own: Vec<_> = attached.iter().filter(|(_, at, _)| *at == point.offset).map(|(.., name)| *name).collect();
                let wanted: Vec<_> = point.role.programs().iter().map(|program| program.name).collect();
                prop_assert_eq!(own, wanted, "returns before entries");
            }
        }
    }
}
