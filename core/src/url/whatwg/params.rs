//! The query of a URL as a form: fields of names and values, under the names of JavaScript's `URLSearchParams` (URL Standard,
//! "application/x-www-form-urlencoded").

use core::fmt;

use super::super::scan::{cut, find, partition};
use super::super::{Unquoted, unquote_plus};
use super::error::UrlError;
use super::out::{Out, escaped};
use super::sort::sort;
use super::{UrlView, fits, shift, text_of};

/// The fields of a query. Each way to ask is O(length of the query).
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SearchParams<'a> {
    query: &'a str,
}

impl<'a> SearchParams<'a> {
    /// Of a query, with its question mark or without.
    pub fn new(query: &'a str) -> Self {
        Self { query: query.strip_prefix('?').unwrap_or(query) }
    }

    /// Every field, in order: its name and its value, which display themselves decoded.
    pub fn iter(self) -> impl Iterator<Item = (Unquoted<'a>, Unquoted<'a>)> + Clone {
        self.fields().map(Field::decoded)
    }

    /// The value of the first field of this name.
    pub fn get(self, name: &str) -> Option<Unquoted<'a>> {
        self.get_all(name).next()
    }

    /// The values of all fields of this name, in order.
    pub fn get_all(self, name: &str) -> impl Iterator<Item = Unquoted<'a>> {
        self.iter().filter(move |(own, _)| own == name).map(|(_, value)| value)
    }

    /// Whether there is a field of this name and, where one is given, of this value.
    pub fn has(self, name: &str, value: Option<&str>) -> bool {
        self.fields().any(|field| field.matches(name, value))
    }

    /// How many fields there are.
    #[doc(alias = "len")]
    pub fn size(self) -> usize {
        self.fields().count()
    }

    fn fields(self) -> impl Iterator<Item = Field<'a>> + Clone {
        let mut end = 0;
        core::iter::from_fn(move || {
            let field = Field::next(self.query, end)?;
            end = field.at + field.text.len();
            Some(field)
        })
    }
}

/// A field as it is written, and where it starts in the query.
#[derive(Clone, Copy)]
struct Field<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Field<'a> {
    /// The next field of `query` from byte `at` on.
    fn next(query: &'a str, at: usize) -> Option<Self> {
        let rest = query.as_bytes().get(at..)?;
        let at = at + rest.iter().position(|byte| *byte != b'&')?;
        let rest = query.get(at..)?;
        Some(Self { text: cut(rest, find(rest.as_bytes(), [b'&']).unwrap_or(rest.len())).0, at })
    }

    fn decoded(self) -> (Unquoted<'a>, Unquoted<'a>) {
        let (name, value) = partition(self.text, b'=');
        (unquote_plus(name), unquote_plus(value.unwrap_or_default()))
    }

    fn matches(self, name: &str, value: Option<&str>) -> bool {
        let (own_name, own_value) = self.decoded();
        own_name == *name && value.is_none_or(|value| own_value == *value)
    }

    fn write(self, out: &mut Out<'_>) {
        let (name, value) = self.decoded();
        name.chars().for_each(|character| encode(character, out));
        out.push(b'=');
        value.chars().for_each(|character| encode(character, out));
    }

    /// Whether it is written as it would be written again.
    fn is_normal(self) -> bool {
        let (mut bytes, mut marks) = (self.text.as_bytes(), 0);
        while let [byte, rest @ ..] = bytes {
            bytes = rest;
            match *byte {
                b'=' => marks += 1,
                b'%' => {
                    let [high, low, after @ ..] = rest else { return false };
                    bytes = after;
                    let is_small = high.is_ascii_lowercase() || low.is_ascii_lowercase();
                    match escaped(&[b'%', *high, *low]) {
                        Some(byte) if !is_small && !is_plain(byte) && byte != b' ' => {}
                        _ => return false,
                    }
                }
                b'+' => {}
                byte if is_plain(byte) => {}
                _ => return false,
            }
        }
        let (name, value) = self.decoded();
        // What is not UTF-8 is replaced.
        marks == 1 && name.chars().chain(value.chars()).all(|character| character != char::REPLACEMENT_CHARACTER)
    }
}

