//! The hot stages as small fixed programs, for counting instructions: `cargo xtask instructions`.
//!
//! Each is made once, inputs and all, and then run as often as is asked for. A new stage is one more row of [`STAGES`], or of
//! [`SCAN_STAGES`]. Those of the pipeline are in [`flow`](crate::flow).

use crate::inputs::{self, FETCH_VERSION, PRODUCE_VERSION, STAMP};
use bytes::Bytes;
use std::error::Error;
use std::hint::black_box;
use verbatim_wire::fetch::{FetchAnswer, FetchLimits, FetchSession, FetchTarget, Isolation};
use verbatim_wire::produce::{ProduceAnswer, ProduceBatch, encode};
use verbatim_wire::records::codec::Codec;
use verbatim_wire::records::merge::Merger;
use verbatim_wire::records::{BatchHeader, HEADER_BYTES, Walker, crc, patch};

/// One operation, ready to be run.
pub type Operation = Box<dyn FnMut()>;

/// A stage by its name, and how to make it.
pub type Stage = (&'static str, fn() -> Result<Operation, Box<dyn Error>>);

/// Stages of a program of their own: scanning shares code with decoding, and a compiler that sees both inlines less of it. What decoding
/// is counted at would change with the company it keeps.
pub const SCAN_STAGES: &[Stage] =
    &[("fetch-scan-1", || fetch_scan(1)), ("fetch-scan-100", || fetch_scan(100))];

/// All others, in the order of a batch's life.
pub const STAGES: &[Stage] = &[
    ("fetch-session-1", || Ok(fetch_session(1))),
    ("fetch-session-100", || Ok(fetch_session(100))),
    ("fetch-decode-1", || fetch_decode(1)),
    ("fetch-decode-100", || fetch_decode(100)),
    ("walk-1", || walk(1)),
    ("walk-64", || walk(64)),
    ("header-patch-64k", || header_patch(64 << 10)),
    ("crc-move-64k", || Ok(crc_move(64 << 10))),
    ("merge-64-of-1k", || merge(64)),
    ("produce-encode-1", || produce_encode(1)),
    ("produce-encode-16", || produce_encode(16)),
    ("produce-answer-1", || produce_answer(1)),
    ("produce-answer-16", || produce_answer(16)),
];

fn missing() -> Box<dyn Error> {
    "the input cannot be made".into()
}

/// Runs one of `stages` as often as is asked for, to be counted from outside: arguments STAGE TIMES. Without arguments it says which
/// stages there are, one a line.
///
/// # Errors
/// When the arguments are not understood, or an input cannot be made.
pub fn run(stages: &[Stage]) -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let Some(wanted) = arguments.next() else {
        stages.iter().for_each(|(name, _)| println!("{name}"));
        return Ok(());
    };
    let times: u32 = arguments.next().ok_or("how many times?")?.parse()?;
    let stage = stages.iter().find(|(name, _)| *name == wanted);
    let (_, make) = stage.ok_or_else(|| format!("there is no stage {wanted:?}"))?;
    let mut operation = make()?;
    (0..times).for_each(|_| operation());
    Ok(())
}

/// Every partition moved on: what a broker is asked next.
fn fetch_session(partitions: i32) -> Operation {
    let (topic, mut session, mut fetch_offset) = (inputs::topic(), FetchSession::default(), 0);
    let limits = FetchLimits {
        max_wait_ms: 500,
        min_bytes: 1,
        max_bytes: 4 << 20,
        partition_max_bytes: 1 << 20,
        isolation: Isolation::ReadCommitted,
    };
    Box::new(move || {
        fetch_offset += 1;
        for partition in 0..partitions {
            let target = FetchTarget { fetch_offset, current_leader_epoch: 1, last_fetched_epoch: 1 };
            session.want(partition.unsigned_abs(), &topic, partition, target);
        }
        black_box(session.next_request(FETCH_VERSION, "verbatim", &limits));
    })
}

