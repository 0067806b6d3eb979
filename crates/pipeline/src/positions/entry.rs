//! How state is written down: one record per fact, readable with any console consumer.
//!
//! | key | value |
//! |---|---|
//! | `producer/<origin cluster id>/<producer id>` | `epoch=0` |
//! | `markers/<producer id>` | `epoch=0` |
//! | `position/<partition>/<source topic>` | `source=1200 target=1180 sequence=1180 epoch=3 offsets=translated …` |
//! | `map/<first source offset>/<partition>/<source topic>` | runs: see [`MapChunk`] |
//! | `gap/<target offset>/<partition>/<source topic>` | `from=100 to=250 why=retention` |
//! | `policy/<target topic>` | the cleanup.policy it had before it was widened for a moment |
//! | `lease/<instance>` | `ttl_ms=3000` |
//!
//! Of several producers for the same the first one counts, for all instances: the id is part of the key, so that compaction keeps it.

use super::{Gap, GapCause, MapChunk, OffsetsHeld, PartitionChange, Position, ProducerRole, Summary};
use crate::error::PartitionName;
use verbatim_wire::primitives::TopicId;

/// A record that is no state of a flow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// Unknown kind of key.
    #[error("unknown key `{key}`")]
    Key {
        /// The key.
        key: String,
    },
    /// A field of the value is missing or no number.
    #[error("key `{key}`: field `{field}` is missing or cannot be read")]
    Field {
        /// The key.
        key: String,
        /// The field.
        field: &'static str,
    },
}

/// One fact read; without a value it stands no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    Producer { origin: String, producer: (i64, i16) },
    MarkerProducer((i64, i16)),
    Position { name: PartitionName, summary: Option<Summary> },
    Map { name: PartitionName, first_source: i64, chunk: Option<MapChunk> },
    Gap { name: PartitionName, target: i64, gap: Option<Gap> },
    Policy { topic: String, policy: Option<String> },
    Lease { owner: String, ttl_ms: i64 },
}

/// A key and its value; `None` removes what the key stood for.
pub(super) type Written = (String, Option<String>);

pub(super) fn producer(role: ProducerRole<'_>, (id, epoch): (i64, i16)) -> Written {
    let key = match role {
        ProducerRole::Records { origin } => format!("producer/{origin}/{id}"),
        ProducerRole::Markers => format!("markers/{id}"),
    };
    (key, Some(format!("epoch={epoch}")))
}

pub(super) fn policy(topic: &str, policy: Option<&str>) -> Written {
    (format!("policy/{topic}"), policy.map(str::to_owned))
}

pub(super) fn lease(owner: &str, ttl_ms: i64) -> Written {
    (format!("lease/{owner}"), Some(format!("ttl_ms={ttl_ms}")))
}

/// The records of one change; the position comes last, so that what was written of it is never ahead of the map.
pub(super) fn change(change: &PartitionChange) -> Vec<Written> {
    let PartitionName { topic, partition } = &change.name;
    let mut written = Vec::with_capacity(change.chunks.len() + 1);
    for (first_source, chunk) in &change.chunks {
        let key = format!("map/{first_source}/{partition}/{topic}");
        written.push((key, chunk.as_ref().map(ToString::to_string)));
    }
    for target in &change.forgotten_gaps {
        written.push((format!("gap/{target}/{partition}/{topic}"), None));
    }
    for Gap { from, to, target, why } in &change.gaps {
        let key = format!("gap/{target}/{partition}/{topic}");
        written.push((key, Some(format!("from={from} to={to} why={why}"))));
    }
    written.push((format!("position/{partition}/{topic}"), change.summary.as_ref().map(summary)));
    written
}

fn summary(summary: &Summary) -> String {
    let Summary { position, offsets, source_topic, target_topic, map_from, map_to } = summary;
    let Position { source_offset, target_offset, sequence, leader_epoch } = position;
    let offsets = match offsets {
        OffsetsHeld::Preserved => "preserved",
        OffsetsHeld::Translated => "translated",
    };
    format!(
        "source={source_offset} target={target_offset} sequence={sequence} epoch={leader_epoch} offsets={offsets} \
         source_topic={source_topic} target_topic={target_topic} map_from={map_from} map_to={map_to}"
    )
}

/// Reads one record.
pub(super) fn read(key: &str, value: Option<&str>) -> Result<Entry, EntryError> {
    let unknown = || EntryError::Key { key: key.to_owned() };
    let (kind, rest) = key.split_once('/').unwrap_or((key, ""));
    let fields = value.map(|value| Fields { key, value });
    let producer = |id: &str| {
        let id = id.parse().map_err(|_| unknown())?;
        // Producers are never taken back.
        let epoch = Fields { key, value: value.unwrap_or_default() }.number("epoch")?;
        Ok((id, epoch))
    };
    Ok(match kind {
        "producer" => {
            let (origin, id) = rest.rsplit_once('/').ok_or_else(unknown)?;
            Entry::Producer { origin: origin.to_owned(), producer: producer(id)? }
        }
        "markers" => Entry::MarkerProducer(producer(rest)?),
        "position" => Entry::Position {
            name: name(rest).ok_or_else(unknown)?,
            summary: fields.map(|fields| fields.summary()).transpose()?,
        },
        "map" => {
            let (first_source, name) = numbered(rest).ok_or_else(unknown)?;
            let parse = |text: &str| {
                text.parse().map_err(|_| EntryError::Field { key: key.to_owned(), field: "runs" })
            };
            Entry::Map { name, first_source, chunk: value.map(parse).transpose()? }
        }
        "gap" => {
            let (target, name) = numbered(rest).ok_or_else(unknown)?;
            Entry::Gap { name, target, gap: fields.map(|fields| fields.gap(target)).transpose()? }
        }
        "policy" => Entry::Policy { topic: rest.to_owned(), policy: value.map(str::to_owned) },
        "lease" => {
            let ttl_ms = fields.map_or(Ok(0), |fields| fields.number("ttl_ms"))?;
            Entry::Lease { owner: rest.to_owned(), ttl_ms }
        }
        _ => return Err(unknown()),
    })
}