/// Whether `byte` stands for itself in a form.
const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'*' | b'-' | b'.' | b'_')
}

/// A character as it stands in a form.
fn encode(character: char, out: &mut Out<'_>) {
    match character {
        ' ' => out.push(b'+'),
        _ if character.is_ascii() && is_plain(character as u8) => out.push(character as u8),
        _ => character.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| out.escape(byte)),
    }
}

fn write_field(name: &str, value: &str, out: &mut Out<'_>) {
    name.chars().for_each(|character| encode(character, out));
    out.push(b'=');
    value.chars().for_each(|character| encode(character, out));
}

/// The fields as a form, which may differ from how the query is written.
impl fmt::Display for SearchParams<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut room = [0; 12];
        for (at, (name, value)) in self.iter().enumerate() {
            f.write_str(if at > 0 { "&" } else { "" })?;
            for (mark, part) in [("", name), ("=", value)] {
                f.write_str(mark)?;
                for character in part.chars() {
                    let mut out = Out::new(&mut room);
                    encode(character, &mut out);
                    let len = out.len as u16;
                    f.write_str(text_of(&room, 0, len))?;
                }
            }
        }
        Ok(())
    }
}

/// The fields of a query, to edit in place. As the Standard has it, each edit writes all fields anew, and a query without fields
/// goes.
///
/// ```
/// use tidemill_core::url::{Url, UrlError};
///
/// let mut url = Url::<40>::parse("http://h/?b=2&a=1&b=%31#f", None)?;
/// let mut fields = url.search_params_mut();
/// fields.set("b", "é")?;
/// fields.append("c", "x y")?;
/// fields.delete("nothing", None)?;
/// fields.sort()?;
/// assert_eq!(url.href(), "http://h/?a=1&b=%C3%A9&c=x+y#f");
/// assert!(url.search_params().get("b").is_some_and(|value| value == *"é"));
/// # Ok::<(), UrlError>(())
/// ```
pub struct SearchParamsMut<'u> {
    url: &'u mut UrlView,
}

/// What is changed.
#[derive(Clone, Copy)]
enum Edit<'e> {
    Nothing,
    Append(&'e str, &'e str),
    Delete(&'e str, Option<&'e str>),
    Set(&'e str, &'e str),
}

/// What becomes of a field.
#[derive(Clone, Copy)]
enum Step<'e> {
    Stays,
    Goes,
    Becomes(&'e str, &'e str),
}

impl<'e> Edit<'e> {
    /// What becomes of the next field; a value is set once.
    fn step(&mut self, field: Field<'_>) -> Step<'e> {
        match *self {
            Self::Delete(name, value) if field.matches(name, value) => Step::Goes,
            Self::Set(name, value) if field.matches(name, None) => {
                *self = Self::Delete(name, None);
                Step::Becomes(name, value)
            }
            _ => Step::Stays,
        }
    }

    /// What is added after all fields.
    const fn last(self) -> Option<(&'e str, &'e str)> {
        match self {
            Self::Append(name, value) | Self::Set(name, value) => Some((name, value)),
            Self::Nothing | Self::Delete(..) => None,
        }
    }
}

/// Writes what becomes of `field`, with its mark in front.
fn write_step(field: Field<'_>, step: Step<'_>, mark: u8, out: &mut Out<'_>) {
    match step {
        Step::Goes => {}
        Step::Stays => {
            out.push(mark);
            field.write(out);
        }
        Step::Becomes(name, value) => {
            out.push(mark);
            write_field(name, value, out);
        }
    }
}

impl<'u> SearchParamsMut<'u> {
    pub(super) fn new(url: &'u mut UrlView) -> Self {
        Self { url }
    }

    /// Adds a field behind the last.
    ///
    /// # Errors
    /// [`UrlError::DoesNotFit`]; then nothing has changed. So with each of these.
    pub fn append(&mut self, name: &str, value: &str) -> Result<(), UrlError> {
        self.edit(Edit::Append(name, value))
    }

    /// Takes away all fields of this name and, where one is given, of this value.
    ///
    /// # Errors
    /// As [`SearchParamsMut::append`]: written anew, what is left may be longer.
    pub fn delete(&mut self, name: &str, value: Option<&str>) -> Result<(), UrlError> {
        self.edit(Edit::Delete(name, value))
    }

