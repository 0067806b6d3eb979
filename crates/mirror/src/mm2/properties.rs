//! Java's `.properties` format, as `java.util.Properties.load` reads it, with the line each key stands on.

use std::collections::BTreeMap;

/// One value and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Property {
    /// As read: escapes resolved, blanks at the end kept.
    pub(super) value: String,
    /// Line its key stands on, from 1.
    pub(super) line: usize,
}

/// All keys of a file; of a key that stands there twice, the last counts.
pub(super) type Properties = BTreeMap<String, Property>;

/// A file that cannot be read as properties.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: \\u has to be followed by four hexadecimal digits")]
pub(super) struct PropertiesError {
    /// Where, from 1.
    pub(super) line: usize,
}

/// Reads `bytes`, which are ISO-8859-1.
///
/// # Errors
/// When an escape is malformed.
pub(super) fn read(bytes: &[u8]) -> Result<Properties, PropertiesError> {
    // Written by today's editors the file is UTF-8, whatever Java says; its keys are ASCII either way.
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().map(|byte| char::from(*byte)).collect(),
    };
    let mut properties = Properties::new();
    let mut lines = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)).zip(1..);
    while let Some((first, line)) = lines.next() {
        let first = first.trim_start_matches(is_blank);
        if first.is_empty() || first.starts_with(['#', '!']) {
            continue;
        }
        let mut logical = first.to_owned();
        while continues(&logical) {
            logical.pop();
            let Some((next, _)) = lines.next() else { break };
            logical.push_str(next.trim_start_matches(is_blank));
        }
        let (key, value) = split(&logical);
        let unescaped = |text: &str| unescape(text).ok_or(PropertiesError { line });
        properties.insert(unescaped(key)?, Property { value: unescaped(value)?, line });
    }
    Ok(properties)
}

fn is_blank(letter: char) -> bool {
    matches!(letter, ' ' | '\t' | '\u{c}')
}

/// A line goes on if it ends in an odd number of backslashes.
fn continues(line: &str) -> bool {
    line.chars().rev().take_while(|letter| *letter == '\\').count() % 2 == 1
}

/// Key and value, at the first `=`, `:` or blank that is not escaped.
fn split(line: &str) -> (&str, &str) {
    let mut is_escaped = false;
    for (at, letter) in line.char_indices() {
        let ends = !is_escaped && (is_blank(letter) || letter == '=' || letter == ':');
        if ends {
            let (key, rest) = line.split_at(at);
            let rest = rest.trim_start_matches(is_blank);
            let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
            return (key, rest.trim_start_matches(is_blank));
        }
        is_escaped = letter == '\\' && !is_escaped;
    }
    (line, "")
}

fn unescape(text: &str) -> Option<String> {
    let mut plain = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            plain.push(letter);
            continue;
        }
        match letters.next() {
            Some('t') => plain.push('\t'),
            Some('n') => plain.push('\n'),
            Some('r') => plain.push('\r'),
            Some('f') => plain.push('\u{c}'),
            Some('u') => {
                let digits: String = letters.by_ref().take(4).collect();
                let is_whole = digits.len() == 4;
                let code = u32::from_str_radix(&digits, 16).ok().filter(|_| is_whole)?;
                plain.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            Some(other) => plain.push(other),
            None => {}
        }
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Vec<(String, String, usize)> {
        let read = read(text.as_bytes()).unwrap();
        read.into_iter().map(|(key, property)| (key, property.value, property.line)).collect()
    }

    fn one(text: &str) -> (String, String) {
        let [(key, value, _)] = &values(text)[..] else { panic!("{text}") };
        (key.clone(), value.clone())
    }

    #[test]
    fn keys_end_at_the_first_separator() {
        for (text, key, value) in [
            ("a=b", "a", "b"),
            ("a = b c ", "a", "b c "),
            ("clusters: a, b", "clusters", "a, b"),
            ("a b=c", "a", "b=c"),
            ("  A->B.enabled = true", "A->B.enabled", "true"),
            ("a", "a", ""),
            ("a\\=b=c", "a=b", "c"),
            ("topics.exclude = .*[\\-\\.]internal", "topics.exclude", ".*[-.]internal"),
            ("topics = orders\\\\.x", "topics", "orders\\.x"),
            ("a = \\u0041\\t", "a", "A\t"),
            ("a = b # no comment", "a", "b # no comment"),
        ] {
            assert_eq!(one(text), (key.to_owned(), value.to_owned()), "{text}");
        }
    }

    #[test]
    fn lines_are_continued_and_counted() {
        let text = "# a comment\n\n! another\r\ntopics = a, \\\n    b, \\\n  c\nx = 1\nx = 2\nend=\\";
        assert_eq!(
            values(text),
            [
                ("end".to_owned(), String::new(), 9),
                ("topics".to_owned(), "a, b, c".to_owned(), 4),
                ("x".to_owned(), "2".to_owned(), 8),
            ]
        );
    }

    #[test]
    fn a_malformed_escape_is_named() {
        assert_eq!(read(b"a=1\nb=\\u12"), Err(PropertiesError { line: 2 }));
        assert_eq!(read(b"a=\\u12g4"), Err(PropertiesError { line: 1 }));
        assert_eq!(read(b"a=\xe9").unwrap().get("a").unwrap().value, "\u{e9}");
    }
}
