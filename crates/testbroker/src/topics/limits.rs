//! The configurations an append looks at, parsed once.

use std::collections::BTreeMap;
use std::str::FromStr;

use crate::error::ErrorCode;
use crate::topics::configs;

/// `message.timestamp.type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimestampType {
    CreateTime,
    LogAppendTime,
}

/// Typed topic configurations.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    pub(crate) max_message_bytes: usize,
    pub(crate) segment_bytes: usize,
    /// `None`: unlimited (`retention.bytes = -1`).
    pub(crate) retention_bytes: Option<usize>,
    pub(crate) timestamp_type: TimestampType,
    pub(crate) timestamp_before_max_ms: i64,
    pub(crate) timestamp_after_max_ms: i64,
    pub(crate) compacted: bool,
    /// Whether `cleanup.policy` contains delete.
    pub(crate) deletes: bool,
    pub(crate) min_insync_replicas: usize,
}

impl Limits {
    /// Parses; `INVALID_CONFIG` for an unknown name or an impossible value.
    pub(crate) fn parse(configs: &BTreeMap<String, String>) -> Result<Self, ErrorCode> {
        if !configs.keys().all(|name| configs::is_topic_config(name)) {
            return Err(ErrorCode::INVALID_CONFIG);
        }
        let timestamp_type = match configs::effective(configs, "message.timestamp.type") {
            "CreateTime" => TimestampType::CreateTime,
            "LogAppendTime" => TimestampType::LogAppendTime,
            _ => return Err(ErrorCode::INVALID_CONFIG),
        };
        let policies = configs::effective(configs, "cleanup.policy").split(',').map(str::trim);
        let (mut compacted, mut deletes) = (false, false);
        for policy in policies {
            match policy {
                "compact" => compacted = true,
                "delete" => deletes = true,
                "" => {}
                _ => return Err(ErrorCode::INVALID_CONFIG),
            }
        }
        let retention_bytes: i64 = number(configs, "retention.bytes")?;
        Ok(Self {
            max_message_bytes: number(configs, "max.message.bytes")?,
            segment_bytes: number(configs, "segment.bytes")?,
            retention_bytes: usize::try_from(retention_bytes).ok(),
            timestamp_type,
            timestamp_before_max_ms: number(configs, "message.timestamp.before.max.ms")?,
            timestamp_after_max_ms: number(configs, "message.timestamp.after.max.ms")?,
            compacted,
            deletes,
            min_insync_replicas: number(configs, "min.insync.replicas")?,
        })
    }
}

fn number<T: FromStr>(configs: &BTreeMap<String, String>, name: &str) -> Result<T, ErrorCode> {
    configs::effective(configs, name).trim().parse().map_err(|_| ErrorCode::INVALID_CONFIG)
}
