use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Source offset → target offset, record by record: what the map has to say.
type Naive = BTreeMap<i64, i64>;

fn build(start: (i64, i64), steps: &[(i64, i64, i64)]) -> (OffsetMap, Naive) {
    let mut map = OffsetMap::starting_at(start.0, start.1);
    let mut naive = Naive::new();
    extend(&mut map, &mut naive, steps);
    (map, naive)
}

fn extend(map: &mut OffsetMap, naive: &mut Naive, steps: &[(i64, i64, i64)]) {
    for &(source_gap, target_gap, records) in steps {
        let (source, target) = (map.end().0 + source_gap, map.end().1 + target_gap);
        map.push(source, target, records);
        naive.extend((0..records).map(|at| (source + at, target + at)));
    }
}

fn assert_says(map: &OffsetMap, naive: &Naive) {
    let first = map.start().0;
    for source in first - 2..map.end().0 + 2 {
        assert_eq!(map.target_of(source), naive.get(&source).copied(), "target of {source}");
        let next = naive.range(source..).next().map_or(map.end().1, |(_, target)| *target);
        let is_known = (first..=map.end().0).contains(&source);
        assert_eq!(map.target_position(source), is_known.then_some(next), "target position of {source}");
    }
    let back: BTreeMap<i64, i64> = naive.iter().map(|(source, target)| (*target, *source)).collect();
    let first = map.start().1;
    for target in first - 2..map.end().1 + 2 {
        assert_eq!(map.source_of(target), back.get(&target).copied(), "source of {target}");
        let next = back.range(target..).next().map_or(map.end().0, |(_, source)| *source);
        let is_known = (first..=map.end().1).contains(&target);
        assert_eq!(map.source_position(target), is_known.then_some(next), "source position of {target}");
    }
}

/// What a state topic holds after every change: the last text per first source offset.
fn store(stored: &mut BTreeMap<i64, String>, map: &mut OffsetMap) {
    for (first, chunk) in map.take_changes() {
        match chunk {
            Some(chunk) => stored.insert(first, chunk.to_string()),
            None => stored.remove(&first),
        };
    }
}

fn load(stored: &BTreeMap<i64, String>) -> OffsetMap {
    OffsetMap::from_chunks(0, stored.values().map(|text| text.parse().unwrap()).collect())
}

fn steps(most: usize) -> impl Strategy<Value = Vec<(i64, i64, i64)>> {
    prop::collection::vec((0..3i64, prop_oneof![9 => Just(0i64), 1 => 1..3i64], 1..5i64), 0..most)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(50))]

    #[test]
    fn the_map_says_where_every_record_is(start in (0..50i64, 0..50i64), steps in steps(900)) {
        let (map, naive) = build(start, &steps);
        assert_says(&map, &naive);
    }

    #[test]
    fn what_is_stored_reads_back(parts in prop::collection::vec(steps(400), 1..4), cut in any::<prop::sample::Index>()) {
        let (mut map, mut naive) = (OffsetMap::starting_at(5, 3), Naive::new());
        let mut stored = BTreeMap::new();
        for steps in &parts {
            extend(&mut map, &mut naive, steps);
            store(&mut stored, &mut map);
        }
        let read = load(&stored);
        prop_assert!(read.runs().eq(map.runs()));
        let source = 5 + cut.index(map.end().0 as usize) as i64;
        map.cut_source(source);
        naive.split_off(&source);
        map.skip_target(map.end().1);
        assert_eq!(map.end().0, source);
        for (source, target) in &naive {
            assert_eq!(map.target_of(*source), Some(*target));
        }
        store(&mut stored, &mut map);
        prop_assert!(load(&stored).runs().eq(map.runs()));
        // And it grows on.
        extend(&mut map, &mut naive, &[(0, 0, 3), (1, 0, 2)]);
        store(&mut stored, &mut map);
        prop_assert!(load(&stored).runs().eq(map.runs()));
    }

    #[test]
    fn a_map_cut_on_the_target_says_what_it_said(steps in steps(900), cut in any::<prop::sample::Index>()) {
        let (mut map, mut naive) = build((0, 0), &steps);
        let target = cut.index(map.end().1 as usize + 1) as i64;
        map.cut_target(target);
        naive.retain(|_, at| *at < target);
        assert_says(&map, &naive);
    }
}

#[test]
fn a_hole_left_by_an_instance_that_was_behind_ends_the_map() {
    let runs = |from: i64, count: i64| (0..count).map(move |at| (from + at * 3, from + at * 2));
    let chunk = |after: i64, runs: Vec<(i64, i64)>| {
        let runs: Vec<Run> =
            runs.into_iter().map(|(source, target)| Run { source, target, records: 2 }).collect();
        MapChunk::encode(after, &runs)
    };
    let first = chunk(0, runs(0, 10).collect());
    let short = chunk(0, runs(0, 4).collect());
    let second = chunk(20, (0..5).map(|at| (30 + at * 3, 20 + at * 2)).collect());
    let whole = OffsetMap::from_chunks(0, vec![second.clone(), first, short.clone()]);
    assert_eq!((whole.len(), whole.end()), (15, (44, 30)));
    let holed = OffsetMap::from_chunks(0, vec![second, short]);
    assert_eq!((holed.len(), holed.end()), (4, (11, 8)));
}

#[test]
fn a_million_runs_take_a_few_bytes_each() {
    let mut map = OffsetMap::starting_at(0, 0);
    for _ in 0..1_000_000 {
        map.push(map.end().0 + 1, map.end().1, 100);
    }
    assert_eq!(map.len(), 1_000_000);
    let bytes_per_run = map.memory_bytes() / map.len();
    assert!(bytes_per_run < 8, "{bytes_per_run}");
}

#[test]
fn what_is_no_chunk_is_refused() {
    for text in
        ["", "1", "0 0:0", "0 0:0 0", "0 0:0 -1", "0 5:4 1+x 2", "9 0:4 3", "0 0:0 1+99999999999999999999 1"]
    {
        assert!(text.parse::<MapChunk>().is_err(), "{text}");
    }
    let text = "90 1200:90 100+1 57+1/2 3";
    assert_eq!(text.parse::<MapChunk>().unwrap().to_string(), text);
}