/// `<partition>/<topic>`; topic names hold no slash, but nothing depends on it.
fn name(text: &str) -> Option<PartitionName> {
    let (partition, topic) = text.split_once('/')?;
    Some(PartitionName { topic: topic.into(), partition: partition.parse().ok()? })
}

fn numbered(text: &str) -> Option<(i64, PartitionName)> {
    let (number, rest) = text.split_once('/')?;
    Some((number.parse().ok()?, name(rest)?))
}

struct Fields<'a> {
    key: &'a str,
    value: &'a str,
}

impl Fields<'_> {
    fn text(&self, field: &'static str) -> Result<&str, EntryError> {
        let mut pairs = self.value.split(' ').filter_map(|pair| pair.split_once('='));
        let found = pairs.find(|(name, _)| *name == field).map(|(_, text)| text);
        found.ok_or_else(|| self.unreadable(field))
    }

    fn unreadable(&self, field: &'static str) -> EntryError {
        EntryError::Field { key: self.key.to_owned(), field }
    }

    fn number<T: std::str::FromStr>(&self, field: &'static str) -> Result<T, EntryError> {
        self.text(field)?.parse().map_err(|_| self.unreadable(field))
    }

    fn topic_id(&self, field: &'static str) -> Result<TopicId, EntryError> {
        self.text(field)?.parse().map_err(|_| self.unreadable(field))
    }

    fn summary(&self) -> Result<Summary, EntryError> {
        Ok(Summary {
            position: Position {
                source_offset: self.number("source")?,
                target_offset: self.number("target")?,
                sequence: self.number("sequence")?,
                leader_epoch: self.number("epoch")?,
            },
            offsets: match self.text("offsets")? {
                "preserved" => OffsetsHeld::Preserved,
                "translated" => OffsetsHeld::Translated,
                _ => return Err(self.unreadable("offsets")),
            },
            source_topic: self.topic_id("source_topic")?,
            target_topic: self.topic_id("target_topic")?,
            map_from: self.number("map_from")?,
            map_to: self.number("map_to")?,
        })
    }

    fn gap(&self, target: i64) -> Result<Gap, EntryError> {
        let why = self.text("why")?;
        let why = GapCause::ALL.into_iter().find(|cause| cause.to_string() == why);
        Ok(Gap {
            from: self.number("from")?,
            to: self.number("to")?,
            target,
            why: why.ok_or_else(|| self.unreadable("why"))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn a_summary() -> Summary {
        Summary {
            position: Position { source_offset: 1200, target_offset: 1180, sequence: 5, leader_epoch: -1 },
            offsets: OffsetsHeld::Preserved,
            source_topic: TopicId([0xA7; 16]),
            target_topic: TopicId::ZERO,
            map_from: 7,
            map_to: 1100,
        }
    }

    #[test]
    fn state_reads_back_as_written() {
        let name = PartitionName { topic: "a/b".into(), partition: 7 };
        let gap = Gap { from: 3, to: 9, target: 2, why: GapCause::Truncation };
        let chunk: MapChunk = "0 5:4 10+1 3".parse().unwrap();
        let written = change(&PartitionChange {
            name: name.clone(),
            summary: Some(a_summary()),
            chunks: vec![(5, Some(chunk.clone())), (90, None)],
            gaps: vec![gap.clone()],
            forgotten_gaps: vec![44],
        });
        let entries: Vec<_> =
            written.iter().map(|(key, value)| read(key, value.as_deref()).unwrap()).collect();
        assert_eq!(
            entries,
            [
                Entry::Map { name: name.clone(), first_source: 5, chunk: Some(chunk) },
                Entry::Map { name: name.clone(), first_source: 90, chunk: None },
                Entry::Gap { name: name.clone(), target: 44, gap: None },
                Entry::Gap { name: name.clone(), target: 2, gap: Some(gap) },
                Entry::Position { name, summary: Some(a_summary()) },
            ]
        );
        let (key, value) = producer(ProducerRole::Records { origin: "x-y" }, (4001, 2));
        let expected = Entry::Producer { origin: "x-y".to_owned(), producer: (4001, 2) };
        assert_eq!(read(&key, value.as_deref()), Ok(expected));
        let (key, value) = producer(ProducerRole::Markers, (4, 0));
        assert_eq!(read(&key, value.as_deref()), Ok(Entry::MarkerProducer((4, 0))));
        let (key, value) = lease("me", 3000);
        let expected = Entry::Lease { owner: "me".to_owned(), ttl_ms: 3000 };
        assert_eq!(read(&key, value.as_deref()), Ok(expected));
    }

    #[test]
    fn foreign_records_are_named() {
        for (key, value) in [
            ("x", "y"),
            ("order/1", "a"),
            ("position/x/t", "source=1"),
            ("position/1/t", "source=z"),
            ("map/1/t", ""),
            ("map/1/2/t", "5"),
            ("gap/1/2/t", "from=1 to=2 why=fun"),
        ] {
            assert!(read(key, Some(value)).is_err(), "{key}");
        }
    }
}
