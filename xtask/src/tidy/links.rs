//! Links of the documents to other files of the project.

use std::path::Path;

/// Links that lead nowhere, one line each. Links to the network and within a page are not looked at.
pub(super) fn check(root: &Path, file: &Path, text: &str) -> Vec<String> {
    let folder = root.join(file).parent().map(Path::to_owned).unwrap_or_default();
    let leads_nowhere = |&(_, target): &(usize, &str)| {
        let path = target.split('#').next().unwrap_or_default();
        !path.is_empty() && !path.contains("://") && !path.starts_with("mailto:") && !folder.join(path).exists()
    };
    links(text)
        .into_iter()
        .filter(leads_nowhere)
        .map(|(line, target)| format!("{}:{line}: the link to {target} leads nowhere", file.display()))
        .collect()
}

/// Targets of `[text](target)` with their lines, those in blocks of code left out.
fn links(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut in_code = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        for rest in line.split("](").skip(1) {
            if let Some((target, _)) = rest.split_once(')') {
                found.push((index + 1, target));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_links_are_found_and_others_are_not() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let text = "[a](Cargo.toml) [b](src/main.rs#x) ![c](none.svg)\n[d](https://x.y/z) [e](#f)\n```\n[g](h)\n```\n";
        assert_eq!(
            check(root, Path::new("x.md"), text),
            ["x.md:1: the link to none.svg leads nowhere"]
        );
    }
}
