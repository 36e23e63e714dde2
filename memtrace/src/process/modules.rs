//! The files that code is mapped from, each once for all processes.

use std::{
    fs::File,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rustc_hash::FxHashMap;

use super::{descriptors, maps::Mapping, module::Module};

/// What tells one module from another: device, inode and name.
type Key = (String, u64, String);

/// Modules are only added, and stay open, so that addresses seen once can be named when the processes have unmapped them, or
/// are gone. A number means the same module for the whole observation. Clones share them.
#[derive(Clone, Debug)]
pub struct Modules(Arc<Mutex<Store>>);

#[derive(Debug)]
struct Store {
    all: Vec<Arc<Module>>,
    by_key: FxHashMap<Key, u32>,
    /// By device and inode alone: some module that is the file.
    by_file: FxHashMap<(String, u64), u32>,
    /// How many more modules may hold a file.
    may_hold: usize,
}

impl Default for Modules {
    fn default() -> Self {
        Self::holding(descriptors::most_held())
    }
}

impl Modules {
    /// A store of which so many modules may hold a file.
    pub(super) fn holding(may_hold: usize) -> Self {
        Self(Arc::new(Mutex::new(Store {
            all: Vec::new(),
            by_key: FxHashMap::default(),
            by_file: FxHashMap::default(),
            may_hold,
        })))
    }

    /// All modules so far; a location refers to them by index.
    pub fn all(&self) -> Vec<Arc<Module>> {
        self.store().all.clone()
    }

    /// One of them.
    pub fn get(&self, index: u32) -> Option<Arc<Module>> {
        self.store().all.get(index as usize).cloned()
    }

    /// The number of what is mapped in a process, opened when it is new.
    pub(super) fn intern(&self, pid: u32, root: Option<&Arc<File>>, mapping: &Mapping<'_>) -> (u32, bool) {
        let name = mapping.memory_name().to_owned();
        let key = (mapping.device.to_owned(), mapping.inode, name);
        let mut store = self.store();
        if let Some(&index) = store.by_key.get(&key) {
            return (index, store.all[index as usize].has_file());
        }
        let index = u32::try_from(store.all.len()).unwrap_or(u32::MAX);
        let opened = Module::open(pid, root, mapping, store.may_hold > 0);
        let has_file = opened.has_file();
        store.may_hold -= usize::from(has_file);
        store.all.push(Arc::new(opened));
        if has_file {
            store.by_file.insert((mapping.device.to_owned(), mapping.inode), index);
        }
        store.by_key.insert(key, index);
        (index, has_file)
    }

    /// The number of what is no file, by its name; it is made when it is new.
    pub fn intern_name(&self, name: &str) -> u32 {
        let key = (String::new(), 0, name.to_owned());
        let mut store = self.store();
        if let Some(&index) = store.by_key.get(&key) {
            return index;
        }
        let index = u32::try_from(store.all.len()).unwrap_or(u32::MAX);
        store.all.push(Arc::new(Module::without_file(name.to_owned())));
        store.by_key.insert(key, index);
        index
    }

    /// A module that is open, by the device and inode of its file.
    pub(super) fn of_file(&self, device: &str, inode: u64) -> Option<(u32, Arc<Module>)> {
        let store = self.store();
        let index = *store.by_file.get(&(device.to_owned(), inode))?;
        Some((index, Arc::clone(store.all.get(index as usize)?)))
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
