//! What makes one text of another, when nobody can say any more how it came about.

use super::{Splice, Utf16Offset, utf16_len};

/// As many characters may differ for the shortest way between two texts to be looked for.
const MAX_STEPS: usize = 400;

/// Splices, one after another, that make `after` of `before`: as little as can be where the texts are near each other, else
/// one.
///
/// ```
/// use sheaf_core::text::{Splice, differences};
/// assert_eq!(differences("one two 😀", "One two, 😀"), [
///     Splice::delete(0, 1), Splice::insert(0, "O"), Splice::insert(7, ","),
/// ]);
/// ```
pub fn differences(before: &str, after: &str) -> Vec<Splice> {
    let between = Between::of(before, after);
    let (from, to): (Vec<char>, Vec<char>) = (between.gone.chars().collect(), between.come.chars().collect());
    match shortest_way(&from, &to) {
        Some(steps) => splices(between.at, &from, &to, &steps),
        None => vec![between.splice()],
    }
}

/// One splice that makes `after` of `before`, if they differ.
pub(crate) fn difference(before: &str, after: &str) -> Option<Splice> {
    (before != after).then(|| Between::of(before, after).splice())
}

/// What differs between what two texts begin with alike and what they end with alike.
struct Between<'a> {
    at: u32,
    gone: &'a str,
    come: &'a str,
}

impl<'a> Between<'a> {
    fn of(before: &'a str, after: &'a str) -> Self {
        let prefix: usize =
            before.chars().zip(after.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum();
        let (rest, other) = (&before[prefix..], &after[prefix..]);
        let suffix: usize = rest
            .chars()
            .rev()
            .zip(other.chars().rev())
            .take_while(|(a, b)| a == b)
            .map(|(a, _)| a.len_utf8())
            .sum();
        Between {
            at: utf16_len(&before[..prefix]),
            gone: &rest[..rest.len() - suffix],
            come: &other[..other.len() - suffix],
        }
    }

    fn splice(&self) -> Splice {
        Splice { at: Utf16Offset(self.at), delete: utf16_len(self.gone), insert: self.come.to_owned() }
    }
}

/// One step along two texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Keep,
    Delete,
    Insert,
}

/// Myers' greedy search (“An O(ND) Difference Algorithm”, 1986), given up after [`MAX_STEPS`]. The libraries that have it give up
/// by a clock, and core has none: without a bound, two texts with nothing in common would take minutes.
fn shortest_way(from: &[char], to: &[char]) -> Option<Vec<Step>> {
    let (n, m) = (from.len(), to.len());
    let middle = MAX_STEPS + 1;
    // For each diagonal, how far along `from` one comes; for every number of steps as it was before them.
    let mut furthest = vec![0usize; 2 * middle + 1];
    let mut trail = Vec::new();
    for steps in 0..=MAX_STEPS.min(n + m) {
        trail.push(furthest[middle - steps..=middle + steps].to_vec());
        for diagonal in (0..=2 * steps).step_by(2) {
            let here = middle + diagonal - steps;
            let down = diagonal == 0 || diagonal < 2 * steps && furthest[here - 1] < furthest[here + 1];
            let mut x = match (steps, down) {
                (0, _) => 0,
                (_, true) => furthest[here + 1],
                (_, false) => furthest[here - 1] + 1,
            };
            // A diagonal is `x - y`; beyond the end of `to` there is nothing.
            let Some(mut y) = (x + middle).checked_sub(here) else { continue };
            while x < n && y < m && from[x] == to[y] {
                x += 1;
                y += 1;
            }
            furthest[here] = x;
            if x >= n && y >= m {
                return Some(way_back(n, m, &trail));
            }
        }
    }
    None
}

fn way_back(n: usize, m: usize, trail: &[Vec<usize>]) -> Vec<Step> {
    let (mut x, mut y) = (n as i64, m as i64);
    let mut way = Vec::new();
    for (steps, before) in trail.iter().enumerate().skip(1).rev() {
        let steps = steps as i64;
        // `before` begins at the diagonal `-steps`.
        let reached = |diagonal: i64| before.get((diagonal + steps) as usize).map_or(-1, |&x| x as i64);
        let diagonal = x - y;
        let down = diagonal == -steps || diagonal != steps && reached(diagonal - 1) < reached(diagonal + 1);
        let came_from = if down { diagonal + 1 } else { diagonal - 1 };
        let (before_x, before_y) = (reached(came_from), reached(came_from) - came_from);
        while x > before_x && y > before_y {
            way.push(Step::Keep);
            x -= 1;
            y -= 1;
        }
        way.push(if down { Step::Insert } else { Step::Delete });
        (x, y) = (before_x, before_y);
    }
    way.extend(std::iter::repeat_n(Step::Keep, x.max(0) as usize));
    way.reverse();
    way
}

fn splices(mut at: u32, from: &[char], to: &[char], way: &[Step]) -> Vec<Splice> {
    let mut splices: Vec<Splice> = Vec::new();
    let (mut x, mut y) = (0, 0);
    for step in way {
        match step {
            Step::Keep => {
                at += from[x].len_utf16() as u32;
                x += 1;
                y += 1;
            }
            Step::Delete => {
                let units = from[x].len_utf16() as u32;
                x += 1;
                match splices.last_mut() {
                    Some(last) if last.insert.is_empty() && last.at.0 == at => last.delete += units,
                    _ => splices.push(Splice::delete(at, units)),
                }
            }
            Step::Insert => {
                let character = to[y];
                y += 1;
                match splices.last_mut() {
                    Some(last) if last.delete == 0 && last.at.0 + utf16_len(&last.insert) == at => {
                        last.insert.push(character);
                    }
                    _ => splices.push(Splice::insert(at, character)),
                }
                at += character.len_utf16() as u32;
            }
        }
    }
    splices
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::apply_splices;

    #[test]
    #[cfg_attr(target_arch = "wasm32", wasm_bindgen_test::wasm_bindgen_test)]
    fn the_differences_make_one_text_of_the_other() {
        let texts =
            ["", "a", "aa", "a😀a", "a\u{fffd}a", "שלום", "שלום\r\n", "aba", "e\u{301}e\u{301}", "👩‍👩‍👧"];
        for before in texts {
            for after in texts {
                let mut text = before.to_owned();
                let splices = differences(before, after);
                assert_eq!(splices.is_empty(), before == after, "{before:?} {after:?} {splices:?}");
                apply_splices(&mut text, &splices).unwrap();
                assert_eq!(text, after, "from {before:?}");

                let mut text = before.to_owned();
                let splice = difference(before, after);
                assert_eq!(splice.is_none(), before == after);
                apply_splices(&mut text, splice.as_slice()).unwrap();
                assert_eq!(text, after, "from {before:?} in one");
            }
        }
    }

    #[test]
    fn what_is_between_two_differences_stays() {
        let middle = "unchanged ".repeat(2_000);
        let splices = differences(&format!("a{middle}b"), &format!("x{middle}y😀"));
        assert!(splices.iter().all(|splice| splice.delete <= 1), "{splices:?}");
        let all_new = differences(&"a".repeat(5_000), &"b".repeat(5_000));
        assert_eq!(all_new.len(), 1, "texts too far apart are replaced");
    }
}
