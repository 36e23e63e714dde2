//! One program at many places of a file by one link (`BPF_TRACE_UPROBE_MULTI`, Linux 6.6): a system call and a wait in the kernel
//! for all of them, where a link to each place takes one each.
//!
//! aya does not know such links, and a program must be loaded for them. So the programs are taken from the same object here, with
//! the maps that aya has made.

use std::{
    collections::{BTreeMap, HashMap},
    ffi::CString,
    io,
    os::{
        fd::{AsFd as _, AsRawFd as _, OwnedFd, RawFd},
        unix::ffi::OsStrExt as _,
    },
    path::PathBuf,
};

use aya::{
    Ebpf,
    maps::{Map, MapData},
    util::KernelVersion,
};
use aya_obj::{Function, Object, ProgramSection, generated::bpf_insn};
use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
};

use super::{
    Scope,
    batch::Batch,
    point::Program,
    sys::{self, Load, Many, Place},
};

/// The programs, loaded so that each can be attached to many places at once.
pub(super) struct Multi {
    programs: BTreeMap<String, OwnedFd>,
}

impl Multi {
    /// Loads all programs for functions, with the maps of `ebpf`, which must have been loaded from the same object.
    ///
    /// # Errors
    /// Why it cannot be done on this kernel.
    pub(super) fn load(object: &[u8], ebpf: &Ebpf) -> Result<Self, String> {
        supported()?;
        let object = relocated(object, ebpf)?;
        let types = match &object.btf {
            Some(types) => Some(sys::load_types(&types.to_bytes()).map_err(told("it does not take their types"))?),
            None => None,
        };
        let mut programs = BTreeMap::new();
        for (name, program) in &object.programs {
            if !matches!(
                program.section,
                ProgramSection::UProbe { .. } | ProgramSection::URetProbe { .. }
            ) {
                continue;
            }
            let Some(Function {
                instructions,
                func_info,
                func_info_rec_size,
                ..
            }) = object.functions.get(&program.function_key())
            else {
                return Err(format!("program {name} has no code"));
            };
            let loaded = sys::load(&Load {
                name,
                instructions,
                license: &program.license,
                types: types.as_ref().map(OwnedFd::as_fd),
                functions: &func_info.func_info_bytes(),
                function_bytes: u32::try_from(*func_info_rec_size).unwrap_or_default(),
            });
            programs.insert(name.clone(), loaded.map_err(told(&format!("it does not take {name}")))?);
        }
        Ok(Self { programs })
    }

    /// Attaches to many places at once.
    ///
    /// # Errors
    /// What the kernel says: then it is attached to none.
    pub(super) fn attach(&self, shared: &Shared) -> io::Result<OwnedFd> {
        let program = self.programs.get(shared.program.name);
        let program = program.ok_or_else(|| io::Error::other("there is no such program"))?;
        let process = match shared.scope {
            Scope::Machine => 0,
            Scope::Process(process) => process,
            Scope::Thread(_) => return Err(Errno::SRCH.into()),
        };
        sys::link_many(
            program.as_fd(),
            &Many {
                path: &CString::new(shared.file.path().as_os_str().as_bytes()).map_err(io::Error::other)?,
                places: &shared.places,
                returns: shared.program.returns,
                process,
            },
        )
    }
}

/// A program at many places of a file.
#[derive(Debug)]
pub(super) struct Shared {
    program: Program,
    scope: Scope,
    file: Held,
    pub(super) places: Vec<Place>,
    /// [`super::Point::only_takes`] of all of them.
    pub(super) only_takes: bool,
}

/// A file by the path that it was given by, or kept open, so that the path stays its own.
#[derive(Debug)]
enum Held {
    Path(PathBuf),
    Open(OwnedFd),
}

impl Held {
    fn path(&self) -> PathBuf {
        match self {
            Self::Path(path) => path.clone(),
            Self::Open(file) => format!("/proc/self/fd/{}", file.as_raw_fd()).into(),
        }
    }
}

