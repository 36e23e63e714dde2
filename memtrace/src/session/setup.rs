//! From what is asked for to an observation that has begun.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use memtrace_common::config::PidNamespace;

use super::{
    censuses::Censuses,
    collector::Collector,
    default_mode::sparing,
    description::{Description, container_of},
    exact, loading, pools, preflight,
    residency::Residency,
    tracer::{Tracer, Wanted},
};
use crate::{
    options::Options,
    plan::PlanError,
    process::{
        AddressSpace, Modules, descriptors,
        namespace::{Numbered, numbered},
    },
    profile::Allocator,
    target::{self, TargetError, TargetInfo, launch::Suspended, select::Selection},
};

/// How long a running process may take to load its C library. A dynamic loader takes a few milliseconds.
const START_PATIENCE: Duration = Duration::from_millis(300);

/// An observation that is about to begin.
pub(super) struct Ready {
    pub(super) tracer: Tracer,
    pub(super) collector: Collector,
    /// The processes that it begins with.
    pub(super) first: Vec<TargetInfo>,
    /// What is observed, in words.
    pub(super) what: String,
    pub(super) residency: Residency,
    pub(super) censuses: Censuses,
}

/// A process that observation begins with.
struct First {
    info: TargetInfo,
    space: AddressSpace,
}

/// Attaches to the processes that a selection means now.
///
/// # Errors
/// Whatever keeps them from being observed.
pub(super) fn attach(selection: &Selection, options: &Options) -> anyhow::Result<Ready> {
    let (infos, left_out) = who(selection)?;
    descriptors::raise_limit();
    let modules = Modules::default();
    let mut first = Vec::new();
    for info in infos {
        match AddressSpace::read_into(info.pid, &modules) {
            Ok(space) => first.push(First { info, space }),
            Err(error) if matches!(selection, Selection::Processes(_)) => {
                let pid = info.pid;
                return Err(error).with_context(|| format!("failed to read the mappings of process {pid}"));
            }
            // It has just ended.
            Err(_) => {}
        }
    }
    let all = matches!(selection, Selection::All);
    let spaces: Vec<_> = first.iter().map(|first| first.space.clone()).collect();
    let python = if options.python_exact {
        exact::exact(first.iter().map(|first| first.info.pid))?
    } else {
        exact::Exact::default()
    };
    let pools = if options.python_exact {
        // Each object is.
        pools::Seen::default()
    } else {
        pools::seen(first.iter().map(|first| first.info.pid))
    };
    let wanted = Wanted {
        selection,
        pid_namespace: pid_namespace(&first)?,
        python: python.followed,
        heaps: python.heaps,
        pools: pools.pools,
        // Of all programs of a machine those of one runtime do not decide.
        sparing: if all { None } else { sparing(&spaces, options) },
    };
    let many = first.len() > MOST_BY_THEMSELVES;
    let options = &Options {
        machine_wide: options.machine_wide || many,
        ..options.clone()
    };
    let mut tracer = Tracer::load(&wanted, if all { &[] } else { &spaces }, options)?;
    if many && !all {
        tracer.note(format!(
            "more than {MOST_BY_THEMSELVES} targets: their probes are for the whole machine, and other programs with the same files pay \
             for each call too"
        ));
    }
    for note in left_out.into_iter().chain(python.notes).chain(pools.notes) {
        tracer.note(note);
    }
    let confined = first.iter().map(|first| &first.info).find(|info| info.seccomp != 0);
    preflight::seccomp(confined, &mut tracer)?;
    if all {
        tracer.leave_out_itself()?;
        for one in &first {
            attach_for_all(one, &mut tracer);
        }
        tracer.attach_tracepoints()?;
        let what = format!("all processes ({} now)", first.len());
        let collector = tracer.collector(modules, options)?;
        let infos: Vec<_> = first.into_iter().map(|first| first.info).collect();
        return Ok(Ready {
            censuses: censuses(&infos, options)?,
            residency: Residency::new(tracer.started_ns(), options),
            tracer,
            collector,
            first: Vec::new(),
            what,
        });
    }
    let numbers = attach_to_each(&mut first, &mut tracer)?;
    tracer.attach_tracepoints()?;
    let mut collector = tracer.collector(modules, options)?;
    let what = in_words(selection, &first);
    let infos: Vec<_> = first.iter().map(|first| first.info.clone()).collect();
    for (First { info, mut space }, incarnation) in first.into_iter().zip(numbers) {
        // Files that were mapped since must be held as well.
        let _gone = space.refresh();
        tracer.laid_out(&space, info.pid, incarnation, None);
        collector.add(incarnation, description(&info, incarnation), space);
    }
    Ok(Ready {
        censuses: censuses(&infos, options)?,
        residency: Residency::new(tracer.started_ns(), options),
        tracer,
        collector,
        first: infos,
        what,
    })
}

