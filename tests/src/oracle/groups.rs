//! What is committed for consumer groups.

use super::primitives::Body;
use super::questions::{CoordinatorOf, accepted, one};
use super::{Client, Error};

const NOTHING_COMMITTED: i64 = -1;

impl Client {
    /// What is committed for a group; none if nothing is.
    pub fn committed_offset(
        &mut self,
        group: &str,
        topic: &str,
        partition: i32,
    ) -> Result<Option<i64>, Error> {
        let body = Body::default().string(group).array(1).string(topic).array(1).int32(partition);
        let (code, offset, _) =
            self.ask_coordinator(CoordinatorOf::Group, group, (9, 1), &body.0, |rest| {
                one(*rest, |rest| {
                    rest.int32()?;
                    let offset = rest.int64()?;
                    rest.string()?;
                    Ok((rest.int16()?, offset, 0))
                })
            })?;
        accepted("OffsetFetch", group, code)?;
        Ok(Some(offset).filter(|offset| *offset != NOTHING_COMMITTED))
    }

    /// Commits an offset for a group without members, as an administrator does.
    pub fn commit_offset(
        &mut self,
        group: &str,
        topic: &str,
        partition: i32,
        offset: i64,
    ) -> Result<(), Error> {
        let body = Body::default().string(group).int32(-1).string("").int64(-1).array(1).string(topic);
        let body = body.array(1).int32(partition).int64(offset).null_string();
        let (code, ..) = self.ask_coordinator(CoordinatorOf::Group, group, (8, 2), &body.0, |rest| {
            one(*rest, |rest| {
                rest.int32()?;
                Ok((rest.int16()?, 0, 0))
            })
        })?;
        accepted("OffsetCommit", group, code)
    }
}
