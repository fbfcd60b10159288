//! Fields of a form sorted where they stand: they differ in length, and there is no room for a second copy.
//!
//! A merge sort whose merges rotate: of two sorted runs the longer one is cut in the middle, the other one where the field at the
//! cut belongs, the two parts between the cuts change places, and both sides are merged in the same way.

use core::cmp::Ordering;

use super::super::scan::{find, partition};
use super::super::unquote_plus;
use super::text_of;

/// Sorts `fields`, each with an ampersand in front, by name; fields of one name stay in order. O(n log² n) for n bytes.
pub(super) fn sort(fields: &mut [u8]) {
    let Some(middle) = middle(fields) else { return };
    let Some((low, high)) = fields.split_at_mut_checked(middle) else { return };
    sort(low);
    sort(high);
    merge(fields, middle);
}

/// Merges the sorted fields before and from byte `cut` on.
fn merge(fields: &mut [u8], cut: usize) {
    let Some((low, high)) = fields.split_at_checked(cut) else { return };
    if low.is_empty() || high.is_empty() {
        return;
    }
    // Of each run where it is cut. What is equal stays in the order of the runs.
    let (low_cut, high_cut) = match (middle(low), middle(high)) {
        (Some(at), other) if low.len() >= high.len() || other.is_none() => (at, first(high, low, at, Ordering::is_ge)),
        (_, Some(at)) => (first(low, high, at, Ordering::is_gt), at),
        // A field each. In the other arms both sides have fewer fields than all.
        (_, None) if compare(low, high).is_gt() => (0, high.len()),
        _ => return,
    };
    let low_len = low.len() - low_cut;
    if let Some(between) = fields.get_mut(low_cut..cut + high_cut) {
        rotate(between, low_len);
    }
    if let Some((low, high)) = fields.split_at_mut_checked(low_cut + high_cut) {
        merge(low, low_cut);
        merge(high, low_len);
    }
}

/// Where the first field of `fields` starts whose order to the field at `at` of `others` is as wanted.
fn first(fields: &[u8], others: &[u8], at: usize, wanted: fn(Ordering) -> bool) -> usize {
    let other = others.get(at..).unwrap_or_default();
    let mut start = 0;
    while let Some(field) = fields.get(start..).filter(|field| !field.is_empty()) {
        if wanted(compare(field, other)) {
            break;
        }
        start += next(field);
    }
    start
}

/// Where the field after the first starts.
fn next(fields: &[u8]) -> usize {
    find(fields.get(1..).unwrap_or_default(), [b'&']).map_or(fields.len(), |at| at + 1)
}

/// Where a field starts near the middle; `None` if there is one at most.
fn middle(fields: &[u8]) -> Option<usize> {
    let half = fields.len() / 2;
    let after = fields.get(half.max(1)..)?;
    match find(after, [b'&']) {
        Some(at) => Some(half.max(1) + at),
        None => fields.get(..half)?.iter().rposition(|byte| *byte == b'&').filter(|at| *at > 0),
    }
}

/// How the names of the first fields of two texts are ordered.
fn compare(one: &[u8], other: &[u8]) -> Ordering {
    let units = |fields| {
        let name = name(fields);
        unquote_plus(name).chars().flat_map(|character| {
            let mut units = [0; 2];
            let len = character.encode_utf16(&mut units).len();
            units.into_iter().take(len)
        })
    };
    units(one).cmp(units(other))
}

fn name(fields: &[u8]) -> &str {
    let field = fields.get(1..next(fields)).unwrap_or_default();
    partition(text_of(field, 0, field.len() as u16), b'=').0
}

/// Makes the first `by` bytes the last.
fn rotate(bytes: &mut [u8], by: usize) {
    if let Some((first, last)) = bytes.split_at_mut_checked(by) {
        first.reverse();
        last.reverse();
        bytes.reverse();
    }
}
