//! What an answer's head means for the plan.

use super::engine::Engine;
use super::request::Asked;
use super::state::Validator;
use super::{Event, Failure, Sink};
use crate::http::client::{self, Head};
use crate::http::date;
use crate::http::range::ContentRange;
use crate::http::redirect::next_method;
use crate::time::{Duration, Instant};
use heapless::String;

/// A `Retry-After` beyond this is cut to it, seconds.
const RETRY_AFTER_MAX: u64 = 300;

/// A date this much older than the answer tells versions apart (RFC 9110, 8.8.2.2), seconds.
const STRONG_AGE: u64 = 60;

/// A connection's trouble, and what to do about it.
pub(super) enum Trouble<E> {
    /// Try again later.
    Retry(Failure<E>, Option<Duration>),
    /// This source is of no use.
    Source(Failure<E>),
    /// The plan has changed, or the download has ended: drop the connection, no fault of its own.
    Drop,
}

type Verdict<K> = Result<(), Trouble<<K as Sink>::Error>>;

/// Changes the plan by what the head says. `Ok`: the body belongs at the start of what `connection` owns now.
pub(super) fn judge<K: Sink, const N: usize>(
    engine: &mut Engine<'_, K, N>,
    connection: u8,
    asked: &Asked,
    head: &Head<'_>,
    now: Instant,
) -> Verdict<K> {
    let source = &mut engine.sources[asked.source];
    if source.revision != asked.revision {
        return Err(Trouble::Drop);
    }
    source.answered = true;
    if head.transfer_coded() {
        // Compressed on the way, though we did not offer to undo that.
        return Err(Trouble::Source(Failure::Http(client::Error::TransferEncoding)));
    }
    match head.status() {
        206 if asked.ranged => part(engine, asked, head),
        200 => whole(engine, connection, asked, head, now),
        416 if asked.ranged => beyond(engine, asked, head),
        status if next_method(status, "GET").is_some() => {
            let location = head.header("location").ok_or(Trouble::Source(Failure::Location))?;
            source.redirect(location).map_err(Trouble::Source)?;
            engine.tell(Event::Redirected { source: asked.source });
            Err(Trouble::Drop)
        }
        status @ (408 | 425 | 429 | 500..) => Err(Trouble::Retry(Failure::Status(status), retry_after(head))),
        status => Err(Trouble::Source(Failure::Status(status))),
    }
}

/// 206: the part that was asked for, of the version that was begun.
fn part<K: Sink, const N: usize>(engine: &mut Engine<'_, K, N>, asked: &Asked, head: &Head<'_>) -> Verdict<K> {
    let wrong = || Trouble::Source(Failure::Range);
    let sent = head.header("content-range").and_then(ContentRange::parse).ok_or_else(wrong)?;
    let range = sent.range.ok_or_else(wrong)?;
    if range.start() != asked.range.start || head.content_length().is_some_and(|len| len != range.len()) {
        return Err(wrong());
    }
    let Some(total) = sent.total else {
        // Without the length there is nothing to split.
        engine.sources[asked.source].ranges = Some(false);
        return Err(Trouble::Drop);
    };
    let version = Version::of(head);
    if differs(engine, asked, Some(total), version.validator.as_ref()) {
        return changed(engine, asked);
    }
    let source = &mut engine.sources[asked.source];
    if source.validator.is_none() && source.ranges != Some(true) {
        match &engine.version {
            Some(first) if !first.agrees(&version) && !engine.options.trust_mirrors => {
                return Err(Trouble::Source(Failure::Mirror));
            }
            Some(_) => {}
            None => engine.version = Some(version.clone()),
        }
    }
    source.ranges = Some(true);
    if source.validator.is_none() {
        source.validator = version.validator;
    }
    if engine.total.is_none() {
        engine.learn_total(total);
        let parts = usize::from(engine.active);
        engine.segments.split_even(parts, engine.options.split_min);
    }
    Ok(())
}

