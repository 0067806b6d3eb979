//! Transaction markers written by a client itself: WriteTxnMarkers. As in `questions`, an error code is part of the answer.

use super::Error;
use super::client::Client;
use super::primitives::{Body, Rest};

/// Entries of one request that all go to one partition.
#[derive(Debug, Clone, Copy)]
pub struct Markers {
    /// Producer id and epoch.
    pub producer: (i64, i16),
    /// Epoch of the coordinator that claims to send them.
    pub coordinator_epoch: i32,
    /// Commit, not abort.
    pub commit: bool,
    /// How many entries.
    pub count: usize,
}

impl Client {
    /// Writes markers in one request; the error code for the partition, of the last entry.
    pub fn try_write_markers(&mut self, topic: &str, partition: i32, markers: Markers) -> Result<i16, Error> {
        self.until_settled(|client| client.write_markers_once(topic, partition, &[markers]), |code| *code)
    }

    /// The same for several lists, one behind the other in one request.
    pub fn try_write_lists(&mut self, topic: &str, partition: i32, lists: &[Markers]) -> Result<i16, Error> {
        self.until_settled(|client| client.write_markers_once(topic, partition, lists), |code| *code)
    }

    fn write_markers_once(&mut self, topic: &str, partition: i32, lists: &[Markers]) -> Result<i16, Error> {
        // Flexible: a byte of no tags ends the header and every structure.
        let total = lists.iter().map(|list| list.count).sum();
        let mut body = Body::default().int8(0).compact_array(total);
        for Markers { producer, coordinator_epoch, commit, count } in lists {
            for _ in 0..*count {
                body = body.int64(producer.0).int16(producer.1).int8((*commit).into());
                body = body.compact_array(1).compact_string(topic).compact_array(1).int32(partition).int8(0);
                body = body.int32(*coordinator_epoch).int8(0);
            }
        }
        let answer = self.ask_leader_once(topic, partition, (27, 1), &body.int8(0).0)?;
        let mut rest = Rest::new(&answer, "WriteTxnMarkers answer");
        rest.int8()?;
        let mut codes = Vec::new();
        for _ in 0..rest.compact_length()? {
            rest.int64()?;
            for _ in 0..rest.compact_length()? {
                let name = rest.compact_length()?;
                rest.take(name)?;
                for _ in 0..rest.compact_length()? {
                    rest.int32()?;
                    codes.push(rest.int16()?);
                    rest.int8()?;
                }
                rest.int8()?;
            }
            rest.int8()?;
        }
        // One entry per producer id: the first that complains speaks for all.
        let complaint = codes.iter().copied().find(|code| *code != 0);
        complaint.or(codes.first().copied()).ok_or(Error::malformed("WriteTxnMarkers answer"))
    }
}
