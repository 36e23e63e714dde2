//! The address space of a target: which code lies where.

use std::{
    fs::{self, File},
    io,
    ops::Range,
    sync::Arc,
};

use rustc_hash::FxHashMap;

use super::{
    Location, descriptors, files,
    maps::{self, Mapping},
    module::Module,
};
use crate::clock::now_ns;

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
}

/// What tells one module from another: device, inode and name.
type Key = (String, u64, String);

/// The mappings of one process. Modules are only added, and stay open, so that addresses seen once can be named when
/// the process has unmapped them, or is gone.
#[derive(Debug)]
pub struct AddressSpace {
    /// The process, or one of its threads.
    pid: u32,
    /// Root directory of the process.
    root: Option<Arc<File>>,
    code: Vec<Code>,
    modules: Vec<Arc<Module>>,
    by_key: FxHashMap<Key, u32>,
    /// How many more modules may hold a file.
    may_hold: usize,
    heap_end: Option<u64>,
    outdated: bool,
    /// When the mappings were read last, in nanoseconds of kernel time.
    read_ns: u64,
    /// The text that was read last, to see that nothing has changed.
    text: String,
}

impl AddressSpace {
    /// Reads the mappings of a process and opens the files of its code.
    ///
    /// # Errors
    /// When the process is gone or may not be looked at.
    pub fn read(pid: u32) -> io::Result<Self> {
        let mut space = Self {
            pid,
            root: files::open_root(pid).ok().map(Arc::new),
            code: Vec::new(),
            modules: Vec::new(),
            by_key: FxHashMap::default(),
            may_hold: descriptors::most_held(),
            heap_end: None,
            outdated: false,
            read_ns: 0,
            text: String::new(),
        };
        space.refresh()?;
        Ok(space)
    }

    /// Reads the mappings again; `true` when they have changed. When the process is gone, those it had are kept.
    ///
    /// # Errors
    /// As [`AddressSpace::read`].
    pub fn refresh(&mut self) -> io::Result<bool> {
        let read_ns = now_ns();
        // Paths need not be UTF-8; a replaced character only shows in a name.
        let bytes = fs::read(format!("/proc/{}/maps", self.pid))?;
        let text = String::from_utf8_lossy(&bytes);
        self.outdated = false;
        if text.is_empty() {
            return Err(io::Error::other("the process has no memory any more"));
        }
        self.read_ns = read_ns;
        if *text == self.text {
            return Ok(false);
        }
        let text = text.into_owned();
        self.take(&text);
        self.text = text;
        Ok(true)
    }

    fn take(&mut self, text: &str) {
        self.code.clear();
        self.heap_end = None;
        for mapping in maps::parse(text) {
            if mapping.name == "[heap]" {
                self.heap_end = Some(mapping.end);
            }
            if mapping.executable && mapping.name != "[vsyscall]" {
                let module = self.intern(&mapping);
                let Mapping { start, end, offset, .. } = mapping;
                self.code.push(Code {
                    start,
                    end,
                    offset,
                    module,
                });
            }
        }
    }

    fn intern(&mut self, mapping: &Mapping<'_>) -> u32 {
        let name = mapping.memory_name().to_owned();
        let key = (mapping.device.to_owned(), mapping.inode, name);
        if let Some(&module) = self.by_key.get(&key) {
            return module;
        }
        let module = u32::try_from(self.modules.len()).unwrap_or(u32::MAX);
        let opened = Module::open(self.pid, self.root.as_ref(), mapping, self.may_hold > 0);
        self.may_hold -= usize::from(opened.has_file());
        self.modules.push(Arc::new(opened));
        self.by_key.insert(key, module);
        module
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
        let file = self.modules[code.module as usize].has_file();
        let address = if file {
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

    /// All modules so far; a location refers to them by index.
    pub fn modules(&self) -> &[Arc<Module>] {
        &self.modules
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
        let name = |code: &Code| &self.modules[code.module as usize].name;
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
        let vdso = space.modules().iter().find(|module| module.name == "[vdso]").unwrap();
        assert!(fs::read(vdso.path().unwrap()).unwrap().starts_with(b"\x7fELF"));
    }

    #[test]
    fn files_are_held_up_to_a_limit_and_named_memory_is_one_module() {
        let mut space = AddressSpace::read(std::process::id()).unwrap();
        space.may_hold = 1;
        let held = |space: &AddressSpace| space.modules.iter().filter(|module| module.has_file()).count();
        let before = held(&space);
        // The same file under other names is another module.
        let exe = fs::canonicalize("/proc/self/exe").unwrap();
        let inode = std::os::unix::fs::MetadataExt::ino(&fs::metadata(&exe).unwrap());
        let exe = exe.to_str().unwrap();
        let line = |at: u64, inode: u64, name: &str| format!("{at:x}000-{at:x}fff r-xp 0 0:{at:x} {inode} {name}\n");
        let text = (1..4).map(|at| line(at, inode, exe)).collect::<String>();
        space.take(&text);
        assert_eq!(held(&space), before + 1);
        let modules = space.modules.len();
        let named = (1..100).map(|at| line(at, 0, &format!("[anon:{at}]")).replace(&format!("0:{at:x}"), "0:0"));
        space.take(&named.collect::<String>());
        assert!(space.modules.len() <= modules + 1, "{}", space.modules.len());
    }

    #[test]
    fn a_process_that_is_not_there_is_an_error() {
        assert!(AddressSpace::read(u32::MAX - 7).is_err());
    }
}
