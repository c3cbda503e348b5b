//! Sets of ids, as ranges of clocks for each client.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::client_id::ClientId;

/// A set of ids: for each client, ranges of clocks that neither overlap nor touch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct IdRanges(BTreeMap<ClientId, BTreeMap<u32, u32>>);

impl IdRanges {
    pub(crate) fn insert(&mut self, client: ClientId, range: Range<u32>) {
        if range.is_empty() {
            return;
        }
        let ranges = self.0.entry(client).or_default();
        let Range { mut start, mut end } = range;
        if let Some((&before, &before_end)) = ranges.range(..=start).next_back()
            && before_end >= start
        {
            start = before;
            end = end.max(before_end);
        }
        while let Some((&next, &next_end)) = ranges.range(start..=end).next() {
            ranges.remove(&next);
            end = end.max(next_end);
        }
        ranges.insert(start, end);
    }

    pub(crate) fn remove(&mut self, client: ClientId, range: Range<u32>) {
        let Some(ranges) = self.0.get_mut(&client) else { return };
        let overlapping: Vec<(u32, u32)> = overlapping(ranges, &range).collect();
        for (start, end) in overlapping {
            ranges.remove(&start);
            if start < range.start {
                ranges.insert(start, range.start);
            }
            if range.end < end {
                ranges.insert(range.end, end);
            }
        }
        if ranges.is_empty() {
            self.0.remove(&client);
        }
    }

    pub(crate) fn extend(&mut self, other: &IdRanges) {
        for (client, range) in other.iter() {
            self.insert(client, range);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether all of `range` is in the set.
    pub(crate) fn contains(&self, client: ClientId, range: &Range<u32>) -> bool {
        self.0
            .get(&client)
            .and_then(|ranges| ranges.range(..=range.start).next_back())
            .is_some_and(|(_, &end)| range.end <= end)
    }

    /// The parts of `range` that are in the set, ascending.
    pub(crate) fn within(
        &self,
        client: ClientId,
        range: Range<u32>,
    ) -> impl Iterator<Item = Range<u32>> + '_ {
        let Range { start: from, end: to } = range;
        let ranges = self.0.get(&client).into_iter();
        ranges
            .flat_map(move |ranges| overlapping(ranges, &(from..to)))
            .map(move |(start, end)| start.max(from)..end.min(to))
    }

    /// The parts of `range` that are not in the set, ascending.
    pub(crate) fn outside(&self, client: ClientId, range: Range<u32>) -> Vec<Range<u32>> {
        let (mut from, end) = (range.start, range.end);
        let mut outside = Vec::new();
        for inside in self.within(client, range) {
            if from < inside.start {
                outside.push(from..inside.start);
            }
            from = inside.end;
        }
        if from < end {
            outside.push(from..end);
        }
        outside
    }

    /// All ranges, by client and clock ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (ClientId, Range<u32>)> + '_ {
        self.0
            .iter()
            .flat_map(|(&client, ranges)| ranges.iter().map(move |(&start, &end)| (client, start..end)))
    }

    /// The clients, descending as Yjs writes them, each with its ranges ascending.
    pub(crate) fn by_client_descending(&self) -> impl Iterator<Item = (ClientId, &BTreeMap<u32, u32>)> + '_ {
        self.0.iter().rev().map(|(&client, ranges)| (client, ranges))
    }

    pub(crate) fn client_count(&self) -> usize {
        self.0.len()
    }

    /// How many ranges there are.
    pub(crate) fn range_count(&self) -> usize {
        self.0.values().map(BTreeMap::len).sum()
    }
}

/// The ranges of which some part is in `range`, ascending.
fn overlapping<'a>(
    ranges: &'a BTreeMap<u32, u32>,
    range: &Range<u32>,
) -> impl Iterator<Item = (u32, u32)> + use<'a> {
    let first = ranges.range(..=range.start).next_back().map_or(range.start, |(&start, _)| start);
    let wanted = range.clone();
    // `first.max(..)` keeps the bounds in order when `range` is empty.
    ranges
        .range(first..wanted.end.max(first))
        .map(|(&start, &end)| (start, end))
        .filter(move |&(_, end)| end > wanted.start && !wanted.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> ClientId {
        ClientId::new(1).unwrap()
    }

    /// Against the plainest model there is: a row of flags.
    #[test]
    #[cfg_attr(target_arch = "wasm32", wasm_bindgen_test::wasm_bindgen_test)]
    fn ranges_agree_with_a_row_of_flags() {
        let mut random = 0x9e37_79b9_u32;
        let mut next = |below: u32| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (random >> 8) % below
        };
        for _ in 0..300 {
            let (mut ranges, mut flags) = (IdRanges::default(), [false; 40]);
            for _ in 0..30 {
                let start = next(40);
                let end = (start + next(8)).min(40);
                let insert = next(3) > 0;
                if insert {
                    ranges.insert(client(), start..end);
                } else {
                    ranges.remove(client(), start..end);
                }
                flags[start as usize..end as usize].fill(insert);
                let listed: Vec<_> = ranges.iter().map(|(_, range)| range).collect();
                assert!(
                    listed.windows(2).all(|pair| pair[0].end < pair[1].start),
                    "{listed:?} is neither sorted nor merged"
                );
                for clock in 0..40 {
                    assert_eq!(
                        ranges.contains(client(), &(clock..clock + 1)),
                        flags[clock as usize],
                        "{clock} in {listed:?}"
                    );
                }
                let (from, to) = (next(40), next(40));
                let inside: Vec<u32> = ranges.within(client(), from..to).flatten().collect();
                let expected: Vec<u32> = (from..to).filter(|&clock| flags[clock as usize]).collect();
                assert_eq!(inside, expected, "{from}..{to} of {listed:?}");
                let outside: Vec<u32> = ranges.outside(client(), from..to).into_iter().flatten().collect();
                let expected: Vec<u32> = (from..to).filter(|&clock| !flags[clock as usize]).collect();
                assert_eq!(outside, expected, "{from}..{to} without {listed:?}");
            }
        }
    }
}