/// Large payloads found while the answer comes in, each with its few fields.
fn fetch_scan(partitions: i32) -> Result<Operation, Box<dyn Error>> {
    let frame = inputs::fetch_answer(partitions, &inputs::batch(64 << 10)?).ok_or_else(missing)?;
    let mut fields = Vec::new();
    if inputs::payloads_left_out(&frame, &mut fields).len() != usize::try_from(partitions)? {
        return Err("payloads are not left out".into());
    }
    Ok(Box::new(move || drop(black_box(inputs::payloads_left_out(black_box(&frame), &mut fields)))))
}

fn fetch_decode(partitions: i32) -> Result<Operation, Box<dyn Error>> {
    let frame = inputs::fetch_answer(partitions, &inputs::batch(4 << 10)?).ok_or_else(missing)?;
    FetchAnswer::decode(FETCH_VERSION, &frame)?;
    Ok(Box::new(move || drop(black_box(FetchAnswer::decode(FETCH_VERSION, black_box(&frame))))))
}

fn walk(batches: usize) -> Result<Operation, Box<dyn Error>> {
    let slice = inputs::slice_of(&inputs::batch(4 << 10)?, batches);
    Ok(Box::new(move || {
        for entry in Walker::new(black_box(slice.clone())) {
            drop(black_box(entry));
        }
    }))
}

fn header_patch(bytes: usize) -> Result<Operation, Box<dyn Error>> {
    let header = BatchHeader::parse(&inputs::batch(bytes)?).ok_or_else(missing)?;
    Ok(Box::new(move || {
        black_box(patch::patched(black_box(&header), STAMP).to_bytes());
    }))
}

/// The part of it that depends on the length of the payload.
fn crc_move(payload_bytes: u32) -> Operation {
    let difference = [7; 40];
    Box::new(move || {
        black_box(crc::shift(crc::linear(black_box(&difference)), black_box(payload_bytes)));
    })
}

/// Small batches made one, checksums and all.
fn merge(batches: usize) -> Result<Operation, Box<dyn Error>> {
    let batch = inputs::batch(1 << 10)?;
    let (header, payload) = (BatchHeader::parse(&batch).ok_or_else(missing)?, batch.slice(HEADER_BYTES..));
    let mut out = Vec::with_capacity(batches * batch.len() * 2);
    Ok(Box::new(move || {
        out.clear();
        let mut merger = Merger::new(&mut out, header.base_timestamp);
        for _ in 0..batches {
            black_box(patch::crc_is_right(&header, &payload));
            // A batch that was built right is read right.
            let _ = black_box(merger.push(&header, black_box(&payload)));
        }
        let _ = black_box(merger.finish().header(Codec::None, &out, STAMP));
    }))
}

fn produce_encode(batches: i32) -> Result<Operation, Box<dyn Error>> {
    let (header, payload) = inputs::split(&inputs::batch(64 << 10)?).ok_or_else(missing)?;
    let topic = inputs::topic();
    Ok(Box::new(move || {
        let one = |partition| ProduceBatch::in_memory(&topic, partition, &header, &payload);
        let batches: Vec<_> = (0..batches).map(one).collect();
        black_box(encode(PRODUCE_VERSION, "verbatim", 10_000, black_box(batches.iter().copied())));
    }))
}

fn produce_answer(partitions: i32) -> Result<Operation, Box<dyn Error>> {
    let frame: Bytes = inputs::produce_answer(partitions).ok_or_else(missing)?;
    ProduceAnswer::decode(PRODUCE_VERSION, &frame)?;
    Ok(Box::new(move || drop(black_box(ProduceAnswer::decode(PRODUCE_VERSION, black_box(&frame))))))
}

#[cfg(test)]
mod tests {
    use super::{SCAN_STAGES, STAGES};
    use std::collections::HashSet;

    #[test]
    fn every_stage_has_a_name_of_its_own_and_runs() {
        let stages = || STAGES.iter().chain(SCAN_STAGES);
        let names: HashSet<_> = stages().map(|(name, _)| name).collect();
        assert_eq!(names.len(), stages().count());
        for (_, make) in stages() {
            let mut operation = make().unwrap();
            operation();
            operation();
        }
    }
}
