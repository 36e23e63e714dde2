//! Recursion, folded: a parser that calls itself a hundred times deep is one node, not a hundred.

use super::Step;

/// Longest round of functions that is found again. Real cycles are short (a call, its interpreter, a callback), and the work for each
/// frame grows with its square.
const ROUND: usize = 8;

/// The path without the rounds that repeat the one before. What is left of such a round is marked.
pub(super) fn folded(path: impl Iterator<Item = Step>) -> Vec<Step> {
    let mut kept: Vec<Step> = Vec::new();
    for step in path {
        kept.push(step);
        let again = (1..=ROUND.min(kept.len() / 2)).find(|&round| {
            let (before, last) = kept[kept.len() - 2 * round..].split_at(round);
            before.iter().zip(last).all(|(one, other)| one.key == other.key)
        });
        if let Some(round) = again {
            let second = kept.split_off(kept.len() - round);
            let at = kept.len() - round;
            for (first, second) in kept[at..].iter_mut().zip(second) {
                first.line = first.line.filter(|_| first.line == second.line);
                first.inlined &= second.inlined;
                first.recursive = true;
            }
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Key, Label},
        *,
    };

    /// What is left of functions that are named by letters; those of rounds in capitals.
    fn left(path: &str) -> String {
        let steps = path.bytes().map(|letter| Step {
            key: Key::Function(letter.into()),
            ..Step::other(Label::Function(letter.into()))
        });
        let letter = |step: Step| match step.key {
            Key::Function(letter) if step.recursive => char::from_u32(letter).unwrap().to_ascii_uppercase(),
            Key::Function(letter) => char::from_u32(letter).unwrap(),
            Key::Other(_) => '?',
        };
        folded(steps).into_iter().map(letter).collect()
    }

    #[test]
    fn rounds_are_one_and_other_paths_stay() {
        for (path, wanted) in [
            ("", ""),
            ("abc", "abc"),
            ("abca", "abca"),
            ("aaaa", "A"),
            ("mabababx", "mABx"),
            ("mababax", "mABax"),
            ("mabcabcabcd", "mABCd"),
            ("aabaab", "AB"),
        ] {
            assert_eq!(left(path), wanted, "{path}");
        }
        let long = "abcdefghi".repeat(2);
        assert_eq!(left(&long), long, "a round that is longer than what is looked for");
    }
}
