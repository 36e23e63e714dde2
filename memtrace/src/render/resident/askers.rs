//! Live blocks of programs of JavaScript by who asked for them: its buffers, the engine and node, addons, libraries.

use std::io::{self, Write};

use crate::{
    profile::{Profile, javascript::JavaScript},
    render::escape,
    units::{bytes, plural},
};

/// Files that have a row of their own.
const MOST: usize = 6;

/// Writes the rows, or nothing where no function of V8 is known.
pub(super) fn write(profile: &Profile, out: &mut dyn Write) -> io::Result<()> {
    if JavaScript::of(profile).is_none() {
        return Ok(());
    }
    let askers = profile.askers();
    let mut rows = Vec::new();
    if askers.buffers > 0 {
        rows.push((askers.buffers, "buffers of JavaScript (Buffer, ArrayBuffer)".to_owned()));
    }
    let name = |module: &str| match module {
        "" => "not known".to_owned(),
        name => escape::text(name).into_owned(),
    };
    rows.extend(
        askers
            .modules
            .iter()
            .take(MOST)
            .map(|&(module, live)| (live, name(module))),
    );
    let others = askers.modules.get(MOST..).unwrap_or_default();
    if !others.is_empty() {
        let sum = others.iter().fold(0, |sum: u64, (_, live)| sum.saturating_add(*live));
        rows.push((sum, plural(others.len() as u64, "more file")));
    }
    if rows.is_empty() {
        return Ok(());
    }
    writeln!(out, "Live blocks, by the file whose code asked for them:")?;
    writeln!(out)?;
    for (live, who) in rows {
        writeln!(out, "{:>14}  {who}", bytes(live))?;
    }
    writeln!(out)
}

#[cfg(test)]
mod tests {
    use memtrace_common::op::Op;

    use super::*;
    use crate::{
        profile::fixture::{SiteSpec, frame, profile},
        render::tests::rendered,
    };

    fn block(function: &str, module: &str, live: u64) -> SiteSpec {
        SiteSpec::new(Op::Malloc)
            .stack([frame(function, module)])
            .live(live, 1)
            .allocated(live, 1)
    }

    #[test]
    fn buffers_and_the_largest_files_have_rows() {
        let mut sites = vec![
            block(
                "node::NodeArrayBufferAllocator::Allocate(unsigned long)",
                "node",
                70 << 20,
            ),
            block("v8::internal::Zone::Expand(unsigned long)", "node", 5 << 20),
            SiteSpec::new(Op::Malloc).live(9, 1).allocated(9, 1),
        ];
        sites.extend((1..9).map(|number| block("leak", &format!("addon{number}\x1b.node"), number << 10)));
        let all = profile(sites);
        insta::assert_snapshot!("resident_askers", rendered(|out| write(&all, out)));
        let other = profile([block("leak", "app", 9)]);
        assert_eq!(rendered(|out| write(&other, out)), "", "no program of JavaScript");
    }
}
