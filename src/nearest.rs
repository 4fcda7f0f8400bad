//! The known word that a misspelt one was meant to be.

/// The word of `known` that `text` is most likely a slip of the finger for: at most a third of its letters (and one
/// letter in any case) are wrong. The first one if several are as near.
#[must_use]
pub fn nearest<'a>(text: &str, known: &[&'a str]) -> Option<&'a str> {
    let text = text.to_lowercase();
    let allowed = (text.chars().count() / 3).max(1);
    let distances = known.iter().map(|&word| (distance(&text, word), word));
    let (distance, word) = distances.min_by_key(|&(distance, _)| distance)?;
    (distance <= allowed).then_some(word)
}

/// How many letters must be inserted, deleted or replaced to make `b` out of `a` (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.chars().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.chars().count()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_levenshteins() {
        for (a, b, expected) in [
            ("", "", 0),
            ("", "abc", 3),
            ("kitten", "sitting", 3),
            ("loss", "lose", 1),
            ("ab", "ba", 2),
        ] {
            assert_eq!((distance(a, b), distance(b, a)), (expected, expected), "{a} {b}");
        }
    }

    #[test]
    fn slips_are_recognised_and_other_words_are_not() {
        let known = ["loss", "delay", "partition"];
        assert_eq!(nearest("los", &known), Some("loss"));
        assert_eq!(nearest("Delya", &known), None);
        assert_eq!(nearest("DELAYS", &known), Some("delay"));
        assert_eq!(nearest("partitoin", &known), Some("partition"));
        assert_eq!(nearest("bandwidth", &known), None);
        assert_eq!(nearest("loss", &[]), None);
    }
}
