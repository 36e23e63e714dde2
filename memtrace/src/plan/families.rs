//! What a symbol stands for, when it is a function that is hooked.
//!
//! Most allocators offer the C names behind a prefix of their own, so a name is a prefix and a row of the table. What C++ and Rust
//! call is told by the grammar of their names.

use std::{borrow::Cow, sync::LazyLock};

use memtrace_common::{Op, Shape};
use rustc_hash::FxHashMap;

use super::{mangled, table::FAMILIES};

/// Which functions belong together.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Group {
    /// The C names without a prefix: whose they are is found out otherwise.
    C,
    /// `operator new` and `operator delete`.
    Cpp,
    /// What compilers of Rust call.
    Rust,
    /// Those of an allocator, behind this prefix.
    Named(&'static str, &'static str),
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Hook {
    pub(super) group: Group,
    pub(super) op: Op,
    pub(super) shape: Shape,
    /// Whether exceptions may go through it, which a return probe would break.
    pub(super) throws: bool,
    /// Whether it is often no more than a call of another function, so that it is worth to prove that.
    pub(super) passes_on: bool,
    /// The name's place among the names of one address: the names that people use come first.
    pub(super) rank: u16,
}

/// Everything that stands in the table, by whole name.
static NAMES: LazyLock<FxHashMap<Cow<'static, str>, Hook>> = LazyLock::new(|| {
    let mut names = FxHashMap::default();
    for &(prefix, family, tables) in FAMILIES {
        // One allocator whatever is behind the prefix.
        let group = match prefix {
            "" => Group::C,
            "mi_heap_" | "mi_theap_" => Group::Named("mimalloc", "mi_"),
            _ => Group::Named(family, prefix),
        };
        for &(name, op, shape) in tables.iter().copied().flatten() {
            let rank = u16::try_from(names.len()).unwrap_or(u16::MAX);
            let cpp = matches!(op, Op::New | Op::NewArray) || name.starts_with("new_");
            names.insert(
                Cow::Owned(format!("{prefix}{name}")),
                Hook {
                    group,
                    op,
                    shape,
                    throws: cpp && !name.ends_with("nothrow"),
                    passes_on: cpp
                        || matches!(
                            op,
                            Op::Delete | Op::DeleteArray | Op::RustAlloc | Op::RustRealloc | Op::RustDealloc
                        ),
                    rank,
                },
            );
        }
    }
    names
});

/// What a symbol stands for, when it is a function that is hooked.
pub(super) fn hook(symbol: &str) -> Option<Hook> {
    if let Some(&hook) = NAMES.get(symbol) {
        return Some(hook);
    }
    // Clang's -fsanitize=alloc-token: "__alloc_token_3_malloc".
    if let Some(rest) = symbol.strip_prefix("__alloc_token_") {
        let rest = rest
            .trim_start_matches(|c: char| c.is_ascii_digit())
            .strip_prefix('_')?;
        return (!rest.starts_with("__alloc_token_")).then(|| hook(rest))?;
    }
    mangled::hook(symbol)
}

