//! Loads the object and holds what came of it.

use aya::{
    Ebpf, EbpfLoader,
    maps::Map,
    programs::{Program, ProgramError, ProgramType},
    sys::{BpfHelper, is_helper_supported},
};
use aya_log::EbpfLogger;
use memtrace_common::{
    config::{self, Config, Join, PidNamespace},
    limits,
    sampling::KNOWN_ROWS,
    young,
};

use super::{Checks, Counters, Hooked, LostFrees, Members, ProbeError, Ring, Tables, kernel_types, multi::Multi};

/// The BPF object, built by `cargo xtask ebpf` and kept in the tree.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../memtrace-ebpf/object/memtrace.bpf.o"
));

/// How to load.
#[expect(
    clippy::struct_excessive_bools,
    reason = "settings that have nothing to do with each other"
)]
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Size of the ring buffer in bytes: a power of two, at least [`limits::RING_BYTES_MIN`].
    pub ring_bytes: u32,
    /// Whether stacks are unwound by tables.
    pub by_tables: bool,
    /// Whether to do without `bpf_loop` even where the kernel has it.
    pub old_loop: bool,
    /// Whether each probe gets a link of its own even where the kernel has links to many places.
    pub single_links: bool,
    /// The PID namespace in which processes are numbered; all zero is the machine's first one.
    pub pid_namespace: PidNamespace,
    /// Which processes join by themselves.
    pub join: Join,
    /// The name of programs that join, with [`Join::Command`].
    pub command: [u8; limits::COMMAND_BYTES],
    /// Whether children are followed.
    pub follow: bool,
    /// Whether probes will be in every process, from its first instruction on.
    pub everywhere: bool,
    /// Whether every allocation and free is sent, also of blocks that die young.
    pub every_event: bool,
    /// Whether allocations may be sampled: that takes 4 MiB of kernel memory.
    pub may_sample: bool,
    /// Whether probes may be taken off and put on again.
    pub may_pause: bool,
    /// Whether it is sampled where JavaScript objects are allocated.
    pub javascript_sites: bool,
    /// Whether the BPF side writes its diagnostics to the log.
    pub diagnostics: bool,
}

/// The loaded programs and maps.
pub struct Probes {
    pub(super) ebpf: Ebpf,
    /// Programs for links to many places, or why there are none.
    pub(super) multi: Result<Multi, String>,
    /// [`Options::may_pause`]
    pub(super) may_pause: bool,
}

impl Probes {
    /// Loads and verifies the programs. Nothing is attached yet.
    ///
    /// # Errors
    /// Missing privileges, a kernel that refuses a program, or an object of another version.
    pub fn load(options: Options) -> Result<Self, ProbeError> {
        let kernel_types::Known {
            return_probes,
            trampoline,
            thread_pointer,
            threads,
            files,
        } = kernel_types::known();
        let processors = counting_processors();
        let rows = |rows: u32| if options.every_event { 1 } else { rows };
        let config = Config {
            // A quarter: the collector then has three more to come back in.
            wakeup_bytes: u64::from(options.ring_bytes / 4),
            max_frames: u32::try_from(limits::MAX_FRAMES).unwrap_or(u32::MAX),
            by_tables: u32::from(options.by_tables),
            join: options.join as u32,
            follow: u32::from(options.follow),
            threads,
            files,
            everywhere: u32::from(options.everywhere),
            young: u32::from(!options.every_event),
            processors: processors - 1,
            javascript_sites: u32::from(options.javascript_sites),
            reserved: 0,
            command: options.command,
            has_loop: u32::from(!options.old_loop && has_loop()),
            return_probes,
            trampoline,
            thread_pointer,
            pid_namespace: options.pid_namespace,
        };
        let log_level = if options.diagnostics {
            aya_log::Level::Trace as u8
        } else {
            0
        };
        let mut ebpf = EbpfLoader::new()
            .map_max_entries("EVENTS", options.ring_bytes)
            .map_max_entries("YOUNG", rows(young::YOUNG_ROWS + 1))
            .map_max_entries("COUNTED", rows(young::COUNTED_ROWS * processors + 1))
            .map_max_entries("KNOWN", if options.may_sample { 2 * KNOWN_ROWS } else { 1 })
            .override_global(config::SYMBOL, &config, true)
            .override_global(aya_log::LEVEL, &log_level, true)
            .load(OBJECT)
            .map_err(ProbeError::load)?;
        let multi = if options.single_links {
            Err("it was not wanted".to_owned())
        } else {
            Multi::load(OBJECT, &ebpf)
        };
        if let Err(why) = &multi {
            log::debug!("each probe gets a link of its own: {why}");
        }
        for (name, program) in ebpf.programs_mut() {
            // Those for functions are loaded one way or the other: verification takes time.
            match program {
                Program::UProbe(_) if multi.is_ok() => {}
                // When it is wanted, because not every kernel takes it.
                Program::PerfEvent(_) => {}
                program => load_program(name, program)?,
            }
        }
        Ok(Self {
            ebpf,
            multi,
            may_pause: options.may_pause,
        })
    }

