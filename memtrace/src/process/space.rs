//! The address space of a target: which code lies where.

use std::{fs::File, hash::Hasher as _, io, ops::Range, sync::Arc};

use memtrace_common::event::Image;
use rustc_hash::FxHasher;

use super::{
    Location, Modules, files,
    maps::{self, Mapping},
    module::Module,
};
use crate::clock::now_ns;

/// Bytes of a page, of which the kernel maps whole ones.
const PAGE: u64 = 4096;

/// Executable memory from one mapping.
#[derive(Clone, Copy, Debug)]
pub struct Code {
    /// First address (avma).
    pub start: u64,
    /// End (avma).
    pub end: u64,
    /// Offset of the first byte in the file.
    pub offset: u64,
    /// Index of what is mapped, in [`AddressSpace::modules`].
    pub module: u32,
    /// Whether that is a file.
    has_file: bool,
}

/// The mappings of one process.
#[derive(Clone, Debug)]
pub struct AddressSpace {
    /// The process, or one of its threads.
    pid: u32,
    /// Root directory of the process.
    root: Option<Arc<File>>,
    code: Vec<Code>,
    modules: Modules,
    heap_end: Option<u64>,
    outdated: bool,
    /// When the mappings were read last, in nanoseconds of kernel time.
    read_ns: u64,
    /// A hash of the text that was read last, to see that nothing has changed.
    text: u64,
}

impl AddressSpace {
    /// Reads the mappings of a process and opens the files of its code.
    ///
    /// # Errors
    /// When the process is gone or may not be looked at.
    pub fn read(pid: u32) -> io::Result<Self> {
        Self::read_into(pid, &Modules::default())
    }

    /// The same, with modules that are shared with other processes.
    ///
    /// # Errors
    /// As [`AddressSpace::read`].
    pub fn read_into(pid: u32, modules: &Modules) -> io::Result<Self> {
        let mut space = Self::unread(pid, modules);
        space.root = files::open_root(pid).ok().map(Arc::new);
        space.refresh()?;
        Ok(space)
    }

    /// The mappings of a process that is gone already, or of which nothing is known yet: none.
    pub fn unread(pid: u32, modules: &Modules) -> Self {
        Self {
            pid,
            root: None,
            code: Vec::new(),
            modules: modules.clone(),
            heap_end: None,
            outdated: false,
            read_ns: 0,
            text: 0,
        }
    }

    /// The mappings of a process that was forked from this one.
    #[must_use]
    pub fn forked(&self, child: u32) -> Self {
        Self {
            pid: child,
            ..self.clone()
        }
    }

    /// Reads the mappings again; `true` when they have changed. When the process is gone, those it had are kept.
    ///
    /// # Errors
    /// As [`AddressSpace::read`].
    pub fn refresh(&mut self) -> io::Result<bool> {
        let read_ns = now_ns();
        let text = maps::read(self.pid)?;
        self.read_ns = read_ns;
        Ok(self.read_again(&text))
    }

    /// Takes mappings that the caller has just read ([`maps::read`]); `true` when they have changed.
    pub fn read_again(&mut self, text: &str) -> bool {
        self.outdated = false;
        let mut hasher = FxHasher::default();
        hasher.write(text.as_bytes());
        let hash = hasher.finish();
        if hash == self.text {
            return false;
        }
        if self.root.is_none() {
            self.root = files::open_root(self.pid).ok().map(Arc::new);
        }
        self.take(text);
        self.text = hash;
        true
    }

    fn take(&mut self, text: &str) {
        self.code.clear();
        self.heap_end = None;
        for mapping in maps::parse(text) {
            if mapping.name == "[heap]" {
                self.heap_end = Some(mapping.end);
            }
            if mapping.executable && mapping.name != "[vsyscall]" {
                let (module, has_file) = self.modules.intern(self.pid, self.root.as_ref(), &mapping);
                let Mapping { start, end, offset, .. } = mapping;
                self.code.push(Code {
                    start,
                    end,
                    offset,
                    module,
                    has_file,
                });
            }
        }
    }

    /// Takes note of code that the kernel has told of, if its file is known from another process: this one may be gone before its
    /// mappings are read. `false` when the file is not known. The device is as the kernel has it inside.
    pub fn note(&mut self, image: &Image) -> bool {
        let (major, minor) = (image.device >> 20, image.device & 0xf_ffff);
        let Some((module, known)) = self.modules.of_file(&format!("{major:02x}:{minor:02x}"), image.inode) else {
            return false;
        };
        let Some((first, offset, size)) = placed(image, &known) else {
            return false;
        };
        let into = first % PAGE;
        let start = first - into;
        let code = Code {
            start,
            end: start.saturating_add((into + size).next_multiple_of(PAGE)),
            offset: offset.saturating_sub(into),
            module,
            has_file: true,
        };
        self.code.retain(|old| old.end <= code.start || code.end <= old.start);
        let at = self.code.partition_point(|old| old.start < code.start);
        self.code.insert(at, code);
        true
    }

    /// From now on reads the mappings through another thread: `/proc` shows none for a thread that has ended.
    pub const fn look_through(&mut self, tid: u32) {
        self.pid = tid;
    }

    /// Says that code was mapped since the last reading.
    pub const fn outdated(&mut self) {
        self.outdated = true;
    }

