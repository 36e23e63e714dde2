//! Names that compilers make: the operators of C++, the allocation functions of Rust, and Google's forms of both.

use memtrace_common::{Op, Shape};

use super::{
    families::{Group, Hook},
    table::{block, resize, size},
};

/// What a compiler's name stands for.
pub(super) fn hook(symbol: &str) -> Option<Hook> {
    operator(symbol)
        .or_else(|| rust(symbol))
        .or_else(|| camel(symbol))
        .or_else(|| size_returning(symbol))
}

/// Where their ranks begin.
const MANGLED: u16 = u16::MAX / 2;

const fn made(group: Group, op: Op, shape: Shape, throws: bool) -> Hook {
    Hook {
        group,
        op,
        shape,
        throws,
        passes_on: true,
        // After all names of the table; `new` before `new[]` where both are one function.
        rank: MANGLED + op as u16,
    }
}

/// `operator new` and `operator delete` (Itanium C++ ABI, 5.1.4: `nw`, `na`, `dl`, `da`), with the parameters that replaceable
/// ones can have, and tcmalloc's hint.
fn operator(symbol: &str) -> Option<Hook> {
    let (op, parameters) = match symbol.split_at_checked(5)? {
        ("_Znwm", rest) => (Op::New, rest),
        ("_Znam", rest) => (Op::NewArray, rest),
        ("_ZdlP", rest) => (Op::Delete, rest.strip_prefix('v')?),
        ("_ZdaP", rest) => (Op::DeleteArray, rest.strip_prefix('v')?),
        _ => return None,
    };
    let skip = |text, part| str::strip_prefix(text, part).unwrap_or(text);
    let parameters = if op.is_free() {
        skip(parameters, "m")
    } else {
        parameters
    };
    let parameters = skip(parameters, "St11align_val_t");
    let nothrow = parameters.strip_prefix("RKSt9nothrow_t");
    let parameters = skip(nothrow.unwrap_or(parameters), "12__hot_cold_t");
    if !parameters.is_empty() {
        return None;
    }
    let shape = if op.is_free() { block(0) } else { size(0) };
    Some(made(Group::Cpp, op, shape, !op.is_free() && nothrow.is_none()))
}

/// What compiled Rust calls: plain, or in the crate that the compiler makes up (`_RNvCsHASH_7___rustc12___rust_alloc`).
fn rust(symbol: &str) -> Option<Hook> {
    let name = match symbol.strip_prefix("_RNvC") {
        Some(path) => {
            let (_, name) = path.split_once("7___rustc")?;
            let digits = name.find(|c: char| !c.is_ascii_digit())?;
            let (length, name) = name.split_at_checked(digits)?;
            // A separator, because the name begins with an underscore.
            let name = name.strip_prefix('_')?;
            (length.parse() == Ok(name.len())).then_some(name)?
        }
        None => symbol,
    };
    let (op, shape) = match name {
        "__rust_alloc" | "__rust_alloc_zeroed" => (Op::RustAlloc, size(0)),
        "__rust_realloc" => (Op::RustRealloc, resize(0, 3)),
        "__rust_dealloc" => (Op::RustDealloc, block(0)),
        _ => return None,
    };
    Some(made(Group::Rust, op, shape, false))
}

/// `TCMallocInternalNewArrayAlignedNothrow` and its relatives.
fn camel(symbol: &str) -> Option<Hook> {
    let name = symbol.strip_prefix("TCMallocInternal")?;
    let (new, rest) = match name.strip_prefix("New") {
        Some(rest) => (true, rest),
        None => (false, name.strip_prefix("Delete")?),
    };
    let (array, mut rest) = rest.strip_prefix("Array").map_or((false, rest), |rest| (true, rest));
    let mut throws = new;
    while !rest.is_empty() {
        let part = ["Sized", "Aligned", "HotCold", "Nothrow", "_nothrow"]
            .into_iter()
            .find(|part| rest.starts_with(part))?;
        throws &= !part.ends_with("othrow");
        rest = rest.strip_prefix(part)?;
    }
    let op = match (new, array) {
        (true, false) => Op::New,
        (true, true) => Op::NewArray,
        (false, false) => Op::Delete,
        (false, true) => Op::DeleteArray,
    };
    let shape = if new { size(0) } else { block(0) };
    Some(made(Group::Named("tcmalloc", "TCMallocInternal"), op, shape, throws))
}

