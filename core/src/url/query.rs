//! Queries and forms, `name=value&name=value`, taken apart by the rules of Python's `parse_qsl` and `parse_qs`.
//!
//! Both borrow from the query and decode when a name or value is displayed or compared. They take time linear in the
//! query; what [`Groups`] groups, it groups by comparing, because there is no heap to remember names in.

use super::scan::{cut, find, partition};
use super::{Charset, Error, Undecodable, Unquoted, unquote_plus};

/// How a query is read. The default is Python's: blank values are left out, what is no field is passed over, any number
/// of fields, between ampersands, in UTF-8.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct QueryOptions<'a> {
    /// Whether fields without a value are kept, as empty texts.
    pub keep_blank_values: bool,
    /// Whether a field without `=` is an error.
    pub strict_parsing: bool,
    /// How many fields there may be; blank ones count, too.
    pub max_num_fields: Option<usize>,
    /// What stands between fields; not empty.
    pub separator: &'a str,
    /// What the escaped bytes are.
    pub charset: Charset,
    /// What becomes of bytes that are no character.
    pub errors: Undecodable,
}

impl Default for QueryOptions<'_> {
    fn default() -> Self {
        Self {
            keep_blank_values: false,
            strict_parsing: false,
            max_num_fields: None,
            separator: "&",
            charset: Charset::Utf8,
            errors: Undecodable::Replace,
        }
    }
}

/// The fields of `query`, in order, each a name and a value.
///
/// ```
/// use tidemill_core::url::{QueryOptions, parse_qsl};
///
/// let options = QueryOptions { keep_blank_values: true, ..QueryOptions::default() };
/// let mut fields = parse_qsl("a=1+%2B&b&a=2", &options)?;
/// let (name, value) = fields.next().unwrap()?;
/// assert_eq!((name.to_string(), value.to_string()), ("a".into(), "1 +".into()));
/// assert_eq!(fields.next().unwrap()?.1, "");
/// # Ok::<(), tidemill_core::url::Error>(())
/// ```
///
/// # Errors
/// [`Error::EmptySeparator`], [`Error::TooManyFields`]. The iterator gives [`Error::BadField`] with `strict_parsing` and
/// [`Error::Undecodable`] with [`Undecodable::Strict`], and ends there.
pub fn parse_qsl<'a>(query: &'a str, options: &QueryOptions<'a>) -> Result<Fields<'a>, Error> {
    if options.separator.is_empty() {
        return Err(Error::EmptySeparator);
    }
    if let Some(max) = options.max_num_fields
        && !query.is_empty()
        && query.matches(options.separator).count() >= max
    {
        return Err(Error::TooManyFields);
    }
    let rest = if query.is_empty() { None } else { Some(query) };
    Ok(Fields { whole: query, rest, options: *options })
}

/// An iterator over the fields of a query: what [`parse_qsl`] gives.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Fields<'a> {
    whole: &'a str,
    rest: Option<&'a str>,
    options: QueryOptions<'a>,
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(Unquoted<'a>, Unquoted<'a>), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let start = self.whole.len() - self.rest?.len();
            let field = self.field()?;
            if field.is_empty() && !self.options.strict_parsing {
                continue;
            }
            let (name, value) = partition(field, b'=');
            if value.is_none() && self.options.strict_parsing {
                self.rest = None;
                return Some(Err(Error::BadField { at: start }));
            }
            let value = value.unwrap_or("");
            if value.is_empty() && !self.options.keep_blank_values {
                continue;
            }
            let value_at = start + field.len() - value.len();
            let decoded = self.decoded(name, start).and_then(|name| Ok((name, self.decoded(value, value_at)?)));
            if decoded.is_err() {
                self.rest = None;
            }
            return Some(decoded);
        }
    }
}

impl<'a> Fields<'a> {
    /// Takes what stands before the next separator.
    fn field(&mut self) -> Option<&'a str> {
        let rest = self.rest?;
        let separator = self.options.separator;
        let end = match separator.as_bytes() {
            [byte] => find(rest.as_bytes(), [*byte]),
            _ => rest.find(separator),
        };
        self.rest = end.map(|end| cut(rest, end + separator.len()).1);
        Some(end.map_or(rest, |end| cut(rest, end).0))
    }

    fn decoded(&self, text: &'a str, start: usize) -> Result<Unquoted<'a>, Error> {
        unquote_plus(text).decoded(self.options.charset, self.options.errors).map_err(|error| error.moved(start))
    }
}

/// The fields of `query` by name, as Python's `parse_qs` has them in a dictionary.
///
/// ```
/// use tidemill_core::url::{QueryOptions, parse_qs};
///
/// let form = parse_qs("a=1&b=&a=2", &QueryOptions::default())?;
/// assert!(form.get("a").map(|value| value.to_string()).eq(["1", "2"]));
/// assert_eq!((form.get("b").count(), form.names().count()), (0, 1));
/// # Ok::<(), tidemill_core::url::Error>(())
/// ```
///
/// # Errors
/// Those of [`parse_qsl`] and of its iterator: the whole query is looked at.
pub fn parse_qs<'a>(query: &'a str, options: &QueryOptions<'a>) -> Result<Groups<'a>, Error> {
    let fields = parse_qsl(query, options)?;
    fields.clone().try_for_each(|field| field.map(drop))?;
    Ok(Groups { fields })
}

