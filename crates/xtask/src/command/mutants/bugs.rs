//! The bugs that are planted: each is one a replicator like this could well have.

/// One replacement in one file.
#[derive(Debug)]
pub(super) struct Bug {
    pub(super) name: &'static str,
    /// What goes wrong.
    pub(super) what: &'static str,
    /// From the root of the workspace.
    pub(super) file: &'static str,
    /// What stands there, exactly once.
    pub(super) right: &'static str,
    pub(super) wrong: &'static str,
}

pub(super) const BUGS: &[Bug] = &[
    Bug {
        name: "sequence-skipped",
        what: "now and then a sequence number is left out",
        file: "crates/pipeline/src/flow/patch.rs",
        right: "partition.cursor.sequence = next_sequence;\n        let fill_before",
        wrong: "partition.cursor.sequence = patch::sequence_after(next_sequence, i32::from(records == 5));\n        let fill_before",
    },
    Bug {
        name: "position-before-ack",
        what: "the position is saved before the target has acknowledged",
        file: "crates/pipeline/src/flow/checkpoint.rs",
        right: "position: partition.settled,",
        wrong: "position: crate::positions::Position { source_offset: partition.cursor.offset, ..partition.settled },",
    },
    Bug {
        name: "resumed-at-the-position",
        what: "what the target holds beyond the position is not looked at",
        file: "crates/pipeline/src/partition/resume.rs",
        right: "(beyond < CIRCLE / 2).then_some(beyond)",
        wrong: "(beyond < CIRCLE / 2).then_some(0)",
    },
    Bug {
        name: "held-one-short",
        what: "one record of those the target holds is not counted",
        file: "crates/pipeline/src/partition/resume.rs",
        right: "(i64::from(last) + 1 - i64::from(next)).rem_euclid(CIRCLE)",
        wrong: "(i64::from(last) - i64::from(next)).rem_euclid(CIRCLE)",
    },
    Bug {
        name: "landmark-not-compared",
        what: "the source is counted on, not compared with what the target ends with",
        file: "crates/pipeline/src/flow/patch.rs",
        right: "landmark.is_none_or(|landmark| partition.has_passed(&landmark, unpacked_bytes, &pool))",
        wrong: "landmark.is_none_or(|landmark| landmark.header.records_count > 0 || partition.has_passed(&landmark, unpacked_bytes, &pool))",
    },
    Bug {
        name: "aborted-copied",
        what: "records of aborted transactions are copied",
        file: "crates/pipeline/src/flow/inspect.rs",
        right: "header.attributes.is_transactional() && self.inside.contains(&header.producer_id)",
        wrong: "header.attributes.is_transactional() && self.inside.contains(&-1)",
    },
    Bug {
        name: "abort-without-end",
        what: "an abort marker does not end its producer's aborted range",
        file: "crates/pipeline/src/flow/inspect.rs",
        right: "self.inside.remove(&header.producer_id);",
        wrong: "self.inside.remove(&-1);",
    },
    Bug {
        name: "aborted-without-producer",
        what: "an aborted range covers transactions of other producers",
        file: "crates/pipeline/src/flow/inspect.rs",
        right: "header.attributes.is_transactional() && self.inside.contains(&header.producer_id)",
        wrong: "header.attributes.is_transactional()",
    },
    Bug {
        name: "marker-sent-twice",
        what: "markers whose answer was lost are sent again without a look at the log",
        file: "crates/pipeline/src/flow/fill.rs",
        right: "done.extend(open.into_iter().map(|(fill, _)| (fill, outcome())));",
        wrong: "if refused.is_none() {\n                    continue;\n                }\n                done.extend(open.into_iter().map(|(fill, _)| (fill, outcome())));",
    },
    Bug {
        name: "claim-for-everybody",
        what: "every instance that asks for the claim is granted it",
        file: "crates/pipeline/src/positions/lease.rs",
        right: "held.owner != owner && held.ends_ms > time_ms",
        wrong: "held.owner != owner && held.ends_ms < 0",
    },
    Bug {
        name: "first-not-alone",
        what: "the first batch after a look is sent with others behind it",
        file: "crates/pipeline/src/partition/mod.rs",
        right: "let limit = if self.target.has_accepted { most } else { 1 };",
        wrong: "let limit = most;",
    },
    Bug {
        name: "queue-kept",
        what: "what was queued before a failure is sent after it",
        file: "crates/pipeline/src/partition/mod.rs",
        right: "        self.queue.clear();\n",
        wrong: "",
    },
    Bug {
        name: "map-over-gaps",
        what: "the offset map joins runs that have a gap of the source between them",
        file: "crates/pipeline/src/positions/map/mod.rs",
        right: "last.source_end() == source && last.target_end() == target",
        wrong: "last.source_end() <= source && last.target_end() == target",
    },
    Bug {
        name: "holes-closed",
        what: "a batch with holes is built anew without them although offsets are preserved",
        file: "crates/pipeline/src/flow/repack.rs",
        right: "!limits.splits_at_holes || a.offset + 1 == b.offset",
        wrong: "!limits.splits_at_holes || a.offset < b.offset",
    },
    Bug {
        name: "gone-from-the-target",
        what: "a record that compaction took from the target is taken for one that was never copied",
        file: "crates/pipeline/src/partition/align.rs",
        right: "if aligned.runs.is_empty() || what.is_target_compacted {\n",
        wrong: "if aligned.runs.is_empty() || what.is_target_compacted {\n                aligned.runs.clear();\n",
    },
    Bug {
        name: "cut-not-noticed",
        what: "the leader epoch of what was copied last is not sent along",
        file: "crates/pipeline/src/partition/cursor.rs",
        right: "last_fetched_epoch: settled.leader_epoch,",
        wrong: "last_fetched_epoch: -1,",
    },
    Bug {
        name: "gap-noted-later",
        what: "copying goes on behind a gap before the gap is stored",
        file: "crates/pipeline/src/flow/checkpoint.rs",
        right: "        self.checkpoint.noting.insert(number);\n        self.save_moved();",
        wrong: "        self.locate(number);",
    },
    Bug {
        name: "range-of-another",
        what: "the answer to a range that was given up is taken for that of another",
        file: "crates/pipeline/src/flow/ranges.rs",
        right: "find(|open| open.number == range)",
        wrong: "find(|open| open.number % 2 == range % 2)",
    },
    Bug {
        name: "merged-over-a-gap",
        what: "batches that do not follow one another become one",
        file: "crates/pipeline/src/flow/merge.rs",
        right: "&& batch.source_offset == next_offset\n",
        wrong: "&& batch.source_offset >= next_offset\n",
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::workspace;

    #[test]
    fn every_bug_can_be_planted() {
        for Bug { name, file, right, wrong, .. } in BUGS {
            let text = std::fs::read_to_string(workspace().join(file)).unwrap();
            assert_eq!(text.matches(right).count(), 1, "{name}: what it replaces in {file}");
            assert_ne!(right, wrong, "{name}");
        }
    }
}
