//! Whose turn it is at something that several share by bytes: start-time fair queueing (Goyal, Vin, Cheng 1996).
//!
//! Everyone has a place that moves on by the bytes it takes; who is furthest behind is next. Who was away begins where the others
//! are: what it did not take meanwhile is not made up for.

use std::collections::HashMap;

/// Places that are not worth keeping are looked for when there are twice as many as this, or as were kept last.
const FEW: usize = 64;

/// The places of those who share.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    /// Where those stand that have taken something lately.
    places: HashMap<u64, u64>,
    /// Where they all have come: who stood furthest behind when something was taken last.
    now: u64,
    kept: usize,
}

impl Turns {
    /// Where `who` stands: less is sooner.
    pub(crate) fn place(&self, who: u64) -> u64 {
        self.places.get(&who).map_or(self.now, |place| self.now.max(*place))
    }

    /// `who` has taken `bytes`, while others waited, the one furthest behind at place `least`: they keep their places.
    pub(crate) fn took(&mut self, who: u64, bytes: usize, least: Option<u64>) {
        let place = self.place(who);
        self.now = self.now.max(least.map_or(place, |least| least.min(place)));
        self.places.insert(who, place.saturating_add(bytes as u64));
        if self.places.len() > 2 * self.kept.max(FEW) {
            self.places.retain(|_, place| *place > self.now);
            self.kept = self.places.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_the_sizes_everyone_has_the_same_bytes() {
        let mut turns = Turns::default();
        let sizes = [1_000, 60_000, 17_000];
        let mut had = [0; 3];
        for _ in 0..20_000 {
            let next = (0..3).min_by_key(|who| turns.place(*who)).unwrap() as usize;
            let least = (0..3).map(|who| turns.place(who)).min();
            turns.took(next as u64, sizes[next], least);
            had[next] += sizes[next];
        }
        let (least, most) = (had.iter().min().unwrap(), had.iter().max().unwrap());
        assert!(most - least <= 2 * 60_000, "{had:?}");
    }

    #[test]
    fn who_was_away_begins_where_the_others_are() {
        let mut turns = Turns::default();
        turns.took(1, 10, None);
        for _ in 0..1_000 {
            turns.took(2, 1_000, None);
        }
        assert!(turns.place(2) - turns.place(1) <= 1_000);
        for who in 3..10_000 {
            turns.took(who, 1, None);
            turns.took(2, 1_000, None);
        }
        assert!(turns.places.len() <= 2 * FEW + 1, "{}", turns.places.len());
    }
}
