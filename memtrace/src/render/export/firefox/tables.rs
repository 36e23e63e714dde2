//! The tables that all threads of a file share.

use serde::Serialize;

use crate::{
    profile::{Profile, Site, modules::Named},
    render::{
        export::{
            level::{Level, Table, levels, source},
            tree::Tree,
        },
        label,
    },
};

/// Where something is missing in a column of numbers.
const NONE: i64 = -1;

/// A resource that is a library.
const LIBRARY: u32 = 1;

/// The tables while sites are added.
pub(super) struct Tables<'a> {
    profile: &'a Profile,
    strings: Table<String>,
    /// Source files, by the numbers of their names.
    sources: Table<usize>,
    /// Modules, by the numbers of their names.
    resources: Table<usize>,
    functions: Table<Function>,
    /// Levels with the number of calls that they are inlined into.
    levels: Table<(Level<'a>, u32)>,
    frames: FrameTable,
    tree: Tree,
}

#[derive(Clone, Copy, Eq, Hash, PartialEq)]
struct Function {
    name: usize,
    source: Option<usize>,
    resource: Option<usize>,
}

impl<'a> Tables<'a> {
    pub(super) fn new(profile: &'a Profile) -> Self {
        Self {
            profile,
            strings: Table::new(),
            sources: Table::new(),
            resources: Table::new(),
            functions: Table::new(),
            levels: Table::new(),
            frames: FrameTable::default(),
            tree: Tree::default(),
        }
    }

    /// The number of a site's stack.
    pub(super) fn stack(&mut self, site: &Site) -> Option<usize> {
        let mut depth = 0;
        let mut keys = Vec::new();
        for level in levels(self.profile, site) {
            let inlined = level.frame(self.profile).is_some_and(|frame| frame.inlined);
            depth = if inlined { depth + 1 } else { 0 };
            keys.push(self.frame(level, depth));
        }
        self.tree.path(keys)
    }

    fn frame(&mut self, level: Level<'a>, depth: u32) -> usize {
        let (number, new) = self.levels.add((level, depth));
        if new {
            let shown = level.shown(self.profile);
            let frame = level.frame(self.profile);
            let name = self.strings.number(shown.name);
            let source = frame.and_then(source).map(|file| {
                let name = self.strings.number(file);
                self.sources.number(name)
            });
            let resource = frame.map(|frame| {
                let name = self.strings.number(label::module(frame));
                self.resources.number(name)
            });
            let function = self.functions.number(Function { name, source, resource });
            // Readers may keep addresses in 32 bits.
            let address = frame.and_then(|frame| i32::try_from(frame.offset).ok());
            self.frames.add(address, depth, function, shown.line);
        }
        number
    }

    /// The modules, in the order of the resources.
    pub(super) fn libs(&self) -> Vec<Lib> {
        let names = self.resources.all().iter().map(|&name| &self.strings.all()[name]);
        names.map(|name| Lib::new(name, self.profile.module(name))).collect()
    }

    /// The tables as they are written.
    pub(super) fn shared(&self) -> Shared<'_> {
        let (functions, resources) = (self.functions.all(), self.resources.all());
        let nodes = self.tree.nodes();
        let number = |number: Option<usize>| number.map_or(NONE, |number| i64::try_from(number).unwrap_or(NONE));
        Shared {
            string_array: self.strings.all(),
            sources: Sources {
                length: self.sources.all().len(),
                uuid: vec![None; self.sources.all().len()],
                filename: self.sources.all(),
            },
            stack_table: StackTable {
                length: nodes.len(),
                frame: nodes.iter().map(|node| node.key).collect(),
                prefix: nodes.iter().map(|node| node.parent).collect(),
            },
            frame_table: &self.frames,
            func_table: FuncTable {
                length: functions.len(),
                name: functions.iter().map(|function| function.name).collect(),
                is_js: vec![false; functions.len()],
                relevant_for_js: vec![false; functions.len()],
                resource: functions.iter().map(|function| number(function.resource)).collect(),
                source: functions.iter().map(|function| function.source).collect(),
                line_number: vec![None; functions.len()],
                column_number: vec![None; functions.len()],
            },
            resource_table: ResourceTable {
                length: resources.len(),
                lib: (0..resources.len()).collect(),
                name: resources,
                host: vec![None; resources.len()],
                kind: vec![LIBRARY; resources.len()],
            },
            native_symbols: NativeSymbols::default(),
        }
    }
}

/// A module.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Lib {
    arch: &'static str,
    name: String,
    path: String,
    debug_name: String,
    debug_path: String,
    breakpad_id: String,
    /// The build id.
    code_id: Option<String>,
}

impl Lib {
    fn new(name: &str, module: Named<'_>) -> Self {
        let path = module.path.map_or_else(
            || name.to_owned(),
            |path| crate::render::escape::text(path).into_owned(),
        );
        Self {
            arch: "",
            name: name.to_owned(),
            debug_name: name.to_owned(),
            debug_path: path.clone(),
            path,
            breakpad_id: String::new(),
            code_id: module.build_id.map(str::to_owned),
        }
    }
}

/// All tables, as readers want them.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Shared<'a> {
    string_array: &'a [String],
    sources: Sources<'a>,
    stack_table: StackTable,
    frame_table: &'a FrameTable,
    func_table: FuncTable,
    resource_table: ResourceTable<'a>,
    native_symbols: NativeSymbols,
}

#[derive(Serialize)]
struct Sources<'a> {
    length: usize,
    uuid: Vec<Option<&'a str>>,
    filename: &'a [usize],
}

#[derive(Serialize)]
struct StackTable {
    length: usize,
    frame: Vec<usize>,
    prefix: Vec<Option<usize>>,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct FrameTable {
    length: usize,
    address: Vec<i32>,
    inline_depth: Vec<u32>,
    category: Vec<Option<usize>>,
    subcategory: Vec<Option<usize>>,
    func: Vec<usize>,
    native_symbol: Vec<Option<usize>>,
    #[serde(rename = "innerWindowID")]
    inner_window_id: Vec<Option<u64>>,
    line: Vec<Option<u32>>,
    column: Vec<Option<u32>>,
}

impl FrameTable {
    fn add(&mut self, address: Option<i32>, depth: u32, function: usize, line: Option<u32>) {
        self.length += 1;
        self.address.push(address.unwrap_or(-1));
        self.inline_depth.push(depth);
        self.category.push(Some(0));
        self.subcategory.push(Some(0));
        self.func.push(function);
        self.native_symbol.push(None);
        self.inner_window_id.push(None);
        self.line.push(line);
        self.column.push(None);
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FuncTable {
    length: usize,
    name: Vec<usize>,
    #[serde(rename = "isJS")]
    is_js: Vec<bool>,
    #[serde(rename = "relevantForJS")]
    relevant_for_js: Vec<bool>,
    resource: Vec<i64>,
    source: Vec<Option<usize>>,
    line_number: Vec<Option<u32>>,
    column_number: Vec<Option<u32>>,
}

#[derive(Serialize)]
struct ResourceTable<'a> {
    length: usize,
    lib: Vec<usize>,
    name: &'a [usize],
    host: Vec<Option<usize>>,
    #[serde(rename = "type")]
    kind: Vec<u32>,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct NativeSymbols {
    length: usize,
    lib_index: [usize; 0],
    address: [u64; 0],
    name: [usize; 0],
    function_size: [u64; 0],
}