/// 200: the whole file from its start. Either it has changed, or there are no ranges here.
fn whole<K: Sink, const N: usize>(
    engine: &mut Engine<'_, K, N>,
    connection: u8,
    asked: &Asked,
    head: &Head<'_>,
    now: Instant,
) -> Verdict<K> {
    let (total, validator) = (head.content_length(), Version::of(head).validator);
    if differs(engine, asked, total, validator.as_ref()) {
        return changed(engine, asked);
    }
    let served = |source: &super::Source| !source.failed && source.ranges == Some(true);
    if engine.sources.iter().enumerate().any(|(index, source)| index != asked.source && served(source)) {
        return Err(Trouble::Source(Failure::NoRanges));
    }
    let source = &mut engine.sources[asked.source];
    let same = agree(source.validator.as_ref(), validator.as_ref());
    source.ranges = Some(false);
    source.validator = validator;
    engine.go_single(connection, total, same, now);
    Ok(())
}

/// 416: nothing there.
fn beyond<K: Sink, const N: usize>(engine: &mut Engine<'_, K, N>, asked: &Asked, head: &Head<'_>) -> Verdict<K> {
    let total = head.header("content-range").and_then(ContentRange::parse).and_then(|range| range.total);
    match (total, engine.total) {
        (Some(0), None) => engine.learn_total(0),
        (_, None) => engine.sources[asked.source].ranges = Some(false),
        (Some(total), Some(known)) if total != known => return changed(engine, asked),
        _ => return Err(Trouble::Source(Failure::Status(416))),
    }
    Err(Trouble::Drop)
}

/// Whether what is known of the file by now contradicts this.
fn differs<K: Sink, const N: usize>(
    engine: &Engine<'_, K, N>,
    asked: &Asked,
    total: Option<u64>,
    validator: Option<&Validator>,
) -> bool {
    let known = engine.sources[asked.source].validator.as_ref();
    matches!((engine.total, total), (Some(a), Some(b)) if a != b)
        || matches!((known, validator), (Some(a), Some(b)) if !a.same(b))
}

fn agree(a: Option<&Validator>, b: Option<&Validator>) -> bool {
    matches!((a, b), (Some(a), Some(b)) if a.same(b))
}

/// A mirror that differs from the start is another file; anything else has changed under us.
fn changed<K: Sink, const N: usize>(engine: &mut Engine<'_, K, N>, asked: &Asked) -> Verdict<K> {
    if asked.source > 0 && engine.sources[asked.source].validator.is_none() {
        return Err(Trouble::Source(Failure::Mirror));
    }
    engine.restart();
    Err(Trouble::Drop)
}

/// What an answer says about which version of the file it carries.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Version {
    validator: Option<Validator>,
    /// Unix seconds.
    modified: Option<u64>,
}

impl Version {
    fn of(head: &Head<'_>) -> Self {
        let text = |name| core::str::from_utf8(head.header(name)?).ok().and_then(|text| String::try_from(text).ok());
        let modified = head.header("last-modified").and_then(date::parse);
        let dated = || {
            let sent = head.header("date").and_then(date::parse);
            let strong = sent.zip(modified).is_some_and(|(sent, modified)| sent >= modified.saturating_add(STRONG_AGE));
            modified.and(text("last-modified")).map(|date| Validator::Modified { date, strong })
        };
        Self { validator: text("etag").map(Validator::Etag).or_else(dated), modified }
    }

    /// The version that a saved state is of.
    pub(super) fn saved(validator: &Validator) -> Self {
        let modified = match validator {
            Validator::Modified { date, .. } => date::parse(date.as_bytes()),
            Validator::Etag(_) => None,
        };
        Self { validator: Some(validator.clone()), modified }
    }

    /// Whether two servers seem to have the same version. Mirrors make their own tags, but mostly keep the date.
    fn agrees(&self, other: &Self) -> bool {
        agree(self.validator.as_ref(), other.validator.as_ref())
            || self.modified.is_some() && self.modified == other.modified
    }
}

/// RFC 9110, 10.2.3: seconds, or a date, which is measured against the answer's own.
fn retry_after(head: &Head<'_>) -> Option<Duration> {
    let value = head.header("retry-after")?;
    let seconds = core::str::from_utf8(value).ok().and_then(|text| text.trim().parse::<u64>().ok());
    let seconds = seconds.or_else(|| Some(date::parse(value)?.saturating_sub(date::parse(head.header("date")?)?)))?;
    Some(Duration::from_secs(seconds.min(RETRY_AFTER_MAX)))
}