/// Attaches to a program that was just started and is held.
///
/// # Errors
/// As [`attach`]; or the program has ended.
pub(super) fn attach_to_suspended(suspended: &mut Suspended, options: &Options) -> anyhow::Result<Ready> {
    for (asked, flag) in [(options.python_exact, "--python-exact"), (options.census, "--census")] {
        if asked {
            bail!("{flag} is for programs that run: an interpreter that is just started has no heap yet; use attach");
        }
    }
    let pid = suspended.pid();
    // Not before: the program would inherit it.
    descriptors::raise_limit();
    let info = target::check(pid)?;
    let modules = Modules::default();
    let mut space = AddressSpace::read_into(pid, &modules)
        .with_context(|| format!("failed to read the mappings of process {pid}"))?;
    let selection = Selection::Processes(vec![pid]);
    let wanted = Wanted {
        selection: &selection,
        pid_namespace: info.pid_namespace,
        python: Vec::new(),
        heaps: Vec::new(),
        pools: Vec::new(),
        sparing: None,
    };
    let mut tracer = Tracer::load(&wanted, std::slice::from_ref(&space), options)?;
    let incarnation = tracer.trace(pid)?;
    if let Some(status) = loading::hook(suspended, &mut tracer, &mut space, incarnation)? {
        bail!("the program ended ({status}) before its C library was there: nothing could be observed");
    }
    tracer.attach_tracepoints()?;
    let mut collector = tracer.collector(modules, options)?;
    let what = format!("{pid} ({})", info.command);
    tracer.laid_out(&space, pid, incarnation, None);
    tracer.settle();
    collector.add(incarnation, description(&info, incarnation), space);
    // Before the program runs: all that it has is from before.
    let mut residency = Residency::new(tracer.started_ns(), options);
    residency.read_now(&collector, &tracer);
    Ok(Ready {
        tracer,
        collector,
        first: vec![info],
        what,
        residency,
        censuses: Censuses::default(),
    })
}

/// The censuses at the beginning, if they are wanted.
fn censuses(targets: &[TargetInfo], options: &Options) -> anyhow::Result<Censuses> {
    if options.census {
        Censuses::begin(targets)
    } else {
        Ok(Censuses::default())
    }
}

/// The processes that a selection means now and that can be observed, and what is to be said of the others.
fn who(selection: &Selection) -> anyhow::Result<(Vec<TargetInfo>, Vec<String>)> {
    if let Selection::Processes(pids) = selection {
        let infos = pids.iter().map(|&pid| target::check(pid));
        return Ok((infos.collect::<Result<_, _>>()?, Vec::new()));
    }
    let mut infos = Vec::new();
    let mut left_out = BTreeMap::<String, u32>::new();
    for pid in target::select::members(selection).context("failed to find the processes")? {
        match target::check(pid) {
            Ok(info) => infos.push(info),
            // Nobody means those.
            Err(
                TargetError::NoSuchProcess(_)
                | TargetError::Zombie(_)
                | TargetError::Kernel(..)
                | TargetError::Itself(_)
                | TargetError::Thread { .. },
            ) => {}
            Err(error @ TargetError::Permission(_)) => return Err(error.into()),
            Err(TargetError::Denied(_)) => {
                *left_out.entry("no permission to look at them".to_owned()).or_default() += 1;
            }
            Err(TargetError::Architecture { what, .. }) => {
                *left_out.entry(format!("they run {what}")).or_default() += 1;
            }
            Err(error) => *left_out.entry(error.to_string()).or_default() += 1,
        }
    }
    let left_out = left_out.into_iter().map(|(why, count)| {
        let processes = if count == 1 { "process is" } else { "processes are" };
        format!("{count} {processes} not observed: {why}")
    });
    Ok((infos, left_out.take(MOST_LEFT_OUT).collect()))
}