    /// Whether probes on functions share links.
    ///
    /// # Errors
    /// Why they do not.
    pub fn shares_links(&self) -> Result<(), &str> {
        self.multi.as_ref().map(drop).map_err(String::as_str)
    }

    /// A map; can be taken once.
    pub(super) fn map(&mut self, name: &str) -> Result<Map, ProbeError> {
        self.ebpf.take_map(name).ok_or_else(|| ProbeError::Object {
            what: format!("map {name} left to take"),
        })
    }

    /// Who is traced; can be taken once.
    ///
    /// # Errors
    /// When it was taken before.
    pub fn members(&mut self) -> Result<Members, ProbeError> {
        Members::new([self.map("PROCESSES")?, self.map("INCARNATION")?])
    }

    /// What is known of hooks; can be taken once.
    ///
    /// # Errors
    /// When it was taken before.
    pub fn hooked(&mut self) -> Result<Hooked, ProbeError> {
        Hooked::new(self.map("HOOKED")?)
    }

    /// What came of checks; can be taken once.
    ///
    /// # Errors
    /// When it was taken before.
    pub fn checks(&mut self) -> Result<Checks, ProbeError> {
        Checks::new(self.map("CHECKED")?)
    }

    /// The ring buffer; can be taken once.
    ///
    /// # Errors
    /// When it was taken before, or cannot be mapped into memory.
    pub fn ring(&mut self) -> Result<Ring, ProbeError> {
        Ring::new(self.map("EVENTS")?)
    }

    /// The counters; can be taken once.
    ///
    /// # Errors
    /// When they were taken before.
    pub fn counters(&mut self) -> Result<Counters, ProbeError> {
        Counters::new(self.map("COUNTERS")?)
    }

    /// The frees that found the ring full; can be taken once.
    ///
    /// # Errors
    /// When they were taken before.
    pub fn lost_frees(&mut self) -> Result<LostFrees, ProbeError> {
        let maps = [self.map("LOST_FREES_A")?, self.map("LOST_FREES_B")?];
        LostFrees::new(maps, self.map("LOST_ACTIVE")?)
    }

    /// What stacks are unwound by; can be taken once.
    ///
    /// # Errors
    /// When it was taken before, or the kernel has no memory for it.
    pub fn tables(&mut self) -> Result<Tables, ProbeError> {
        Tables::new([
            self.map("TABLES")?,
            self.map("SPACES")?,
            self.map("CHANGES")?,
            self.map("RECENTS")?,
            self.map("FILES")?,
            self.map("RULES")?,
        ])
    }

    /// The reader of the BPF side's diagnostics, for whoever polls it.
    ///
    /// # Errors
    /// When the object has no log map.
    pub fn diagnostics(&mut self) -> Result<EbpfLogger<&'static dyn log::Log>, ProbeError> {
        EbpfLogger::init(&mut self.ebpf).map_err(|source| ProbeError::Kernel {
            doing: "read the BPF side's diagnostics".into(),
            source: Box::new(source),
        })
    }
}

/// How many processors have slots of their own: a power of two.
fn counting_processors() -> u32 {
    let processors = aya::util::nr_cpus().unwrap_or(1);
    let processors = u32::try_from(processors.next_power_of_two()).unwrap_or(u32::MAX);
    processors.min(limits::COUNTING_PROCESSORS)
}

/// Whether the kernel has `bpf_loop`. A kernel that does not tell is taken for one without: the other way works everywhere.
fn has_loop() -> bool {
    is_helper_supported(ProgramType::KProbe, BpfHelper::BPF_FUNC_loop).unwrap_or(false)
}

/// Loads and verifies a program, to be attached to one place after the other.
pub(super) fn load_program(name: &str, program: &mut Program) -> Result<(), ProbeError> {
    let result = match program {
        Program::UProbe(probe) => probe.load(),
        Program::TracePoint(probe) => probe.load(),
        Program::RawTracePoint(probe) => probe.load(),
        _ => Err(ProgramError::UnexpectedProgramType),
    };
    result.map_err(|source| ProbeError::new(name, source))?;
    if let Ok(info) = program.info() {
        log::debug!(
            "program {name}: {} instructions verified",
            info.verified_instruction_count().unwrap_or(0)
        );
    }
    Ok(())
}
