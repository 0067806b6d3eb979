//! How state is written down: one record per fact, readable with any console consumer.
//!
//! | key | value |
//! |---|---|
//! | `producer/<origin cluster id>` | `id=4001 epoch=0` |
//! | `position/<partition>/<source topic>` | `source=1200 target=1180 sequence=1180 epoch=3` (`target=-` while unknown) |

use super::{Position, StoredState};
use crate::error::PartitionName;

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
    #[error("key `{key}`: field `{field}` is missing or not a number")]
    Field {
        /// The key.
        key: String,
        /// The field.
        field: &'static str,
    },
}

pub(super) fn producer(origin: &str, (id, epoch): (i64, i16)) -> (String, String) {
    (format!("producer/{origin}"), format!("id={id} epoch={epoch}"))
}

pub(super) fn position(name: &PartitionName, position: &Position) -> (String, String) {
    let Position { source_offset, target_offset, sequence, leader_epoch } = position;
    let target = target_offset.map_or_else(|| "-".to_owned(), |offset| offset.to_string());
    (
        format!("position/{}/{}", name.partition, name.topic),
        format!("source={source_offset} target={target} sequence={sequence} epoch={leader_epoch}"),
    )
}

/// Applies one record to `state`; a tombstone removes what its key stood for.
pub(super) fn apply(state: &mut StoredState, key: &str, value: Option<&str>) -> Result<(), EntryError> {
    let unknown = || EntryError::Key { key: key.to_owned() };
    let (kind, rest) = key.split_once('/').ok_or_else(unknown)?;
    let fields = Fields { key, value: value.unwrap_or_default() };
    match kind {
        "producer" => {
            if value.is_none() {
                state.producers.remove(rest);
            } else {
                state.producers.insert(rest.to_owned(), (fields.number("id")?, fields.number("epoch")?));
            }
        }
        "position" => {
            let (partition, topic) = rest.split_once('/').ok_or_else(unknown)?;
            let partition = partition.parse().map_err(|_| unknown())?;
            let name = PartitionName { topic: topic.into(), partition };
            if value.is_none() {
                state.positions.remove(&name);
            } else {
                state.positions.insert(name, fields.position()?);
            }
        }
        _ => return Err(unknown()),
    }
    Ok(())
}

struct Fields<'a> {
    key: &'a str,
    value: &'a str,
}

impl Fields<'_> {
    fn text(&self, field: &str) -> Option<&str> {
        let mut pairs = self.value.split(' ').filter_map(|pair| pair.split_once('='));
        pairs.find(|(name, _)| *name == field).map(|(_, text)| text)
    }

    fn number<T: std::str::FromStr>(&self, field: &'static str) -> Result<T, EntryError> {
        let number = self.text(field).and_then(|text| text.parse().ok());
        number.ok_or_else(|| EntryError::Field { key: self.key.to_owned(), field })
    }

    fn position(&self) -> Result<Position, EntryError> {
        let is_unknown = self.text("target") == Some("-");
        Ok(Position {
            source_offset: self.number("source")?,
            target_offset: if is_unknown { None } else { Some(self.number("target")?) },
            sequence: self.number("sequence")?,
            leader_epoch: self.number("epoch")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_reads_back_as_written() {
        let name = PartitionName { topic: "a/b".into(), partition: 7 };
        let mut state = StoredState::default();
        for target_offset in [None, Some(1180)] {
            let stored = Position { source_offset: 1200, target_offset, sequence: 5, leader_epoch: -1 };
            let (key, value) = position(&name, &stored);
            apply(&mut state, &key, Some(&value)).unwrap();
            assert_eq!(state.positions[&name], stored);
        }
        let (key, value) = producer("x-y", (4001, 2));
        apply(&mut state, &key, Some(&value)).unwrap();
        assert_eq!(state.producers["x-y"], (4001, 2));
        apply(&mut state, "position/7/a/b", None).unwrap();
        assert!(state.positions.is_empty());
    }

    #[test]
    fn foreign_records_are_named() {
        let mut state = StoredState::default();
        for (key, value) in
            [("x", "y"), ("order/1", "a"), ("position/x/t", "source=1"), ("position/1/t", "source=z")]
        {
            assert!(apply(&mut state, key, Some(value)).is_err(), "{key}");
        }
    }
}
