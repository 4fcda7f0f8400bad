//! The known word nearest to a mistyped one.

/// The word of `known` that the fewest edits turn `typed` into; `None` where even that changes more than half of it.
#[must_use]
pub fn nearest<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|word| (edits(typed, word), word))
        .filter(|&(edits, word)| 2 * edits <= word.chars().count().max(typed.chars().count()))
        .min_by_key(|&(edits, word)| (edits, word.len().abs_diff(typed.len())))
        .map(|(_, word)| word)
}

/// Levenshtein's distance: insertions, deletions and replacements of one character.
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &b) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted() {
        for (from, to, count) in [
            ("", "", 0),
            ("", "abc", 3),
            ("kitten", "sitting", 3),
            ("batch", "bach", 1),
            ("ab", "ba", 2),
        ] {
            assert_eq!(edits(from, to), count, "{from} {to}");
            assert_eq!(edits(to, from), count, "{to} {from}");
        }
    }

    #[test]
    fn nonsense_has_no_nearest_word() {
        let known = ["batch", "model", "tolerance"];
        assert_eq!(nearest("bach", known), Some("batch"));
        assert_eq!(nearest("tolerence", known), Some("tolerance"));
        assert_eq!(nearest("xyzzy", known), None);
    }
}
