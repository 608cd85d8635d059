//! Near: which known word was meant by one that is not known? By edit distance (Damerau–Levenshtein, optimal string alignment).

/// How many words are compared with one that is not known.
const MAX_KNOWN: usize = 200;

/// The nearest of these words, if it is near enough to have been meant.
pub(super) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let near = (word.chars().count() / 3).max(1);
    let least = known.take(MAX_KNOWN).map(|known| (distance(word, known, near), known)).min()?;
    (least.0 <= near).then_some(least.1)
}

/// The Damerau–Levenshtein distance, by dynamic programming: how many letters are to be changed, added, taken out or swapped. Where the
/// lengths differ by more than `most`, it is `most + 1`.
pub(super) fn distance(a: &str, b: &str, most: usize) -> usize {
    let (a, b): (Vec<char>, Vec<char>) =
        (a.to_lowercase().chars().collect(), b.to_lowercase().chars().collect());
    if a.len().abs_diff(b.len()) > most {
        return most + 1;
    }
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for (i, left) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, right) in b.iter().enumerate() {
            let above = rows[i][j + 1] + 1;
            let beside = row[j] + 1;
            let across = rows[i][j] + usize::from(left != right);
            let mut least = above.min(beside).min(across);
            if i > 0 && j > 0 && *left == b[j - 1] && a[i - 1] == *right {
                least = least.min(rows[i - 1][j - 1] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows.last().and_then(|row| row.last()).copied().unwrap_or(most + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::readable;

    #[test]
    fn the_word_that_was_meant_is_near() {
        let known = || readable().map(|word| word.name);
        assert_eq!(nearest("opration", known()), Some("operation"));
        assert_eq!(nearest("tools", known()), Some("tool"));
        assert_eq!(nearest("gratned", known()), Some("granted"));
        assert_eq!(nearest("weather_report", known()), None);
    }
}