impl Shared {
    /// The places of a batch; to be attached to again and again if `again`.
    ///
    /// # Errors
    /// When the file cannot be kept open.
    pub(super) fn of(batch: &Batch<'_>, again: bool) -> io::Result<Self> {
        let places = batch.points.iter().map(|point| Place {
            offset: point.offset,
            semaphore: point.semaphore,
            cookie: point.cookie,
        });
        Ok(Self {
            program: batch.program,
            scope: batch.scope,
            file: if again {
                Held::Open(rustix::fs::open(
                    batch.file,
                    OFlags::PATH | OFlags::CLOEXEC,
                    Mode::empty(),
                )?)
            } else {
                Held::Path(batch.file.to_owned())
            },
            places: places.collect(),
            only_takes: batch.only_takes,
        })
    }
}

/// Whether such links work here, for whole processes. At first they were for single threads, and said nothing of it; since that was
/// mended, in 6.10 and later in some older versions, a negative number of a process is refused as such.
fn supported() -> Result<(), String> {
    let version = KernelVersion::current().map_err(|error| format!("its version cannot be told: {error}"))?;
    if version < KernelVersion::new(6, 10, 0) {
        return Err("it is older than Linux 6.10".to_owned());
    }
    // `r0 = 0`, `exit`
    let nothing = [0xb7, 0x95].map(|code| bpf_insn {
        code,
        _bitfield_align_1: [],
        _bitfield_1: bpf_insn::new_bitfield_1(0, 0),
        off: 0,
        imm: 0,
    });
    let program = sys::load(&Load {
        name: "trial",
        instructions: &nothing,
        license: c"GPL",
        types: None,
        functions: &[],
        function_bytes: 0,
    });
    let program = program.map_err(told("it does not take a program for them"))?;
    // No file that has code: refused for that, and only for that, where all else is right.
    for (process, expected) in [(0, Errno::BADF), (u32::MAX, Errno::INVAL)] {
        let many = Many {
            path: c"/",
            places: &[Place {
                offset: 0,
                semaphore: 0,
                cookie: 0,
            }],
            returns: false,
            process,
        };
        match sys::link_many(program.as_fd(), &many) {
            Err(error) if error.raw_os_error() == Some(expected.raw_os_error()) => {}
            Err(error) => return Err(format!("a trial was answered: {error}")),
            Ok(_) => return Err("it takes a folder for a program's file".to_owned()),
        }
    }
    Ok(())
}

/// The object, with its references to maps and functions resolved.
fn relocated(object: &[u8], ebpf: &Ebpf) -> Result<Object, String> {
    let unread = |error: &dyn std::fmt::Display| format!("the object cannot be read again: {error}");
    let mut object = Object::parse(object).map_err(|error| unread(&error))?;
    if object.has_btf_relocations() {
        return Err("the object wants to be changed for each kernel".to_owned());
    }
    match aya::features().btf() {
        Some(features) => object
            .fixup_and_sanitize_btf(features)
            .map(drop)
            .map_err(|error| unread(&error))?,
        None => object.btf = None,
    }
    let maps: HashMap<&str, RawFd> = ebpf
        .maps()
        .filter_map(|(name, map)| Some((name, data(map)?.fd().as_fd().as_raw_fd())))
        .collect();
    let known = std::mem::take(&mut object.maps);
    let code = object.functions.keys().map(|(section, _)| *section).collect();
    let known = known
        .iter()
        .filter_map(|(name, map)| Some((name.as_str(), *maps.get(name.as_str())?, map)));
    object.relocate_maps(known, &code).map_err(|error| unread(&error))?;
    object.relocate_calls(&code).map_err(|error| unread(&error))?;
    object.sanitize_functions(aya::features());
    Ok(object)
}

/// A map's descriptor, of the kinds that the object has. A program that refers to one of another kind cannot be relocated.
const fn data(map: &Map) -> Option<&MapData> {
    match map {
        Map::Array(data)
        | Map::ArrayOfMaps(data)
        | Map::HashMap(data)
        | Map::LruHashMap(data)
        | Map::PerCpuArray(data)
        | Map::PerCpuHashMap(data)
        | Map::RingBuf(data) => Some(data),
        _ => None,
    }
}

fn told(what: &str) -> impl FnOnce(io::Error) -> String {
    move |error| format!("{what}: {error}")
}
