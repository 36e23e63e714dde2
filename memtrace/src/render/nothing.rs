//! What is said where nothing was found: that there is nothing, or why that is not known.

use super::label;
use crate::{
    profile::Profile,
    units::{bytes, duration},
};

/// How to see what a budget had no room for.
const MORE: &str = "--every-call sees each block, --sample 512KiB some of them, whatever that costs.";

/// What is said where no site has live bytes, though there were allocations.
pub(super) fn live(profile: &Profile) -> String {
    profile.pages_alone().map_or_else(
        || "Nothing is live: all that was allocated has been freed.".to_owned(),
        |time| {
            let time = duration(time);
            format!("Which blocks are live is not known: for {time} the budget left room for mappings and short looks only. {MORE}")
        },
    )
}

/// Why no site is suspected.
pub(super) fn suspected(profile: &Profile) -> String {
    let min_age = duration(profile.settings.min_age);
    let (targets, was) = (
        label::targets(profile),
        if profile.is_of_many() { "were" } else { "was" },
    );
    if profile.too_short_to_suspect() {
        let observed = duration(profile.observed);
        return format!(
            "Leaks cannot be told yet: the {targets} {was} observed for {observed}, and a block is suspected only \
             from an age of {min_age}. Observe longer, or lower --min-age."
        );
    }
    if let Some(time) = profile.pages_alone() {
        let time = duration(time);
        return format!(
            "No leaks can be told: for {time} the budget left room for mappings and short looks only, and blocks are not followed then. {MORE}"
        );
    }
    let mut least = match profile.settings.min_size {
        0 => String::new(),
        size => format!(" with at least {}", bytes(size)),
    };
    if profile.suppressed().sites > 0 {
        least.push_str(" that is not suppressed");
    }
    if profile.exited() {
        format!("No suspected leaks: no site{least} had live blocks when the {targets} exited.")
    } else {
        format!("No suspected leaks: no site{least} has blocks that are at least {min_age} old.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{Amount, Budget, StepTime, fixture};

    #[test]
    fn what_a_budget_had_no_room_for_is_not_denied() {
        let mut profile = fixture::exited();
        for site in &mut profile.sites {
            site.live = Amount::default();
        }
        let denied = |profile: &Profile| [live(profile), suspected(profile)].join("\n");
        assert!(denied(&profile).contains("Nothing is live") && denied(&profile).contains("No suspected leaks"));
        profile.health.budget = Some(Budget {
            steps: vec![StepTime {
                step: "pages".into(),
                seconds: 6.0,
            }],
            ..Budget::default()
        });
        insta::assert_snapshot!(denied(&profile));
    }
}
