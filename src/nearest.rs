//! The known word that a misspelt one was meant to be.

/// Letters from which on a word may have two slips; a third of them may be wrong in any case, and one in the shortest.
const LONG: usize = 5;

/// The word of `known` that `text` is most likely a slip of the finger for, if any is near enough; the first one if
/// several are as near.
#[must_use]
pub fn nearest<'a>(text: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let text = text.to_lowercase();
    let letters = text.chars().count();
    let allowed = (letters / 3).max(if letters < LONG { 1 } else { 2 });
    let distances = known.into_iter().map(|word| (distance(&text, word), word));
    let (distance, word) = distances.min_by_key(|&(distance, _)| distance)?;
    (distance <= allowed).then_some(word)
}

/// How many letters must be inserted, deleted, replaced or swapped with their neighbour to make `b` out of `a`.
fn distance(a: &str, b: &str) -> usize {
    let [a, b] = [a, b].map(|word| word.chars().collect::<Vec<_>>());
    // distances[i][j] is that of the first i letters of `a` and the first j of `b`.
    let mut distances = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            distances[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let replaced = distances[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                let edited = replaced.min(distances[i - 1][j] + 1).min(distances[i][j - 1] + 1);
                let swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
                if swapped { edited.min(distances[i - 2][j - 2] + 1) } else { edited }
            };
        }
    }
    distances[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_counted() {
        for (a, b, expected) in [
            ("", "", 0),
            ("", "abc", 3),
            ("kitten", "sitting", 3),
            ("loss", "lose", 1),
            ("ab", "ba", 1),
            ("minst", "mnist", 1),
            ("abc", "cab", 2),
        ] {
            assert_eq!((distance(a, b), distance(b, a)), (expected, expected), "{a} {b}");
        }
    }

    #[test]
    fn slips_are_recognised_and_other_words_are_not() {
        let known = ["loss", "delay", "partition"];
        for (text, meant) in [
            ("los", Some("loss")),
            ("Delya", Some("delay")),
            ("DELAYS", Some("delay")),
            ("dlayy", Some("delay")),
            ("partitoin", Some("partition")),
            ("lo", None),
            ("xyzzy", None),
            ("bandwidth", None),
        ] {
            assert_eq!(nearest(text, known), meant, "{text}");
        }
        assert_eq!(nearest("loss", []), None);
    }
}
