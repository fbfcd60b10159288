//! Queries and forms put together, by the rules of Python's `urlencode`.

use core::fmt::{self, Display, Formatter, Write};

use super::charset::{Charset, Unencodable};
use super::quote::{Percent, check};
use super::{Error, Unquoted};

/// A name or a value of a form.
#[derive(Clone, Copy)]
pub enum FormValue<'a> {
    /// Characters.
    Text(&'a str),
    /// Bytes, which no charset changes.
    Bytes(&'a [u8]),
    /// What is displayed, such as a number: Python's `str(value)`.
    Shown(&'a dyn Display),
    /// One field for each of them, all with the same name: a sequence, with Python's `doseq`. Without `doseq` Python
    /// writes the sequence as it would print it; here that is [`FormValue::Shown`], of whatever prints it.
    Many(&'a [FormValue<'a>]),
}

impl<'a> From<&'a str> for FormValue<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a [u8]> for FormValue<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Bytes(bytes)
    }
}

impl<'a> From<&'a Unquoted<'a>> for FormValue<'a> {
    fn from(text: &'a Unquoted<'a>) -> Self {
        Self::Shown(text)
    }
}

/// How names and values are quoted: Python's `quote_via`.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum QuoteVia {
    /// As [`quote_plus`](super::quote_plus) does: spaces as `+`.
    #[default]
    QuotePlus,
    /// As [`quote`](super::quote) does: spaces as `%20`.
    Quote,
}

/// How a form is written. The default is Python's: nothing more is safe, UTF-8, spaces as `+`.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct EncodeOptions<'a> {
    /// ASCII characters that stay as they are, beside letters, digits and `_.-~`.
    pub safe: &'a str,
    /// What the bytes of texts are.
    pub charset: Charset,
    /// What becomes of characters that the charset does not have.
    pub errors: Unencodable,
    /// How names and values are quoted.
    pub quote_via: QuoteVia,
}

/// Displays `fields`, each a name and a value, as a query: `name=value&name=value`. O(length).
///
/// ```
/// use tidemill_core::url::{EncodeOptions, FormValue, urlencode};
///
/// let options = EncodeOptions::default();
/// assert_eq!(urlencode([("a b", "1 + 1"), ("c", "é")], &options)?.to_string(), "a+b=1+%2B+1&c=%C3%A9");
/// let many = FormValue::Many(&[FormValue::Shown(&1), FormValue::Text("x")]);
/// assert_eq!(urlencode([("n", many)], &options)?.to_string(), "n=1&n=x");
/// # Ok::<(), tidemill_core::url::Error>(())
/// ```
///
/// # Errors
/// [`Error::Unencodable`], with [`Unencodable::Strict`] only; its place is that in the name or value.
pub fn urlencode<'a, N, V, F>(fields: F, options: &EncodeOptions<'_>) -> Result<Encoded<F::IntoIter>, Error>
where
    N: Into<FormValue<'a>>,
    V: Into<FormValue<'a>>,
    F: IntoIterator<Item = (N, V), IntoIter: Clone>,
{
    let fields = fields.into_iter();
    let &EncodeOptions { safe, charset, errors, quote_via } = options;
    if errors == Unencodable::Strict && charset != Charset::Utf8 {
        for (name, value) in fields.clone() {
            name.into().check(charset)?;
            value.into().check(charset)?;
        }
    }
    Ok(Encoded { fields, into: Percent::new(safe, quote_via == QuoteVia::QuotePlus), charset, errors })
}

/// A form that is displayed as a query: what [`urlencode`] gives.
#[derive(Clone, Debug)]
pub struct Encoded<F> {
    fields: F,
    into: Percent,
    charset: Charset,
    errors: Unencodable,
}

impl<'a, N, V, F> Display for Encoded<F>
where
    N: Into<FormValue<'a>>,
    V: Into<FormValue<'a>>,
    F: Iterator<Item = (N, V)> + Clone,
{
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut between = "";
        for (name, value) in self.fields.clone() {
            let (name, value) = (name.into(), value.into());
            let one = [value];
            for value in if let FormValue::Many(values) = value { values } else { &one } {
                f.write_str(between)?;
                between = "&";
                self.part(name, f)?;
                f.write_str("=")?;
                self.part(*value, f)?;
            }
        }
        Ok(())
    }
}