    /// Where an address (avma) belongs, or `None` when no known code is there.
    pub fn locate(&mut self, address: u64) -> Option<Location> {
        if self.outdated
            && let Err(error) = self.refresh()
        {
            self.outdated = false;
            log::debug!("the mappings of process {} stay as they were: {error}", self.pid);
        }
        let after = self.code.partition_point(|code| code.start <= address);
        let code = self.code[..after].last().filter(|code| address < code.end)?;
        let address = if code.has_file {
            address - code.start + code.offset
        } else {
            address
        };
        Some(Location {
            module: code.module,
            address,
        })
    }

    /// Kernel monotonic time in nanoseconds right before the mappings were read.
    pub const fn read_ns(&self) -> u64 {
        self.read_ns
    }

    /// The code that is mapped now, in the order of addresses.
    pub fn code(&self) -> &[Code] {
        &self.code
    }

    /// All modules so far, those of other processes included; a location refers to them by index.
    pub fn modules(&self) -> Vec<Arc<Module>> {
        self.modules.all()
    }

    /// Whether the mappings may have changed since they were read.
    pub const fn is_outdated(&self) -> bool {
        self.outdated
    }

    /// Indices of the modules that are mapped now.
    pub fn mapped(&self) -> impl Iterator<Item = u32> {
        let mut all: Vec<u32> = self.code.iter().map(|code| code.module).collect();
        all.sort_unstable();
        all.dedup();
        all.into_iter()
    }

    /// Where the heap ended when the mappings were read: the program break, when there is one.
    pub const fn heap_end(&self) -> Option<u64> {
        self.heap_end
    }

    /// The dynamic loader, right after `exec`: besides the executable it is the only file there.
    pub fn interpreter(&self) -> Option<Interpreter> {
        let modules = self.modules.all();
        let name = |code: &Code| &modules[code.module as usize].name;
        let executable = self.code.iter().find(|code| name(code).starts_with('/'))?;
        let mut loader = self
            .code
            .iter()
            .filter(|code| code.module != executable.module && name(code).starts_with('/'));
        let first = loader.next()?;
        let end = loader
            .filter(|code| code.module == first.module)
            .map(|code| code.end)
            .max()
            .unwrap_or(first.end);
        Some(Interpreter {
            name: name(first).clone(),
            range: first.start..end,
        })
    }
}

/// First address (avma), offset and size of what the kernel has told of.
fn placed(image: &Image, module: &Module) -> Option<(u64, u64, u64)> {
    if image.size != 0 {
        return Some((image.address, image.offset, image.size));
    }
    let code = module.first_code()?;
    let first = match image.offset {
        Image::FROM_BIAS => image.address.wrapping_add(code.svma),
        // By its first instruction, whose place in its page is that of the segment.
        _ => image.address,
    };
    Some((first, code.offset, code.size))
}

/// A dynamic loader (`PT_INTERP`).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Interpreter {
    /// Path as the target sees it.
    pub name: String,
    /// Addresses (avma) of its code.
    pub range: Range<u64>,
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn this_process_finds_its_own_code_by_file_offset() {
        let mut space = AddressSpace::read(std::process::id()).unwrap();
        let own: fn() = this_process_finds_its_own_code_by_file_offset;
        let address = own as usize as u64;
        let location = space.locate(address).unwrap();
        let module = &space.modules()[location.module as usize];
        assert_eq!(module.name, std::env::current_exe().unwrap().to_str().unwrap());
        assert!(module.has_file() && location.address < 1 << 32, "{location:?}");
        assert_eq!(space.locate(0), None);
    }

    #[test]
    fn the_vdso_is_kept_as_an_elf_image() {
        let space = AddressSpace::read(std::process::id()).unwrap();
        let modules = space.modules();
        let vdso = modules.iter().find(|module| module.name == "[vdso]").unwrap();
        assert!(fs::read(vdso.path().unwrap()).unwrap().starts_with(b"\x7fELF"));
    }

    #[test]
    fn files_are_held_up_to_a_limit_and_named_memory_is_one_module() {
        let mut space = AddressSpace::unread(std::process::id(), &Modules::holding(1));
        space.root = files::open_root(space.pid).ok().map(Arc::new);
        let held = |space: &AddressSpace| space.modules().iter().filter(|module| module.has_file()).count();
        // The same file under other names is another module.
        let exe = fs::canonicalize("/proc/self/exe").unwrap();
        let inode = std::os::unix::fs::MetadataExt::ino(&fs::metadata(&exe).unwrap());
        let exe = exe.to_str().unwrap();
        let line = |at: u64, inode: u64, name: &str| format!("{at:x}000-{at:x}fff r-xp 0 0:{at:x} {inode} {name}\n");
        let text = (1..4).map(|at| line(at, inode, exe)).collect::<String>();
        space.take(&text);
        assert_eq!(held(&space), 1);
        let modules = space.modules().len();
        let named = (1..100).map(|at| line(at, 0, &format!("[anon:{at}]")).replace(&format!("0:{at:x}"), "0:0"));
        space.take(&named.collect::<String>());
        assert!(space.modules().len() <= modules + 1, "{}", space.modules().len());
    }

    #[test]
    fn a_process_that_is_not_there_is_an_error() {
        assert!(AddressSpace::read(u32::MAX - 7).is_err());
    }
}
