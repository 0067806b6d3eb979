//! Why a partition stopped.

use super::Side;
use std::sync::Arc;
use verbatim_wire::cluster::BrokerError;

/// Why one partition stopped. The others go on.
#[derive(Debug, thiserror::Error)]
pub enum StopReason {
    /// The checksum does not match the bytes as they came from the source.
    #[error(
        "the batch at source offset {offset} is damaged: its checksum does not match its {bytes} bytes as fetched; it \
         was not forwarded. Check the source broker's disk (kafka-dump-log), restore the replica, and start again"
    )]
    CorruptAtSource {
        /// Source offset of the batch.
        offset: i64,
        /// Size of the batch.
        bytes: usize,
    },
    /// What the source served is no record batch.
    #[error(
        "what the source holds at offset {offset} is not a record batch: {problem}; it was not forwarded"
    )]
    Malformed {
        /// Source offset.
        offset: i64,
        /// What is wrong.
        problem: &'static str,
    },
    /// A batch needed repacking and could not be opened.
    #[error("the batch at source offset {offset} has to be repacked ({why}) and cannot be: {problem}")]
    Repack {
        /// Source offset of the batch.
        offset: i64,
        /// Why it cannot be forwarded as it is.
        why: &'static str,
        /// What went wrong.
        problem: crate::flow::RepackError,
    },
    /// The target does not take a batch of this size.
    #[error(
        "the batch at source offset {offset} is {bytes} bytes, more than the target topic's max.message.bytes allows \
         ({code}); raise it there to at least {bytes} and start again"
    )]
    TooLarge {
        /// Source offset of the batch.
        offset: i64,
        /// Its size.
        bytes: usize,
        /// What the broker said.
        code: BrokerError,
    },
    /// No rights.
    #[error("the {side} cluster refuses: {code}; grant {right} on the topic to verbatim's principal")]
    Denied {
        /// Which cluster.
        side: Side,
        /// What the broker said.
        code: BrokerError,
        /// The missing right.
        right: &'static str,
    },
    /// The target refused a batch for good.
    #[error("the target refused the batch at source offset {offset} ({records} records, {bytes} bytes): {code}{}", explained(.message))]
    Refused {
        /// Source offset of the batch.
        offset: i64,
        /// Records in it.
        records: i32,
        /// Its size.
        bytes: usize,
        /// What the broker said.
        code: BrokerError,
        /// Its explanation.
        message: Option<String>,
    },
    /// The batch landed elsewhere than it had to.
    #[error(
        "the batch at source offset {offset} was expected at target offset {expected} and is at {found}: something else \
         writes to this target partition, or its log was cut"
    )]
    UnexpectedOffset {
        /// Source offset of the batch.
        offset: i64,
        /// Where it had to land.
        expected: i64,
        /// Where it landed.
        found: i64,
    },
    /// The target's log does not hold what it acknowledged.
    #[error(
        "the target partition holds less than it acknowledged: its producer state ends at sequence {found}, records up to \
         sequence {expected} were acknowledged. Was the topic re-created or cut on the target?"
    )]
    TargetLost {
        /// Last sequence number acknowledged.
        expected: i32,
        /// Last sequence number the target knows.
        found: i32,
    },
    /// The target's log is shorter than what it acknowledged.
    #[error(
        "the target partition ends {}, before offset {expected}, up to where records were acknowledged: its log was cut (an \
         unclean leader election?). Compare both sides, then delete the target topic and copy it anew (--on-source-accident \
         reseed does both), or start a flow of another name behind what is there", at_offset(.found)
    )]
    TargetShorter {
        /// End of the target's log as acknowledged.
        expected: i64,
        /// Its end as found, where known.
        found: Option<i64>,
    },
    /// What the target holds is not in the source.
    #[error(
        "what this flow has written at target offset {target} is not what the source has in its place: the source's log is \
         not the one it was copied from, or a gap was filled twice. Delete the target topic and copy it anew (--on-source-accident \
         reseed does both)"
    )]
    NotTheSource {
        /// Target offset.
        target: i64,
    },
    /// What the target holds is somebody else's, and not a copy of the source.
    #[error(
        "the target partition holds records up to offset {target} that this flow did not write, and the source does not have them \
         in their place{}: it is no copy to go on behind. Offsets can be preserved on an empty target topic, or under another name \
         (naming, rename); --offsets translate goes on behind whatever is there. Nothing was written or deleted", bounded(.held)
    )]
    NotACopy {
        /// Last offset of the target's log.
        target: i64,
        /// First offset and end of the source's log, where it does not reach that far.
        held: Option<(i64, i64)>,
    },
    /// Both sides had to be compared and a batch could not be read.
    #[error(
        "the source has changed since it was copied, and where the target ends in it cannot be found: {problem}"
    )]
    Unreadable {
        /// What went wrong.
        problem: crate::flow::RepackError,
    },
    /// Both sides had to be compared and a broker refused.
    #[error(
        "the source has changed since it was copied, and where the target ends in it cannot be found: {problem}"
    )]
    NotCompared {
        /// What went wrong.
        problem: String,
    },
    /// The offset is taken on the target.
    #[error(
        "the record at source offset {offset} cannot get the same offset: the target partition already ends at {target}, \
         something else has written to it. Use an empty target topic, or --offsets translate"
    )]
    Behind {
        /// Source offset.
        offset: i64,
        /// End of the target's log.
        target: i64,
    },
    /// Offsets cannot be preserved.
    #[error("offsets cannot be preserved: {why}; use --offsets translate, or auto, for this topic")]
    CannotPreserve {
        /// What is in the way.
        why: Arc<str>,
    },
    /// Taken out of the flow.
    #[error("the topic was taken out of the flow")]
    Forgotten,
    /// Somebody else wrote to the target.
    #[error(
        "the target partition holds records at offset {offset} that this flow did not write; only one flow may write to a \
         replicated partition"
    )]
    ForeignRecords {
        /// Target offset.
        offset: i64,
    },
    /// Our producer id was taken over by a newer epoch.
    #[error("the flow's producer id was taken over on the target ({code})")]
    Fenced {
        /// What the broker said.
        code: BrokerError,
    },
    /// The position is not in the source's log.
    #[error(
        "{}", out_of_range(*.wanted, *.log_start, *.log_end)
    )]
    OutOfRange {
        /// Where we wanted to go on.
        wanted: i64,
        /// First offset of the source log.
        log_start: i64,
        /// End of the source log.
        log_end: i64,
    },
    /// The source's log was rewritten below our position.
    #[error(
        "the source log was truncated: it left leader epoch {epoch} at offset {end_offset}, below offset {wanted} that \
         was already copied (an unclean leader election); the target holds records the source no longer has. To copy the \
         topic anew: --on-source-accident reseed; to keep them and go on with the source's new records: --on-source-accident \
         continue (with translated offsets)"
    )]
    Diverged {
        /// Where we wanted to go on.
        wanted: i64,
        /// The last common leader epoch.
        epoch: i32,
        /// Its end.
        end_offset: i64,
    },
    /// The source answered a fetch with an error that repeating cannot mend.
    #[error("the source refuses to serve offset {offset}: {code}")]
    FetchRefused {
        /// Source offset.
        offset: i64,
        /// What the broker said.
        code: BrokerError,
    },
    /// The topic of that name is another one than before.
    #[error(
        "the topic was deleted and created again on the {side} cluster; what was copied so far belongs to the old one. To \
         copy it anew: --on-source-accident reseed{}", after_recreation(*.side)
    )]
    Recreated {
        /// Which cluster.
        side: Side,
    },
    /// The topic is gone.
    #[error("the topic has been missing on the {side} cluster for {seconds} s")]
    TopicGone {
        /// Which cluster.
        side: Side,
        /// How long.
        seconds: u64,
    },
}

