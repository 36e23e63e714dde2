//! The words of a Rust file, without its comments, strings and characters.

/// A word, `::`, or a single character.
pub(super) struct Token {
    pub(super) text: String,
    /// Line, from 1.
    pub(super) line: usize,
}

/// Words, `::` and single characters; comments, strings and characters are left out.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let characters: Vec<char> = text.chars().collect();
    let (mut tokens, mut at, mut line) = (Vec::new(), 0, 1);
    while let Some(&c) = characters.get(at) {
        let end = match c {
            '/' if characters.get(at + 1) == Some(&'/') => line_end(&characters, at),
            '/' if characters.get(at + 1) == Some(&'*') => comment_end(&characters, at),
            '"' => string_end(&characters, at),
            '\'' => quote_end(&characters, at),
            _ if c.is_alphanumeric() || c == '_' => {
                let length = characters[at..]
                    .iter()
                    .take_while(|&&c| c.is_alphanumeric() || c == '_')
                    .count();
                let word: String = characters[at..at + length].iter().collect();
                if let Some(end) = raw_string_end(&characters, at, &word) {
                    end
                } else {
                    tokens.push(Token { text: word, line });
                    at + length
                }
            }
            ':' if characters.get(at + 1) == Some(&':') => {
                tokens.push(Token {
                    text: "::".into(),
                    line,
                });
                at + 2
            }
            _ => {
                if !c.is_whitespace() {
                    tokens.push(Token { text: c.into(), line });
                }
                at + 1
            }
        };
        line += characters[at..end.min(characters.len())]
            .iter()
            .filter(|&&c| c == '\n')
            .count();
        at = end;
    }
    tokens
}

fn line_end(characters: &[char], at: usize) -> usize {
    characters[at..]
        .iter()
        .position(|&c| c == '\n')
        .map_or(characters.len(), |length| at + length)
}

/// Comments in `/* */` nest.
fn comment_end(characters: &[char], mut at: usize) -> usize {
    let mut depth = 0_u32;
    while at + 1 < characters.len() {
        match [characters[at], characters[at + 1]] {
            ['/', '*'] => {
                depth += 1;
                at += 2;
            }
            ['*', '/'] => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    characters.len()
}

fn string_end(characters: &[char], at: usize) -> usize {
    let mut next = at + 1;
    while let Some(&c) = characters.get(next) {
        match c {
            '\\' => next += 2,
            '"' => return next + 1,
            _ => next += 1,
        }
    }
    characters.len()
}

/// The end of `r"..."`, `br#"..."#` and their like, where `word` is what stands before the hashes or the quote.
fn raw_string_end(characters: &[char], at: usize, word: &str) -> Option<usize> {
    if !["r", "br", "cr"].contains(&word) {
        return None;
    }
    let start = at + word.len();
    let hashes = characters[start..].iter().take_while(|&&c| c == '#').count();
    if characters.get(start + hashes) != Some(&'"') {
        return None;
    }
    let closing: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    let body = start + hashes + 1;
    let length = characters[body..]
        .windows(closing.len())
        .position(|window| window == closing);
    Some(length.map_or(characters.len(), |length| body + length + closing.len()))
}

/// The end of a character, or of the quote alone where it begins a lifetime.
fn quote_end(characters: &[char], at: usize) -> usize {
    match (characters.get(at + 1), characters.get(at + 2)) {
        (Some('\\'), _) => {
            let escaped = at + 3;
            let length = characters
                .get(escaped..)
                .and_then(|rest| rest.iter().position(|&c| c == '\''));
            length.map_or(characters.len(), |length| escaped + length + 1)
        }
        (Some(_), Some('\'')) => at + 3,
        _ => at + 1,
    }
}
