//! What the fuzz targets call, one function each. A plain test replays their corpora through the same functions.
//!
//! The functions assert what holds for any input; arbitrary bytes are otherwise either read or refused.

mod answers;
mod batches;
mod records;

pub use answers::{control_answer, fetch_answer, left_out, produce_answer};
pub use batches::{batch_walker, header_patch};
pub use records::{batch_header, decompress, legacy, record_decoder};