    /// Gives the first field of this name another value and takes away the others; where there is none, adds it.
    ///
    /// # Errors
    /// As [`SearchParamsMut::append`]. The room wanted may be more than the result takes, by the fields that go.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), UrlError> {
        self.edit(Edit::Set(name, value))
    }

    /// Orders the fields by name, in UTF-16 as JavaScript does; those of one name stay in order. O(n log² n) for n bytes.
    ///
    /// # Errors
    /// As [`SearchParamsMut::delete`].
    pub fn sort(&mut self) -> Result<(), UrlError> {
        self.edit(Edit::Nothing)?;
        let (query, end) = (usize::from(self.url.parts.query), usize::from(self.url.parts.fragment));
        if let Some(records) = self.url.buffer.get_mut(query..end) {
            // Every field with a mark in front.
            records.iter_mut().take(1).for_each(|mark| *mark = b'&');
            sort(records);
            records.iter_mut().take(1).for_each(|mark| *mark = b'?');
        }
        Ok(())
    }

    /// Moves the query and what follows it to the end of the buffer, and writes the fields anew from where they were. No field
    /// may be written over one that is still to be read; whether that is so is found out before anything is moved.
    fn edit(&mut self, edit: Edit<'_>) -> Result<(), UrlError> {
        let parts = self.url.parts;
        let (start, fragment, len) = (usize::from(parts.query), usize::from(parts.fragment), usize::from(parts.len));
        let old = start + usize::from(fragment > start);
        let capacity = self.url.buffer.len();
        let moved = capacity - (len - old);
        let tail = len - fragment;

        let query = self.url.text(old as u16, parts.fragment);
        let (mut end, mut excess, mut steps) = (start, 0, edit);
        for field in (SearchParams { query }).fields() {
            let (step, mut count) = (steps.step(field), Out::new(&mut []));
            write_step(field, step, b'&', &mut count);
            end += count.len;
            let read = if is_moved(field, step) { field.at + field.text.len() } else { field.at };
            excess = excess.max(end.saturating_sub(moved + read));
        }
        if let Some((name, value)) = steps.last() {
            let mut count = Out::new(&mut []);
            write_field(name, value, &mut count);
            end += 1 + count.len;
        }
        excess = excess.max((end + tail).saturating_sub(capacity));
        fits(capacity + excess, capacity)?;

        let buffer = &mut self.url.buffer;
        shift(buffer, old..len, moved);
        let (mut end, mut read, mut steps) = (start, moved, edit);
        let mark = |end: usize| if end == start { b'?' } else { b'&' };
        while let Some(field) = Field::next(text_of(buffer, read as u16, (capacity - tail) as u16), 0) {
            let (from, to) = (read + field.at, read + field.at + field.text.len());
            read = to;
            let step = steps.step(field);
            if is_moved(field, step) {
                buffer.get_mut(end).into_iter().for_each(|place| *place = mark(end));
                shift(buffer, from..to, end + 1);
                end += 1 + to - from;
                continue;
            }
            // As was found out, the field ends before what is still to be read, this one included.
            let Some((written, unread)) = buffer.split_at_mut_checked(from) else { break };
            let (Some(room), Some(field)) =
                (written.get_mut(end..), Field::next(text_of(unread, 0, (to - from) as u16), 0))
            else {
                break;
            };
            let mut out = Out::new(room);
            write_step(field, step, mark(end), &mut out);
            end += out.len;
        }
        if let (Some((name, value)), Some(room)) = (steps.last(), buffer.get_mut(end..capacity - tail)) {
            let mut out = Out::new(room);
            out.push(mark(end));
            write_field(name, value, &mut out);
            end += out.len;
        }
        shift(buffer, capacity - tail..capacity, end);
        self.url.parts.fragment = end as u16;
        self.url.parts.len = (end + tail) as u16;
        Ok(())
    }
}

/// Whether a field is moved as it is, and so may be written over itself.
fn is_moved(field: Field<'_>, step: Step<'_>) -> bool {
    matches!(step, Step::Stays) && field.is_normal()
}
