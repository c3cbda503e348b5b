//! Whether two lists of updates tell the same of what both tell.

use super::VettedUpdate;
use super::coalesce::join;
use super::grammar::{ClientRuns, Content, Id, Parsed, Piece, Run};
use crate::client_id::ClientId;

/// Whether text that is in both lists, by client and clock, is the same text in the same place. However it is cut into
/// updates does not matter, and deletions cannot disagree. In neither list may an update add what another there adds.
pub(crate) fn agree(some: &[VettedUpdate], others: &[VettedUpdate]) -> bool {
    let overlap = some.iter().any(|update| {
        update.provides().iter().any(|(client, range)| {
            let theirs = others.iter().filter_map(|other| other.provides().get(client));
            theirs.into_iter().any(|other| range.start < other.end && other.start < range.end)
        })
    });
    if !overlap {
        return true;
    }
    let (some, others) = (laid_out(some), laid_out(others));
    some.iter().all(|(client, pieces)| {
        let theirs = others.iter().filter(|(other, _)| other == client).flat_map(|(_, pieces)| pieces);
        let theirs: Vec<&Piece<'_>> = theirs.collect();
        pieces.iter().all(|piece| {
            let from = theirs.partition_point(|other| other.end() <= piece.clock);
            let near = theirs[from..].iter().take_while(|other| other.clock < piece.end());
            near.into_iter().all(|other| same_where_both_are(*client, piece, other))
        })
    })
}

/// The pieces of each client in the order of their clocks, joined where one goes on.
fn laid_out(updates: &[VettedUpdate]) -> Vec<(ClientId, Vec<Piece<'_>>)> {
    let mut clients: Vec<(ClientId, Vec<Piece<'_>>)> = Vec::new();
    for section in updates.iter().flat_map(|update| update.parsed().clients) {
        let pieces = section.runs.into_iter().flat_map(|run| run.pieces);
        match clients.iter_mut().find(|(client, _)| *client == section.client) {
            Some((_, known)) => known.extend(pieces),
            None => clients.push((section.client, pieces.collect())),
        }
    }
    for (client, pieces) in &mut clients {
        pieces.sort_by_key(|piece| piece.clock);
        let run = Run { pieces: std::mem::take(pieces) };
        let mut parsed =
            Parsed { clients: vec![ClientRuns { client: *client, runs: vec![run] }], ..Parsed::default() };
        join(&mut parsed);
        *pieces =
            parsed.clients.into_iter().flat_map(|section| section.runs).flat_map(|run| run.pieces).collect();
    }
    clients
}

fn same_where_both_are(client: ClientId, a: &Piece<'_>, b: &Piece<'_>) -> bool {
    let (from, to) = (a.clock.max(b.clock), a.end().min(b.end()));
    let origin = |piece: &Piece<'_>| match piece.clock {
        clock if clock == from => piece.origin,
        _ => Some(Id { client, clock: from - 1 }),
    };
    origin(a) == origin(b)
        && a.right_origin == b.right_origin
        && match (&a.content, &b.content) {
            (Content::Text(_), Content::Text(_)) => units(a, from, to).eq(units(b, from, to)),
            // What says that it was deleted says nothing of what it was.
            _ => true,
        }
}

fn units<'p>(piece: &'p Piece<'_>, from: u32, to: u32) -> impl Iterator<Item = u16> + 'p {
    let text = if let Content::Text(text) = &piece.content { text.as_ref() } else { "" };
    text.encode_utf16().skip((from - piece.clock) as usize).take((to - from) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Document;
    use crate::door::merge;
    use crate::text::Splice;
    use crate::time::Timestamp;

    fn typed(client: u64, splices: &[Splice]) -> Vec<VettedUpdate> {
        let mut document = Document::new(ClientId::new(client).unwrap());
        splices
            .iter()
            .flat_map(|splice| document.edit(Timestamp::EPOCH, std::slice::from_ref(splice)).unwrap().updates)
            .collect()
    }

    #[test]
    #[cfg_attr(target_arch = "wasm32", wasm_bindgen_test::wasm_bindgen_test)]
    fn however_it_is_cut_the_same_text_agrees_and_other_text_does_not() {
        let story = [
            Splice::insert(0, "one 👩‍👧 "),
            Splice::insert(4, "two"),
            Splice::delete(0, 2),
            Splice::insert(5, "e\u{301}"),
        ];
        let whole = typed(5, &story);
        let merged = [merge(&whole).unwrap()];
        assert!(agree(&whole, &merged) && agree(&merged, &whole));
        assert!(agree(&whole[..2], &merged) && agree(&merged, &whole[..2]));
        assert!(agree(&whole[..1], &whole[1..]), "what does not overlap");
        assert!(agree(&whole, &typed(6, &[Splice::insert(0, "another client")])));

        let letter = typed(5, &[Splice::insert(0, "one 👨‍👧 ")]);
        assert!(!agree(&letter, &merged) && !agree(&merged, &letter), "another letter");
        let mut elsewhere = story.clone();
        elsewhere[1] = Splice::insert(3, "two");
        assert!(!agree(&typed(5, &elsewhere), &merged), "another place");

        // Of three letters the middle one is left out: what goes on after the hole does not go on from before it.
        let letters: Vec<Splice> =
            (0..3).map(|at| Splice::insert(at, ["a", "b", "c"][at as usize])).collect();
        let abc = typed(5, &letters);
        let other_end = typed(5, &[letters[0].clone(), letters[1].clone(), Splice::insert(2, "x")]);
        assert!(!agree(&[abc[0].clone(), abc[2].clone()], &other_end));
    }
}
