//! Queries taken apart, in every way there is.
#![no_main]
use libfuzzer_sys::fuzz_target;
use tidemill_core::url::{Charset, QueryOptions, Undecodable, parse_qs, parse_qsl};

fuzz_target!(|input: (&str, &str, u8, u8)| {
    let (query, separator, flags, max) = input;
    let options = QueryOptions {
        keep_blank_values: flags & 1 != 0,
        strict_parsing: flags & 2 != 0,
        max_num_fields: Some(usize::from(max)),
        separator,
        charset: [Charset::Utf8, Charset::Latin1, Charset::Ascii, Charset::Utf8][usize::from(flags >> 2 & 3)],
        errors: [Undecodable::Strict, Undecodable::Replace, Undecodable::Ignore, Undecodable::Backslash]
            [usize::from(flags >> 4 & 3)],
    };
    let Ok(fields) = parse_qsl(query, &options) else { return };
    let fields: Result<Vec<_>, _> = fields.collect();
    let groups = parse_qs(query, &options);
    assert_eq!(groups.as_ref().err(), fields.as_ref().err());
    if let (Ok(fields), Ok(groups)) = (fields, groups) {
        assert!(fields.len() <= usize::from(max));
        let grouped: usize = groups.names().map(|name| groups.values(name).count()).sum();
        assert_eq!(grouped, fields.len());
        for (name, value) in fields {
            assert!(name == *name.to_string() && value == *value.to_string());
        }
    }
});
