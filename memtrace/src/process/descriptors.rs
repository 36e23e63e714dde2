//! How many files this process may hold open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What is asked for. Every file of code that the target has mapped is held, and the largest programs have several thousand.
const WANTED: u64 = 16_384;

/// Raises the soft limit on open files (`RLIMIT_NOFILE`) as far as the hard limit lets it.
///
/// Children inherit it, and a program that uses `select` must not get a larger one than it was given: call this only after
/// the target was started.
pub fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    let wanted = WANTED.min(limit.maximum.unwrap_or(u64::MAX));
    if soft_limit() >= wanted {
        return;
    }
    let raised = Rlimit {
        current: Some(wanted),
        ..limit
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        log::info!("the limit on open files stays at {}: {error}", soft_limit());
    }
}

/// How many files of a target may be held: the rest is for probes and reports.
pub(super) fn most_held() -> usize {
    usize::try_from(soft_limit() / 2).unwrap_or(usize::MAX)
}

fn soft_limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_raised_and_never_lowered() {
        let before = soft_limit();
        raise_limit();
        let after = soft_limit();
        assert!(after >= before);
        raise_limit();
        assert_eq!(soft_limit(), after);
    }
}