/// The fields of a query by name: what [`parse_qs`] gives.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Groups<'a> {
    fields: Fields<'a>,
}

impl<'a> Groups<'a> {
    /// The values of the fields that are called `name`, in order. O(length of the query).
    pub fn get(&self, name: &str) -> impl Iterator<Item = Unquoted<'a>> {
        self.fields().filter(move |field| field.0 == *name).map(|field| field.1)
    }

    /// Each name once, in the order in which they come first. O(fields · length of the query): bound the fields with
    /// [`QueryOptions::max_num_fields`] where a query is not trusted.
    pub fn names(&self) -> impl Iterator<Item = Unquoted<'a>> {
        self.fields().enumerate().filter_map(|(at, (name, _))| {
            let before = self.fields().take(at).any(|(other, _)| other == name);
            (!before).then_some(name)
        })
    }

    /// The values of the fields called as this one, which [`Groups::names`] gave. O(length of the query).
    pub fn values(&self, name: Unquoted<'a>) -> impl Iterator<Item = Unquoted<'a>> {
        self.fields().filter(move |field| field.0 == name).map(|field| field.1)
    }

    /// Every field; none is an error, as all were looked at.
    fn fields(&self) -> impl Iterator<Item = (Unquoted<'a>, Unquoted<'a>)> {
        self.fields.clone().filter_map(Result::ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::string::{String, ToString};
    use std::vec::Vec;

    fn pairs(query: &str, options: &QueryOptions<'_>) -> Result<Vec<(String, String)>, Error> {
        parse_qsl(query, options)?
            .map(|field| field.map(|(name, value)| (name.to_string(), value.to_string())))
            .collect()
    }

    fn expect(query: &str, options: &QueryOptions<'_>, expected: &[(&str, &str)]) {
        let expected = expected.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        assert_eq!(pairs(query, options), Ok(expected), "{query:?}");
    }

    #[test]
    fn blank_values_are_left_out_or_kept() {
        let (drop, keep) = (QueryOptions::default(), QueryOptions { keep_blank_values: true, ..Default::default() });
        expect("a", &drop, &[]);
        expect("a=", &drop, &[]);
        expect("a&b=", &keep, &[("a", ""), ("b", "")]);
        expect("=b", &drop, &[("", "b")]);
        expect("&&a=1&&", &keep, &[("a", "1")]);
        expect("a=b=c&a%3Db=1&+a=+b", &drop, &[("a", "b=c"), ("a=b", "1"), (" a", " b")]);
    }

    #[test]
    fn fields_stand_between_separators_of_any_length() {
        expect("a=1;b=2", &QueryOptions::default(), &[("a", "1;b=2")]);
        for separator in [";", "::", "é"] {
            let query = std::format!("a=1{separator}b=2");
            expect(&query, &QueryOptions { separator, ..Default::default() }, &[("a", "1"), ("b", "2")]);
        }
        let empty = QueryOptions { separator: "", ..Default::default() };
        assert_eq!(pairs("a=1", &empty), Err(Error::EmptySeparator));
    }

    #[test]
    fn too_many_fields_are_refused_before_any_is_read() {
        let two = QueryOptions { max_num_fields: Some(2), ..Default::default() };
        expect("a=1&b=2", &two, &[("a", "1"), ("b", "2")]);
        assert_eq!(pairs("a=1&b=2&", &two), Err(Error::TooManyFields));
        expect("", &QueryOptions { max_num_fields: Some(0), ..Default::default() }, &[]);
    }

    #[test]
    fn strictness_tells_where_and_ends() {
        let strict = QueryOptions { strict_parsing: true, ..Default::default() };
        expect("", &strict, &[]);
        assert_eq!(pairs("b=1&a", &strict), Err(Error::BadField { at: 4 }));
        let strict = QueryOptions { errors: Undecodable::Strict, ..Default::default() };
        let mut fields = parse_qsl("a=1&b=x%ff&c=2", &strict).unwrap();
        assert!(fields.next().unwrap().is_ok());
        assert_eq!(fields.next().map(Result::err), Some(Some(Error::Undecodable { at: 7 })));
        assert_eq!(fields.next(), None);
        assert!(parse_qs("a=%ff", &strict).is_err());
    }

    proptest! {
        #[test]
        fn groups_hold_every_field_once(query in "([ab%41+é]{0,2}=?[ab&=]{0,2}&){0,6}", keep_blank_values in any::<bool>()) {
            let options = QueryOptions { keep_blank_values, ..Default::default() };
            let groups = parse_qs(&query, &options).unwrap();
            let mut grouped: Vec<_> = groups
                .names()
                .flat_map(|name| groups.values(name).map(move |value| (name.to_string(), value.to_string())))
                .collect();
            for name in groups.names() {
                prop_assert!(groups.get(&name.to_string()).eq(groups.values(name)));
            }
            let mut all = pairs(&query, &options).unwrap();
            grouped.sort();
            all.sort();
            prop_assert_eq!(grouped, all);
        }
    }
}