/// Names of the families, for people.
pub(super) fn known() -> String {
    let mut names: Vec<&str> = vec!["malloc and free", "operator new and delete", "__rust_alloc"];
    for (_, name, _) in FAMILIES {
        if !name.is_empty() && !names.contains(name) {
            names.push(name);
        }
    }
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use memtrace_common::{Cookie, request};

    use super::*;

    fn get(symbol: &str) -> Hook {
        hook(symbol).unwrap_or_else(|| panic!("{symbol} is not known"))
    }

    #[test]
    fn arguments_are_where_the_headers_say() {
        // Of a call with these arguments: the size and the block.
        let arguments = [10, 20, 30, 40, 50, 60, 0, 0];
        for (symbol, size, old) in [
            ("malloc", 10, 0),
            ("calloc", 200, 0),
            ("realloc", 20, 10),
            ("reallocarray", 600, 10),
            ("free", 0, 10),
            ("posix_memalign", 30, 0),
            ("aligned_alloc", 20, 0),
            ("memalign", 20, 0),
            ("free_aligned_sized", 0, 10),
            ("_rjem_mallocx", 10, 0),
            ("je_rallocx", 20, 10),
            ("xallocx", 20, 10),
            ("_rjem_sdallocx", 0, 10),
            ("mi_malloc", 10, 0),
            ("mi_heap_malloc", 20, 0),
            ("mi_heap_calloc_aligned_at", 600, 0),
            ("mi_theap_realloc", 30, 20),
            ("mi_heap_recalloc", 1200, 20),
            ("mi_new_n", 200, 0),
            ("mi_heap_alloc_new", 20, 0),
            ("mi_aligned_alloc", 20, 0),
            ("mi_malloc_aligned", 10, 0),
            ("mi_posix_memalign", 30, 0),
            ("mi_expand", 20, 10),
            ("mi_free_size", 0, 10),
            ("tc_new_aligned", 10, 0),
            ("tc_deletearray_sized", 0, 10),
            ("tc_memalign", 20, 0),
            ("TCMallocInternalReallocArray", 600, 10),
            ("TCMallocInternalAlignedAlloc", 20, 0),
            ("TCMallocInternalNewArrayAlignedHotColdNothrow", 10, 0),
            ("TCMallocInternalDeleteSizedAligned", 0, 10),
            ("__libc_memalign", 20, 0),
            ("sn_rust_alloc", 20, 0),
            ("sn_rust_realloc", 40, 10),
            ("rpaligned_realloc", 30, 10),
            ("rpcalloc", 200, 0),
            ("__rust_alloc", 10, 0),
            ("__rust_realloc", 40, 10),
            ("__rust_dealloc", 0, 10),
            ("_Znwm", 10, 0),
            ("__alloc_token_12__Znwm", 10, 0),
            ("__alloc_token_0_calloc", 200, 0),
            ("__alloc_token_0___size_returning_new_aligned", 10, 0),
        ] {
            let hook = get(symbol);
            let read = request::read(Cookie::of_function(hook.op, 0, hook.shape), &arguments);
            assert_eq!((read.size, read.old), (size, old), "{symbol}");
        }
        assert_eq!(get("tc_posix_memalign").shape.out, Some(0));
    }

    #[test]
    fn exceptions_go_through_what_may_throw() {
        for symbol in [
            "mi_new",
            "mi_new_realloc",
            "mi_heap_alloc_new_n",
            "tc_newarray",
            "TCMallocInternalNewAligned",
        ] {
            assert!(get(symbol).throws, "{symbol}");
        }
        for symbol in [
            "malloc",
            "mi_new_nothrow",
            "tc_new_aligned_nothrow",
            "TCMallocInternalNewNothrow",
            "tc_delete",
        ] {
            assert!(!get(symbol).throws, "{symbol}");
        }
    }

    #[test]
    fn every_operation_fits_its_shape() {
        for (name, hook) in NAMES.iter() {
            let shape = hook.shape;
            assert_eq!(
                hook.op.is_free() || hook.op.is_realloc() || hook.op.is_resize(),
                shape.old.is_some(),
                "{name}"
            );
            assert_eq!(hook.op.is_free(), shape.size.is_none(), "{name}");
        }
    }

    #[test]
    fn other_names_are_not_known() {
        for symbol in [
            "",
            "mallocs",
            "xmalloc",
            "mi_",
            "mi_heap_free",
            "_Zn",
            "__alloc_token_",
            "__alloc_token_1_",
            "TCMallocInternal",
            "__alloc_token_1___alloc_token_1_malloc",
            "rp",
            "g_malloc",
            "tc_version",
        ] {
            assert_eq!(hook(symbol), None, "{symbol}");
        }
        assert!(known().contains("mimalloc"));
    }
}
