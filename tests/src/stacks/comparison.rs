//! What comparing stacks has shown.

/// What comparing has shown; all but `stacks` and `deepest` are allocations.
#[derive(Clone, Debug, Default)]
pub struct Comparison {
    /// Distinct stacks of the truth.
    pub stacks: u64,
    /// Frames of the deepest of them.
    pub deepest: usize,
    /// All that the program has made.
    pub allocations: u64,
    /// Reported with the very stack that the program knows.
    pub whole: u64,
    /// Reported with a stack that is right as far as it goes, but ends early.
    pub cut: u64,
    /// Reported with a stack that the program does not know.
    pub wrong: u64,
    /// Where they differ, in words.
    pub differ: Vec<String>,
}

impl std::fmt::Display for Comparison {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            stacks,
            deepest,
            allocations,
            whole,
            cut,
            wrong,
            differ,
        } = self;
        write!(
            f,
            "{allocations} allocations with {stacks} stacks of up to {deepest} frames: \
             {whole} reported as they are, {cut} cut, {wrong} wrong"
        )?;
        for difference in differ.iter().take(4) {
            write!(f, "\n  {difference}")?;
        }
        if differ.len() > 4 {
            write!(f, "\n  and {} more that differ", differ.len() - 4)?;
        }
        Ok(())
    }
}

impl Comparison {
    /// Asserts that every allocation is reported with the very stack that the program knows.
    pub fn assert_whole(&self) {
        self.assert_whole_but(0);
    }

    /// The same for all but `most` allocations, which health tells of.
    pub fn assert_whole_but(&self, most: u64) {
        let missing = self.allocations - self.whole;
        assert!(
            missing <= most,
            "{missing} of {} allocations are not reported with their stack ({most} may be): {self}",
            self.allocations
        );
    }
}
