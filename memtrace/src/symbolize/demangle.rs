//! Names as people wrote them, within bounds.
//!
//! A mangled name can refer to its own parts, and those to others, so that a kilobyte stands for more text
//! than there is memory. So both the name and what it becomes are limited.

use std::fmt::{self, Write};

/// Longest name that is kept, in bytes.
pub(super) const MAX_NAME: usize = 4096;

/// The name of a function, demangled if it is a Rust or C++ name, and never longer than [`MAX_NAME`].
pub(super) fn demangle(name: &str) -> String {
    let mut out = Limited::default();
    if name.len() > MAX_NAME {
        out.write_str(name).ok();
        return out.finish();
    }
    if let Ok(rust) = rustc_demangle::try_demangle(name) {
        // The alternate form leaves out the hash that makes the name unique.
        write!(out, "{rust:#}").ok();
        return out.finish();
    }
    if name.starts_with("_Z")
        && let Ok(symbol) = cpp_demangle::Symbol::new(name)
    {
        // An error can also mean that the limit was reached; what there is then is a good beginning.
        if symbol
            .structured_demangle(&mut out, &cpp_demangle::DemangleOptions::default())
            .is_ok()
            || out.full
        {
            return out.finish();
        }
        out = Limited::default();
    }
    out.write_str(name).ok();
    out.finish()
}

/// Cuts text to [`MAX_NAME`].
pub(super) fn limit(text: &str) -> String {
    let mut out = Limited::default();
    out.write_str(text).ok();
    out.finish()
}

#[derive(Default)]
struct Limited {
    text: String,
    full: bool,
}

impl Write for Limited {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        let room = MAX_NAME - self.text.len();
        if part.len() <= room {
            self.text.push_str(part);
            return Ok(());
        }
        self.text.push_str(&part[..part.floor_char_boundary(room)]);
        self.full = true;
        Err(fmt::Error)
    }
}

impl Limited {
    fn finish(mut self) -> String {
        const CUT: &str = "...";
        if self.full {
            self.text.truncate(self.text.floor_char_boundary(MAX_NAME - CUT.len()));
            self.text.push_str(CUT);
        }
        self.text
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rust_cpp_and_plain_names() {
        assert_eq!(demangle("_ZN4core3fmt5write17h0123456789abcdefE"), "core::fmt::write");
        assert_eq!(demangle("_RNvC6_123foo3bar"), "123foo::bar");
        assert_eq!(
            demangle("_ZNSt6vectorIiSaIiEE9push_backERKi"),
            "std::vector<int, std::allocator<int> >::push_back(int const&)"
        );
        assert_eq!(demangle("malloc"), "malloc");
        assert_eq!(demangle("_Znonsense"), "_Znonsense");
        assert_eq!(demangle(""), "");
    }

    #[test]
    fn a_name_that_explodes_is_cut() {
        // f(pair<int, int>, pair<that, that>, pair<the last, the last>, ...): doubled 30 times.
        let digit = |number: u32| char::from_digit(number, 36).unwrap().to_ascii_uppercase();
        let mut name = "_Z1fSt4pairIiiE".to_owned();
        for depth in 0..30 {
            write!(name, "S_IS{0}_S{0}_E", digit(depth)).unwrap();
        }
        let cut = demangle(&name);
        assert!(
            cut.starts_with("f(std::pair<int, int>, std::pair<std::pair<int, int>, std::pair<int, int> >"),
            "{cut}"
        );
        assert_eq!(cut.len(), MAX_NAME);
        let long = "a".repeat(3 * MAX_NAME);
        let cut = demangle(&long);
        assert_eq!(cut.len(), MAX_NAME);
        assert!(cut.ends_with("..."));
        assert!(limit(&"\u{20ac}".repeat(MAX_NAME)).len() <= MAX_NAME);
    }

    proptest! {
        #[test]
        fn any_name_is_survived_within_the_limit(name in "(_Z|_R|_ZN)?[A-Za-z0-9_]{0,200}", other in ".{0,100}") {
            prop_assert!(demangle(&name).len() <= MAX_NAME);
            prop_assert!(demangle(&other).len() <= MAX_NAME);
        }
    }
}
