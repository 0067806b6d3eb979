//! Questions about positions: where a leader epoch ended, what a group has committed. As in `questions`, an error code is part of the
//! answer.

use super::Error;
use super::client::Client;
use super::primitives::{Body, Rest};
use super::questions::{CoordinatorOf, one};

impl Client {
    /// OffsetForLeaderEpoch as replica `replica_id` (-1 a consumer, -2 a debugging one): error code, epoch and its end offset.
    pub fn try_epoch_end(
        &mut self,
        topic: &str,
        partition: i32,
        replica_id: i32,
        (current_epoch, wanted_epoch): (i32, i32),
    ) -> Result<(i16, i32, i64), Error> {
        let body = Body::default().int32(replica_id).array(1).string(topic).array(1);
        let body = body.int32(partition).int32(current_epoch).int32(wanted_epoch);
        let answer = self.ask_leader_once(topic, partition, (23, 3), &body.0)?;
        let mut rest = Rest::new(&answer, "OffsetForLeaderEpoch answer");
        rest.int32()?;
        one(rest, |rest| {
            let code = rest.int16()?;
            rest.int32()?;
            Ok((code, rest.int32()?, rest.int64()?))
        })
    }

    /// OffsetCommit by `member` in `generation` ("" and -1: by nobody): error code.
    pub fn try_commit(
        &mut self,
        group: &str,
        (member, generation): (&str, i32),
        (topic, partition, offset): (&str, i32, i64),
        metadata: &str,
    ) -> Result<i16, Error> {
        const NO_LEADER_EPOCH: i32 = -1;
        let body = Body::default().string(group).int32(generation).string(member).array(1).string(topic);
        let body = body.array(1).int32(partition).int64(offset).int32(NO_LEADER_EPOCH).string(metadata);
        let (.., code) = self.ask_coordinator(CoordinatorOf::Group, group, (8, 6), &body.0, |rest| {
            rest.int32()?;
            let code = one(*rest, |rest| {
                rest.int32()?;
                rest.int16()
            })?;
            // Asked again only while the coordinator is not ready: an unknown partition is an answer.
            Ok((if matches!(code, 14..=16) { code } else { 0 }, 0, code))
        })?;
        Ok(code)
    }

    /// OffsetFetch: error code, and the offset a group has committed, -1 for none.
    pub fn try_committed(&mut self, group: &str, topic: &str, partition: i32) -> Result<(i16, i64), Error> {
        let body = Body::default().string(group).array(1).string(topic).array(1).int32(partition);
        let (code, offset, _) =
            self.ask_coordinator(CoordinatorOf::Group, group, (9, 5), &body.0, |rest| {
                rest.int32()?;
                let (code, offset) = one(*rest, |rest| {
                    rest.int32()?;
                    let offset = rest.int64()?;
                    rest.int32()?;
                    rest.string()?;
                    Ok((rest.int16()?, offset))
                })?;
                Ok((code, offset, 0))
            })?;
        Ok((code, offset))
    }
}
