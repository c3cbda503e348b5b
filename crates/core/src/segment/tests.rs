#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use miniz_oxide::deflate::compress_to_vec;

use super::*;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn bytes(&mut self, most: u64) -> Vec<u8> {
        (0..self.next() % (most + 1)).map(|_| self.next() as u8).collect()
    }
}

fn entry(millis: u64, update: &[u8]) -> Entry {
    Entry { at: Timestamp::from_millis(millis), update: update.to_vec() }
}

fn deflated(inflated: &[u8]) -> Vec<u8> {
    compress_to_vec(inflated, 9)
}

#[test]
fn entries_are_read_back_as_they_were() {
    assert_eq!(decode_entries(&encode_entries(&[])), Ok(vec![]));
    for seed in 0..300 {
        let mut random = Random(seed);
        let entries: Vec<Entry> = (0..random.next() % 40)
            .map(|_| {
                let millis = random.next() % (MAX_MILLIS >> (random.next() % 48));
                entry(millis, &random.bytes(300))
            })
            .collect();
        assert_eq!(decode_entries(&encode_entries(&entries)), Ok(entries), "seed {seed}");
    }
}

#[test]
fn they_are_dag_cbor() {
    let entries = [entry(23, &[1]), entry(24, &[]), entry(1_795_401_000_250, &[0; 300])];
    let ours = inflated(&entries);
    let value = sheaf_repo::cbor::decode(&ours).expect("strict DAG-CBOR");
    assert_eq!(sheaf_repo::cbor::encode(&value), ours);
}

#[test]
fn what_is_not_exactly_entries_is_refused() {
    let good = inflated(&[entry(7, &[1, 2, 3])]);
    assert_eq!(good, [0x81, 0x82, 7, 0x43, 1, 2, 3]);
    let cases: &[&[u8]] = &[
        &[],
        &[0x81],
        &[0x81, 0x82, 7],
        &[0x81, 0x82, 7, 0x43, 1, 2],
        &[0x81, 0x82, 7, 0x43, 1, 2, 3, 0],
        &[0x82, 0x82, 7, 0x43, 1, 2, 3],
        &[0x81, 0x83, 7, 0x41, 1, 7],
        &[0x81, 0x81, 7],
        &[0x81, 0x82, 0x18, 7, 0x41, 1],
        &[0x81, 0x82, 7, 0x58, 3, 1, 2, 3],
        &[0x98, 1, 0x82, 7, 0x41, 1],
        &[0x9f, 0x82, 7, 0x41, 1, 0xff],
        &[0x81, 0x82, 0x27, 0x41, 1],
        &[0x81, 0x82, 7, 0x61, b'a'],
        &[0x81, 0x82, 0x1b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x41, 1],
        &[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        &[0x99, 0x10, 0x01],
        &[0x81, 0x82, 7, 0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        &[0xa0],
    ];
    for case in cases {
        assert!(decode_entries(&deflated(case)).is_err(), "{case:?}");
    }
    assert_eq!(decode_entries(&deflated(&[0x99, 0x10, 0x01])), Err(SegmentError::TooMany(4_097)));
}

#[test]
fn deflated_data_ends_where_it_ends() {
    let good = encode_entries(&[entry(7, &[1, 2, 3]), entry(8, &[4; 500])]);
    let mut more = good.clone();
    more.push(0);
    assert_eq!(decode_entries(&more), Err(SegmentError::NotDeflated));
    for len in 0..good.len() {
        assert!(decode_entries(&good[..len]).is_err(), "cut to {len}");
    }
    assert_eq!(
        decode_entries(&vec![0; MAX_ENTRIES_BYTES + 1]),
        Err(SegmentError::TooLong(MAX_ENTRIES_BYTES + 1))
    );
}

#[test]
fn what_inflates_too_far_is_refused() {
    let bomb = deflated(&vec![0; 50 * 1024 * 1024]);
    assert!(bomb.len() < MAX_ENTRIES_BYTES, "{}", bomb.len());
    assert_eq!(decode_entries(&bomb), Err(SegmentError::Bomb(MAX_INFLATED)));
    let small = encode_entries(&[entry(7, &vec![0; 900 * 1024])]);
    assert!(
        matches!(decode_entries(&small), Err(SegmentError::Bomb(_))),
        "text does not deflate a thousandfold"
    );
}

#[test]
fn changed_bytes_never_panic() {
    let mut random = Random(11);
    let entries: Vec<Entry> = (0..30).map(|n| entry(1_795_401_000_000 + n, &random.bytes(60))).collect();
    let good = encode_entries(&entries);
    for _ in 0..20_000 {
        let mut changed = good.clone();
        for _ in 0..=random.next() % 4 {
            let at = random.next() as usize % changed.len();
            changed[at] = random.next() as u8;
        }
        if let Ok(read) = decode_entries(&changed) {
            assert_eq!(decode_entries(&encode_entries(&read)), Ok(read));
        }
        let noise = random.bytes(200);
        let _ = decode_entries(&noise);
    }
}
