//! A call as it stands on a line of JSON: `{"op": …, "args": […], "kw": {…}}`, borrowed from the line.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// A value that is passed to a function. JSON lacks bytes: see [`Arg::bytes`].
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Arg<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Cow<'a, str>),
    Bytes(Vec<u8>),
    List(Vec<Arg<'a>>),
    Map(Vec<(Cow<'a, str>, Arg<'a>)>),
}

/// A function's name and its arguments, by position and by name.
#[derive(Debug, Default)]
pub(super) struct Call<'a> {
    pub(super) op: Cow<'a, str>,
    pub(super) args: Vec<Arg<'a>>,
    pub(super) kw: Vec<(Cow<'a, str>, Arg<'a>)>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Call<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Call<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with op, args and kw")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Call<'de>, M::Error> {
                let mut call = Call::default();
                while let Some(Key(key)) = map.next_key()? {
                    match &*key {
                        "op" => call.op = map.next_value::<Key<'de>>()?.0,
                        "args" => call.args = map.next_value()?,
                        "kw" => match map.next_value()? {
                            Arg::Map(kw) => call.kw = kw,
                            _ => return Err(M::Error::custom("kw is no object")),
                        },
                        _ => return Err(M::Error::custom(format_args!("unknown field `{key}`"))),
                    }
                }
                Ok(call)
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

/// A string, borrowed where it has no escapes.
struct Key<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Key<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Arg<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Arg<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_unit<E: Error>(self) -> Result<Arg<'de>, E> {
                Ok(Arg::Null)
            }

            fn visit_bool<E: Error>(self, value: bool) -> Result<Arg<'de>, E> {
                Ok(Arg::Bool(value))
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Arg<'de>, E> {
                Ok(Arg::Int(value))
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Arg<'de>, E> {
                i64::try_from(value).map(Arg::Int).map_err(|_| E::custom("number too large"))
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<Arg<'de>, E> {
                Ok(Arg::Float(value))
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Arg<'de>, E> {
                Ok(Arg::Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Arg<'de>, E> {
                Ok(Arg::Text(Cow::Owned(text.to_owned())))
            }

            fn visit_seq<S: SeqAccess<'de>>(self, mut seq: S) -> Result<Arg<'de>, S::Error> {
                let mut list = Vec::new();
                while let Some(item) = seq.next_element()? {
                    list.push(item);
                }
                Ok(Arg::List(list))
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Arg<'de>, M::Error> {
                let mut fields = Vec::new();
                while let Some((Key(key), value)) = map.next_entry()? {
                    fields.push((key, value));
                }
                Ok(Arg::Map(fields))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// The bytes that `hex` spells.
fn unhex(hex: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
    // Two digits of four bits each fit a byte.
    let bytes = pairs.iter().map(|[high, low]| Some((digit(*high)? << 4 | digit(*low)?) as u8)).collect();
    if rest.is_empty() { bytes } else { None }
}

impl<'a> Call<'a> {
    /// The arguments in the order of `names`, however they were passed.
    pub(super) fn bind<const N: usize>(&self, names: [&str; N]) -> Result<[Option<&Arg<'a>>; N], String> {
        if self.args.len() > N {
            return Err(format!("{} takes at most {N} arguments, and {} were given", self.op, self.args.len()));
        }
        let mut bound = [None; N];
        for (slot, arg) in bound.iter_mut().zip(&self.args) {
            *slot = Some(arg);
        }
        for (name, arg) in &self.kw {
            let at = names.iter().position(|known| known == name);
            let at = at.ok_or_else(|| format!("{} has no argument '{name}'", self.op))?;
            if bound[at].replace(arg).is_some() {
                return Err(format!("argument '{name}' was given twice"));
            }
        }
        Ok(bound)
    }
}

impl Arg<'_> {
    /// Whether Python takes the value for true.
    pub(super) fn is_true(&self) -> bool {
        match self {
            Self::Null => false,
            Self::Bool(value) => *value,
            Self::Int(value) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::Bytes(bytes) => !bytes.is_empty(),
            Self::List(list) => !list.is_empty(),
            Self::Map(map) => !map.is_empty(),
        }
    }

    /// The bytes, where a function takes them: in JSON they are `{"b": "hexadecimal"}`.
    pub(super) fn bytes(&self) -> Option<Cow<'_, [u8]>> {
        match self {
            Self::Bytes(bytes) => Some(Cow::Borrowed(bytes)),
            Self::Map(map) => match &map[..] {
                [(key, Self::Text(hex))] if key == "b" => unhex(hex).map(Cow::Owned),
                _ => None,
            },
            _ => None,
        }
    }

    /// The text, which nothing else stands for.
    pub(super) fn text(&self) -> Result<&str, String> {
        match self {
            Self::Text(text) => Ok(text),
            _ => Err("a string is wanted".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_borrows_what_has_no_escapes() {
        let line =
            r#"{"op":"urljoin","args":["http://h/","a\tb",{"b":"00ff"},[1,-2.5,null,true]],"kw":{"x":{"y":""}}}"#;
        let call: Call<'_> = serde_json::from_str(line).unwrap();
        assert_eq!(call.op, "urljoin");
        assert!(matches!(&call.args[0], Arg::Text(Cow::Borrowed("http://h/"))));
        assert!(matches!(&call.args[1], Arg::Text(Cow::Owned(text)) if text == "a\tb"));
        assert_eq!(call.args[2].bytes().as_deref(), Some([0, 255].as_slice()));
        assert_eq!(call.args[3].bytes(), None);
        assert_eq!(call.args[3], Arg::List(vec![Arg::Int(1), Arg::Float(-2.5), Arg::Null, Arg::Bool(true)]));
        assert_eq!(call.kw[0].0, "x");
    }

    #[test]
    fn what_is_no_call_is_refused() {
        for line in ["", "[]", r#"{"op":1}"#, r#"{"o":"x"}"#, r#"{"kw":[]}"#, r"{} {}"] {
            assert!(serde_json::from_str::<Call<'_>>(line).is_err(), "{line}");
        }
    }

    #[test]
    fn arguments_come_by_place_or_by_name_and_once() {
        let call = |line| serde_json::from_str::<Call<'_>>(line).unwrap();
        let both = call(r#"{"op":"f","args":[1],"kw":{"c":3}}"#);
        assert_eq!(both.bind(["a", "b", "c"]), Ok([Some(&Arg::Int(1)), None, Some(&Arg::Int(3))]));
        assert_eq!(both.bind(["a", "b"]).unwrap_err(), "f has no argument 'c'");
        assert_eq!(both.bind(["c"]).unwrap_err(), "argument 'c' was given twice");
        assert_eq!(both.bind([]).unwrap_err(), "f takes at most 0 arguments, and 1 were given");
    }
}