impl<F> Encoded<F> {
    fn part(&self, part: FormValue<'_>, f: &mut Formatter<'_>) -> fmt::Result {
        let mut out = EncodedText { into: self.into, charset: self.charset, errors: self.errors, out: f };
        match part {
            FormValue::Text(text) => out.write_str(text),
            FormValue::Bytes(bytes) => self.into.bytes(bytes, f),
            FormValue::Shown(value) => write!(out, "{value}"),
            // A sequence in a sequence, or as a name, has no meaning of its own: its items one after another.
            FormValue::Many(values) => values.iter().try_for_each(|value| self.part(*value, f)),
        }
    }
}

/// Quotes the text that is written into it.
struct EncodedText<'w, 'f> {
    into: Percent,
    charset: Charset,
    errors: Unencodable,
    out: &'w mut Formatter<'f>,
}

impl Write for EncodedText<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.into.text(text, self.charset, self.errors, self.out)
    }
}

impl FormValue<'_> {
    fn check(&self, charset: Charset) -> Result<(), Error> {
        match self {
            Self::Text(text) => check(text, charset),
            Self::Bytes(_) => Ok(()),
            Self::Shown(value) => {
                let mut checked = Checked { charset, seen: 0, result: Ok(()) };
                // An error of the value itself comes again when it is displayed.
                let _ = write!(checked, "{value}");
                checked.result
            }
            Self::Many(values) => values.iter().try_for_each(|value| value.check(charset)),
        }
    }
}

/// Looks whether the charset has what is written into it.
struct Checked {
    charset: Charset,
    seen: usize,
    result: Result<(), Error>,
}

impl Write for Checked {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.result = check(text, self.charset).map_err(|error| error.moved(self.seen));
        self.seen += text.len();
        self.result.map_err(|_| fmt::Error)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{QueryOptions, parse_qsl, write_in};
    use super::*;
    use proptest::prelude::*;
    use std::string::{String, ToString};
    use std::vec::Vec;

    #[test]
    fn nothing_and_empty_sequences_give_nothing() {
        let none: [(&str, &str); 0] = [];
        assert_eq!(urlencode(none, &EncodeOptions::default()).unwrap().to_string(), "");
        let fields = [("a", FormValue::Many(&[])), ("b", FormValue::Text(""))];
        assert_eq!(urlencode(fields, &EncodeOptions::default()).unwrap().to_string(), "b=");
    }

    #[test]
    fn the_charset_is_that_of_texts_only() {
        let options = EncodeOptions { charset: Charset::Latin1, safe: ":$", ..Default::default() };
        let values = [FormValue::Bytes(b"\xc1$"), FormValue::Shown(&13), FormValue::Text("Á")];
        let fields = [(FormValue::Bytes(b"\xa0$"), FormValue::Many(&values))];
        assert_eq!(urlencode(fields, &options).unwrap().to_string(), "%A0$=%C1$&%A0$=13&%A0$=%C1");
        for value in [FormValue::Text("Á€"), FormValue::Shown(&format_args!("{}{}", 'Á', '€'))] {
            assert_eq!(urlencode([("a", value)], &options).err(), Some(Error::Unencodable { at: 2 }));
        }
    }

    #[test]
    fn a_buffer_that_just_fits_is_enough_and_one_byte_less_is_full() {
        let options = EncodeOptions { quote_via: QuoteVia::Quote, ..Default::default() };
        let encoded = urlencode([("a b", "/")], &options).unwrap();
        assert_eq!(write_in(&encoded, &mut [0; 9]), Ok("a%20b=%2F"));
        assert_eq!(write_in(&encoded, &mut [0; 8]), Err(Error::Full));
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_parsed_as_it_was(fields in prop::collection::vec((".{0,6}", ".{0,6}"), 0..6), quote in any::<bool>()) {
            let quote_via = if quote { QuoteVia::Quote } else { QuoteVia::QuotePlus };
            let options = EncodeOptions { quote_via, ..Default::default() };
            let pairs = fields.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            let query = urlencode(pairs, &options).unwrap().to_string();
            let keep = QueryOptions { keep_blank_values: true, ..Default::default() };
            let parsed: Vec<(String, String)> = parse_qsl(&query, &keep)
                .unwrap()
                .map(|field| field.map(|(name, value)| (name.to_string(), value.to_string())).unwrap())
                .collect();
            prop_assert_eq!(parsed, fields);
        }
    }
}