fn at_offset(offset: &Option<i64>) -> String {
    offset.map_or_else(|| "too early".to_owned(), |offset| format!("at offset {offset}"))
}

fn bounded(held: &Option<(i64, i64)>) -> String {
    let bounds = |(start, end): &(i64, i64)| format!(" (it holds {start} to {end})");
    held.as_ref().map(bounds).unwrap_or_default()
}

fn out_of_range(wanted: i64, log_start: i64, log_end: i64) -> String {
    let holds = format!("offset {wanted} is not in the source log, which holds {log_start} to {log_end}");
    if wanted < log_start {
        let lost = log_start - wanted;
        format!(
            "{holds}: retention (or DeleteRecords) removed {lost} offsets before they were copied. To leave that gap and go \
             on at {log_start}: --on-source-accident continue; to copy the topic anew: --on-source-accident reseed"
        )
    } else {
        format!(
            "{holds}: it was truncated below what was already copied, or the topic was created again; the target holds \
             records the source no longer has. To copy the topic anew: --on-source-accident reseed; to keep them and go on \
             with the source's new records: --on-source-accident continue (with translated offsets)"
        )
    }
}

fn after_recreation(side: Side) -> &'static str {
    match side {
        Side::Source => {
            "; to keep the old records on the target and go on with the new topic's: --on-source-accident continue (with \
             translated offsets)"
        }
        Side::Target => "",
    }
}

impl StopReason {
    /// Whether copying the topic anew, into a fresh target topic, would help: one side is not what was copied.
    pub fn calls_for_reseed(&self) -> bool {
        matches!(
            self,
            Self::OutOfRange { .. }
                | Self::Diverged { .. }
                | Self::Recreated { .. }
                | Self::TargetLost { .. }
                | Self::TargetShorter { .. }
                | Self::NotTheSource { .. }
        )
    }
}

fn explained(message: &Option<String>) -> String {
    message.as_ref().map(|message| format!(": {message}")).unwrap_or_default()
}