/// Processes that get probes of their own: each takes some forty descriptors, and some ten milliseconds.
const MOST_BY_THEMSELVES: usize = 128;

/// Sentences on processes that are not observed, at most.
const MOST_LEFT_OUT: usize = 8;

/// The namespace in which all of them are numbered.
fn pid_namespace(first: &[First]) -> anyhow::Result<PidNamespace> {
    let mut namespaces = first.iter().map(|first| first.info.pid_namespace);
    let Some(namespace) = namespaces.next() else {
        let own = numbered(std::process::id()).context("failed to learn the own PID namespace")?;
        return Ok(match own {
            Numbered::In(namespace) => namespace,
            Numbered::Globally | Numbered::Elsewhere => PidNamespace::default(),
        });
    };
    if namespaces.any(|other| other != namespace) {
        bail!("the processes are in different PID namespaces: observe those of each by itself");
    }
    Ok(namespace)
}

/// Attaches to the files of a process for all; what cannot be hooked is told when a process is seen that has it.
fn attach_for_all(one: &First, tracer: &mut Tracer) {
    match tracer.attach_for_all(&one.space) {
        Ok(()) => {}
        Err(error) if error.is::<PlanError>() => {}
        Err(error) => tracer.note(format!("files of process {} were not hooked: {error:#}", one.info.pid)),
    }
}

/// Attaches to each, and gives those that have only just started the time to load their C library. One of several may have
/// nothing that can be hooked.
fn attach_to_each(first: &mut [First], tracer: &mut Tracer) -> anyhow::Result<Vec<u32>> {
    let mut numbers = Vec::new();
    let mut failed = None;
    let mut hooked = 0_usize;
    for one in &*first {
        numbers.push(tracer.trace(one.info.pid)?);
    }
    for (one, &incarnation) in first.iter_mut().zip(&numbers) {
        match attach_to_running(one, incarnation, tracer) {
            Ok(()) => hooked += 1,
            Err(error) => failed = failed.or(Some((one.info.clone(), error))),
        }
    }
    match failed {
        Some((info, error)) if hooked == 0 || !error.is::<PlanError>() => {
            Err(error).with_context(|| format!("process {} ({}) cannot be observed", info.pid, info.command))
        }
        _ => Ok(numbers),
    }
}

fn attach_to_running(one: &mut First, incarnation: u32, tracer: &mut Tracer) -> anyhow::Result<()> {
    let patience = Instant::now() + START_PATIENCE;
    loop {
        match tracer.attach(&one.space, one.info.pid, incarnation) {
            Err(error) if error.is::<PlanError>() && Instant::now() < patience => {
                std::thread::sleep(Duration::from_millis(5));
                // A target that has just ended is told by the next try.
                let _gone = one.space.refresh();
            }
            result => return result,
        }
    }
}

/// What is observed, in words.
fn in_words(selection: &Selection, first: &[First]) -> String {
    let named = |one: &First| format!("{} ({})", one.info.pid, one.info.command);
    match (selection, first) {
        (Selection::Processes(_), [one]) => named(one),
        (Selection::Processes(_), several) => several.iter().map(named).collect::<Vec<_>>().join(", "),
        (_, []) => format!("no process yet: waiting for {selection}"),
        (_, several) => format!("{selection} ({} now)", several.len()),
    }
}

/// Who a process is that was there before.
pub(super) fn description(info: &TargetInfo, incarnation: u32) -> Description {
    Description {
        pid: info.pid,
        first: incarnation,
        command: info.command.clone(),
        executable: info.executable.clone(),
        container: container_of(info.pid),
        parent: None,
        began_ns: None,
        replaced: false,
    }
}

/// What is hooked in the processes that observation begins with.
pub(super) fn allocators(ready: &Ready) -> Vec<Allocator> {
    let mut all: Vec<Allocator> = Vec::new();
    for incarnation in ready.collector.processes.incarnations() {
        for found in ready.tracer.state().of(incarnation).allocators {
            if !all
                .iter()
                .any(|known| known.path == found.path && known.name == found.name)
            {
                all.push(found);
            }
        }
    }
    all
}
