//! What the target holds of ours where others write to it too.
//!
//! Its offsets then say nothing of how many records were copied. The batches of our producer do: each names the sequence number of
//! its first record, which is the count of records copied before it.

use super::Landmark;
use super::resume::{Ground, Resume, ResumeAnswer};
use crate::error::StopReason;
use verbatim_wire::cluster::{Cluster, ClusterError, ErrorClass, OffsetAt};
use verbatim_wire::records::BatchHeader;
use verbatim_wire::records::patch::sequence_after;

/// Records of ours on the target: the offset of the first, and how many.
pub(crate) type Placed = (i64, i64);

/// Reads the target's log, which is replicated up to `end`, from the settled end on.
pub(super) async fn read(
    target: &Cluster,
    leader: i32,
    producer: i64,
    resume: &Resume,
    end: i64,
    remembered: Option<i32>,
) -> Result<Result<(Ground, Vec<Placed>), ResumeAnswer>, ClusterError> {
    let key = (resume.topic.name.clone(), resume.partition);
    let starts = target.list_offsets(leader, &[key], OffsetAt::Earliest).await?;
    let from = starts.iter().map(|start| start.offset).max().unwrap_or(0).max(resume.settled.target_offset);
    let mut ours: Vec<BatchHeader> = Vec::new();
    let leader = (leader, resume.leader_epoch);
    let read = target.read_log(leader, &resume.topic, resume.partition, from, |batch| {
        let header = batch.header;
        if header.producer_id == producer && header.base_offset >= from && !header.attributes.is_control() {
            ours.push(header);
        }
        header.next_offset() < end
    });
    match read.await {
        Ok(()) => {}
        Err(error) if error.broker_error().is_some_and(|code| code.class() == ErrorClass::OutOfRange) => {
            let reason = StopReason::TargetShorter { expected: from, found: None };
            return Ok(Err(ResumeAnswer::Stop(reason)));
        }
        Err(error) => return Err(error),
    }
    let mut ground = Ground {
        end,
        held: 0,
        // Without a batch of ours: what the leader remembers, and else what was noted.
        sequence: remembered.map_or(resume.settled.sequence, |last| sequence_after(last, 1)),
        landmark: None,
    };
    if resume.is_set_back && ours.is_empty() && remembered.is_none() {
        let (expected, found) = (resume.settled.sequence, -1);
        return Ok(Err(ResumeAnswer::Stop(StopReason::TargetLost { expected, found })));
    }
    let mut places: Vec<Placed> = Vec::new();
    let mut next = resume.settled.sequence;
    if let Some(first) = ours.first().filter(|_| resume.is_set_back) {
        next = first.base_sequence;
    }
    let may_miss = resume.is_target_compacted || from > resume.settled.target_offset;
    for header in ours {
        let before = distance(next, header.base_sequence);
        let records = i64::from(header.last_offset_delta) + 1;
        if before < 0 || (before > 0 && !may_miss) {
            let reason = StopReason::TargetLost { expected: next, found: header.base_sequence };
            return Ok(Err(ResumeAnswer::Stop(reason)));
        }
        if before > 0 {
            // Compaction took them, and their places with them: right before what follows is as good as any.
            let after = places.last().map_or(resume.settled.target_offset, |(offset, count)| offset + count);
            let free = (header.base_offset - after).max(0).min(before);
            places.push((header.base_offset - free, before));
        }
        places.push((header.base_offset, records));
        ground.held += before + records;
        next = sequence_after(header.base_sequence, header.last_offset_delta + 1);
        (ground.sequence, ground.landmark) = (next, Some(Landmark { header, records_crc: None }));
    }
    Ok(Ok((ground, places)))
}

/// How many records lie between two sequence numbers; negative when the second is behind.
pub(super) fn distance(from: i32, to: i32) -> i64 {
    const CIRCLE: i64 = 1 << 31;
    let ahead = (i64::from(to) - i64::from(from)).rem_euclid(CIRCLE);
    if ahead < CIRCLE / 2 { ahead } else { ahead - CIRCLE }
}

/// Takes the places of the next `records` off `places`.
pub(crate) fn take_places(places: &mut std::collections::VecDeque<Placed>, records: i64) -> Vec<Placed> {
    let mut taken = Vec::new();
    let mut left = records;
    while left > 0 {
        let Some((offset, count)) = places.pop_front() else { break };
        let some = count.min(left);
        taken.push((offset, some));
        if some < count {
            places.push_front((offset + some, count - some));
        }
        left -= some;
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_taken_in_order() {
        let mut places = [(10, 3), (20, 2)].into();
        assert_eq!(take_places(&mut places, 2), [(10, 2)]);
        assert_eq!(take_places(&mut places, 2), [(12, 1), (20, 1)]);
        assert_eq!(take_places(&mut places, 5), [(21, 1)]);
        assert!(places.is_empty());
    }

    #[test]
    fn distances_go_round_the_circle() {
        assert_eq!((distance(5, 9), distance(9, 5), distance(i32::MAX, 1)), (4, -4, 2));
    }
}