/// `__size_returning_new` of P0901 as tcmalloc has it: the block is the first half of what is returned.
fn size_returning(symbol: &str) -> Option<Hook> {
    let form = symbol
        .strip_prefix("__size_returning_new")
        .or_else(|| symbol.strip_prefix("tcmalloc_size_returning_operator_new"))?;
    let form = form.strip_prefix("_aligned").unwrap_or(form);
    let form = form.strip_prefix("_hot_cold").unwrap_or(form);
    match form {
        "" => Some(made(Group::Cpp, Op::New, size(0), true)),
        "_nothrow" => Some(made(Group::Cpp, Op::New, size(0), false)),
        _ => None,
    }
}

/// Whether a name says that the function comes from a language with exceptions or panics.
pub(super) fn may_throw(symbol: &str) -> bool {
    symbol.starts_with("_Z") || symbol.starts_with("_R")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_replaceable_operator_is_known() {
        // [new.delete] of C++20, as GCC mangles them.
        let news = [
            "m",
            "mRKSt9nothrow_t",
            "mSt11align_val_t",
            "mSt11align_val_tRKSt9nothrow_t",
        ];
        let deletes = [
            "Pv",
            "Pvm",
            "PvSt11align_val_t",
            "PvmSt11align_val_t",
            "PvRKSt9nothrow_t",
            "PvSt11align_val_tRKSt9nothrow_t",
        ];
        for (which, one, array) in [("_Zn", 'w', 'a'), ("_Zd", 'l', 'a')] {
            let new = which == "_Zn";
            for form in if new { &news[..] } else { &deletes } {
                for (letter, op) in [
                    (one, if new { Op::New } else { Op::Delete }),
                    (array, if new { Op::NewArray } else { Op::DeleteArray }),
                ] {
                    let name = format!("{which}{letter}{form}");
                    let hook = operator(&name).unwrap_or_else(|| panic!("{name}"));
                    assert_eq!((hook.op, hook.throws), (op, new && !form.contains("nothrow")), "{name}");
                }
            }
        }
        assert!(operator("_ZnwmSt11align_val_tRKSt9nothrow_t12__hot_cold_t").is_some());
        // Placement new, class-specific and unfinished ones.
        for other in [
            "_ZnwmPv",
            "_Znw",
            "_Znwj",
            "_ZN1AnwEm",
            "_ZdlP",
            "_ZdlPvS_",
            "_Znwmm",
            "_Znwmé",
        ] {
            assert_eq!(operator(other), None, "{other}");
        }
    }

    #[test]
    fn rust_is_known_plain_and_mangled() {
        for (symbol, op) in [
            ("__rust_alloc", Op::RustAlloc),
            ("_RNvCs5QKde7ScR4H_7___rustc12___rust_alloc", Op::RustAlloc),
            ("_RNvCsdBezzDwma51_7___rustc19___rust_alloc_zeroed", Op::RustAlloc),
            ("_RNvCs5QKde7ScR4H_7___rustc14___rust_realloc", Op::RustRealloc),
            ("_RNvCs5QKde7ScR4H_7___rustc14___rust_dealloc", Op::RustDealloc),
        ] {
            assert_eq!(rust(symbol).unwrap().op, op, "{symbol}");
        }
        for other in [
            "_RNvCs5QKde7ScR4H_7___rustc13___rust_alloc",
            "_RNvCs5QKde7ScR4H_7___rustc",
            "_RNvCs5QKde7ScR4H_7___rustc99999999999999999999999___rust_alloc",
            "_RNvCs5QKde7ScR4H_7___rustc35___rust_no_alloc_shim_is_unstable_v2",
        ] {
            assert_eq!(rust(other), None, "{other}");
        }
    }

    #[test]
    fn what_returns_a_size_too_is_known() {
        for name in [
            "__size_returning_new_aligned_hot_cold",
            "tcmalloc_size_returning_operator_new",
            "tcmalloc_size_returning_operator_new_aligned_nothrow",
        ] {
            let hook = size_returning(name).unwrap();
            assert_eq!(hook.throws, !name.ends_with("nothrow"), "{name}");
        }
        assert_eq!(size_returning("__size_returning_newer"), None);
    }
}
