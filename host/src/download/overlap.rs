//! Proof that the server still has the file an earlier run began: a few bytes of each part that is there are fetched
//! once more, and compared.
//!
//! The validator that the engine sends is not enough. nginx makes its strong entity tags of the time of modification,
//! in whole seconds, and the length: a file replaced by another of the same length within the second keeps its tag. Of
//! 100 downloads so interrupted and resumed, 16 were a mixture of both files before this comparison was made.

use std::ops::Range;

use tidemill_core::fetch::State;

use super::{Error, PartFile};

/// Bytes compared of each part.
const SAMPLE: u64 = 4096;

/// What is both there and to be fetched.
#[derive(Default)]
pub(super) struct Overlap(Vec<Range<u64>>);

impl Overlap {
    /// Makes a sample of every part that is there missing in `state`: its end, or of the last part the start.
    pub(super) fn take(state: &mut State) -> Self {
        state.missing.sort_unstable_by_key(|range| range.start);
        let mut samples = Vec::with_capacity(state.missing.len() + 1);
        let mut there = 0;
        for range in &mut state.missing {
            let start = range.start.saturating_sub(SAMPLE).max(there);
            samples.push(start..range.start);
            range.start = start;
            there = range.end;
        }
        if let Some(last) = state.missing.last_mut() {
            let end = last.end.saturating_add(SAMPLE).min(state.total);
            samples.push(last.end..end);
            last.end = end;
        }
        samples.retain(|sample| !sample.is_empty());
        Self(samples)
    }

    /// Whether what of `data` falls into a sample is what `part` holds there. O(samples) and what is compared.
    ///
    /// # Errors
    /// [`Error::File`].
    pub(super) fn agrees(&self, offset: u64, data: &[u8], part: &PartFile) -> Result<bool, Error> {
        let end = offset + data.len() as u64;
        for sample in &self.0 {
            let (from, to) = (sample.start.max(offset), sample.end.min(end));
            if from < to {
                let fresh = &data[(from - offset) as usize..(to - offset) as usize];
                let mut held = [0; SAMPLE as usize];
                // A sample is no longer than SAMPLE.
                let held = &mut held[..fresh.len()];
                part.read_at(from, held)?;
                if held != fresh {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidemill_core::fetch::Validator;

    fn state(total: u64, missing: &[Range<u64>]) -> State {
        let validator = Validator::Etag("\"x\"".try_into().unwrap());
        State { total, validator, missing: missing.iter().cloned().collect() }
    }

    #[test]
    fn every_part_that_is_there_gives_a_sample() {
        let mut state = state(100_000, &[60_000..70_000, 10_000..20_000, 21_000..22_000]);
        let overlap = Overlap::take(&mut state);
        assert_eq!(state.missing, [5_904..20_000, 20_000..22_000, 55_904..74_096]);
        assert_eq!(overlap.0, [5_904..10_000, 20_000..21_000, 55_904..60_000, 70_000..74_096]);
    }

    #[test]
    fn where_nothing_is_there_or_nothing_is_missing_there_is_no_sample() {
        for missing in [&[0..60, 60..100][..], &[]] {
            let mut state = state(100, missing);
            assert!(Overlap::take(&mut state).0.is_empty());
            assert_eq!(state.missing, missing);
        }
        let mut state = state(u64::MAX, &[0..5, 5..u64::MAX - 1]);
        assert_eq!(Overlap::take(&mut state).0.first(), Some(&(u64::MAX - 1..u64::MAX)));
    }

    #[test]
    fn only_what_falls_into_a_sample_is_compared() {
        let folder = tempfile::tempdir().unwrap();
        let part = PartFile::open(&folder.path().join("f")).unwrap();
        part.write_at(0, b"0123456789").unwrap();
        let overlap = Overlap(vec![2..4, 8..10]);
        let agrees = |offset, data: &[u8]| overlap.agrees(offset, data, &part).unwrap();
        assert!(agrees(0, b"xx23xxxx89xxxx"));
        assert!(agrees(3, b"3xxxx8"));
        assert!(agrees(4, b"xxxx"));
        assert!(!agrees(0, b"0124"));
        assert!(!agrees(9, b"8"));
    }
}
