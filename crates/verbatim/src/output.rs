//! What is written to stdout and stderr. Who reads them may go away at any time; the work does not depend on it.

use crate::failure::Failure;
use std::io::{self, ErrorKind, Write};

/// Writes an answer to stdout, as it is. A reader who is gone has seen what he wanted; an answer that cannot be written otherwise is a
/// failure.
pub(crate) fn answer(text: &str) -> Result<(), Failure> {
    written(write_all(&mut io::stdout().lock(), text.as_bytes()))
}

/// What came of writing an answer.
pub(crate) fn written(outcome: io::Result<()>) -> Result<(), Failure> {
    match outcome {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::Output(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Writes lines to stderr, in one piece. There is nobody to tell that it did not work.
pub(crate) fn aside(lines: &[u8]) {
    drop(write_all(&mut io::stderr().lock(), lines));
}

fn write_all(to: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    to.write_all(bytes)?;
    to.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Broken(ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn only_a_reader_who_is_gone_is_no_failure() {
        for (kind, is_failure) in [(ErrorKind::BrokenPipe, false), (ErrorKind::StorageFull, true)] {
            let outcome = written(write_all(&mut Broken(kind), b"an answer\n"));
            assert_eq!(outcome.is_err(), is_failure, "{outcome:?}");
        }
    }
}
