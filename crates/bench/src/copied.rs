//! How often a byte of batches is copied on its way through a process, as the process itself says: nobody else can count that.
//!
//! The last such words of what a program prints count, as in `copied 2,000,000 records in ..., 0.03 bytes copied per byte`.

/// What follows the figure.
const UNIT: &str = " bytes copied per byte";

/// The figure in what a program has printed, if it says one.
pub(super) fn said(printed: &str) -> Option<f64> {
    printed.lines().rev().find_map(|line| {
        let (before, _) = line.split_once(UNIT)?;
        let figure: f64 = before.rsplit(", ").next()?.trim().parse().ok()?;
        (figure.is_finite() && figure >= 0.0).then_some(figure)
    })
}

/// The same words, for the processes of our own: `copied` bytes on behalf of `moved`.
#[expect(clippy::cast_precision_loss, reason = "figures for people")]
pub(super) fn words(copied: u64, moved: u64) -> String {
    format!("moved {moved} bytes, {:.2}{UNIT}", copied as f64 / moved.max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_figure_counts() {
        let summary = "copied 2,000,000 records in 31,746 batches, 1.9 GiB in 3.1 s (632 MiB/s), the first batch after 59 ms";
        for (printed, figure) in [
            (format!("{summary}, 0.03 bytes copied per byte\n"), Some(0.03)),
            (format!("0.06 3.04\n{}\n", words(4000, 2000)), Some(2.0)),
            (
                format!("{summary}, 3.00 bytes copied per byte\n{summary}, 2.00 bytes copied per byte"),
                Some(2.0),
            ),
            (format!("{summary}, 1.25 bytes copied per byte, 2 partitions stopped\ndone\n"), Some(1.25)),
            (format!("{summary}\n"), None),
            (format!("{summary}, many bytes copied per byte\n"), None),
            (String::new(), None),
        ] {
            assert_eq!(said(&printed), figure, "{printed}");
        }
    }

    #[test]
    fn nothing_moved_is_nothing_copied() {
        assert_eq!(said(&words(0, 0)), Some(0.0));
    }
}
