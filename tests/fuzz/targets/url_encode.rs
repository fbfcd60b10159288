//! Forms put together, texts quoted: what is written is read again.
#![no_main]
use libfuzzer_sys::fuzz_target;
use tidemill_core::url::{
    Charset, EncodeOptions, FormValue, QueryOptions, QuoteVia, Unencodable, parse_qsl, quote, quote_from_bytes, unquote,
    unquote_to_bytes, urlencode,
};

fuzz_target!(|input: (Vec<(&str, &str)>, &[u8], &str, u8)| {
    let (fields, bytes, safe, flags) = input;
    let options = EncodeOptions {
        safe: "",
        charset: Charset::Utf8,
        errors: Unencodable::Strict,
        quote_via: if flags & 1 == 0 { QuoteVia::QuotePlus } else { QuoteVia::Quote },
    };
    let query = urlencode(fields.iter().copied(), &options).expect("UTF-8 has all").to_string();
    assert!(query.is_ascii());
    let keep = QueryOptions { keep_blank_values: true, ..QueryOptions::default() };
    let parsed = parse_qsl(&query, &keep).expect("a separator").map(|field| field.expect("a field"));
    assert!(parsed.map(|(name, value)| (name.to_string(), value.to_string())).eq(fields
        .iter()
        .map(|(name, value)| ((*name).to_string(), (*value).to_string()))));

    let charset = [Charset::Utf8, Charset::Latin1, Charset::Ascii][usize::from(flags >> 1 & 3) % 3];
    let errors = [Unencodable::Strict, Unencodable::Replace, Unencodable::Ignore, Unencodable::XmlCharRef, Unencodable::Backslash]
        [usize::from(flags >> 3) % 5];
    let options = EncodeOptions { safe, charset, errors, ..options };
    let values: Vec<_> = fields.iter().map(|(_, value)| FormValue::Shown(value)).collect();
    if let Ok(form) = urlencode([(FormValue::Bytes(bytes), FormValue::Many(&values))], &options) {
        assert!(form.to_string().is_ascii());
    }

    if !safe.contains('%') {
        let quoted = quote_from_bytes(bytes, safe).to_string();
        assert!(unquote_to_bytes(quoted.as_bytes()).eq(bytes.iter().copied()));
        for (name, _) in fields {
            assert_eq!(unquote(&quote(name, safe).to_string()).to_string(), name);
        }
    }
});
