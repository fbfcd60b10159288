//! `tidemill url`: Python's `urllib.parse` and the URL Standard on the command line, once or for each line of stdin.

mod answer;
mod batch;
mod call;
mod ops;
mod python;
mod whatwg;

use std::borrow::Cow;

use answer::Answer;
use call::{Arg, Call};

use crate::args::Url;
use crate::{Failure, print};

/// The functions and examples, for `--help`.
pub(crate) fn help() -> String {
    let ops = ops::OPS.map(|(name, args)| format!("  {name:<17}{args}\n")).concat();
    format!(
        "Functions:\n{ops}\nCalls and answers of --batch:\n  \
         {{\"op\":\"urljoin\",\"args\":[\"http://a/b\",\"../c\"],\"kw\":{{}}}}\n  \
         {{\"ok\":\"http://a/c\"}}, or {{\"error\":\"why\"}}; bytes are {{\"b\":\"hexadecimal\"}}\n\nExamples:\n  \
         tidemill url urlsplit http://user@example.org:8080/a?b#c\n  \
         tidemill url urljoin http://example.org/a/b ../c\n  \
         tidemill url whatwg 'HTTP://Bücher.example:80/../a b' --json\n  \
         tidemill url parse_qsl 'a=1&b=' --kw keep_blank_values=true --json\n  \
         tidemill url urlencode 'q=tides & mills' page=2\n  \
         tidemill url --batch < calls.jsonl > answers.jsonl"
    )
}

/// Runs the command.
pub(crate) fn run(args: &Url) -> Result<(), Failure> {
    let Some(op) = &args.op else {
        return batch::run(std::io::stdin(), std::io::stdout().lock())
            .map_err(|error| Failure::Failed(format!("stdin to stdout: {error}")));
    };
    if !ops::OPS.iter().any(|(name, _)| name == op) {
        return Err(Failure::Usage(format!("unknown operation '{op}': see 'tidemill url --help'")));
    }
    let mut answer = Answer { text: String::new(), plain: !args.json };
    if args.json {
        answer.text.push_str(r#"{"ok":"#);
    }
    let call = Call { op: op.into(), args: positional(op, &args.args), kw: named(&args.kw)? };
    match ops::run(&call, &mut ops::Scratch::default(), &mut answer) {
        Ok(()) => {
            if args.json {
                answer.text.push('}');
            }
            // An answer for people ends its last line itself; an empty list or object has none.
            if !answer.text.is_empty() {
                print(answer.text.strip_suffix('\n').unwrap_or(&answer.text));
            }
            Ok(())
        }
        Err(error) => {
            if args.json {
                print(&crate::json::Object::new().text("error", &error).finish());
            }
            Err(Failure::Failed(format!("{op}: {error}")))
        }
    }
}

/// Arguments by position: texts, but for the functions that take one list.
fn positional<'a>(op: &str, args: &'a [String]) -> Vec<Arg<'a>> {
    let texts = args.iter().map(|text| Arg::Text(Cow::Borrowed(text.as_str())));
    match op {
        "urlunsplit" | "urlunparse" => vec![Arg::List(texts.collect())],
        "urlencode" => {
            let pairs = args.iter().map(|field| {
                let (name, value) = field.split_once('=').unwrap_or((field, ""));
                Arg::List(vec![Arg::Text(Cow::Borrowed(name)), Arg::Text(Cow::Borrowed(value))])
            });
            vec![Arg::List(pairs.collect())]
        }
        "quote_from_bytes" => args
            .iter()
            .enumerate()
            .map(|(at, text)| match at {
                0 => Arg::Bytes(text.clone().into_bytes()),
                _ => Arg::Text(Cow::Borrowed(text)),
            })
            .collect(),
        _ => texts.collect(),
    }
}

/// Arguments by name: `true`, `false`, `null` and numbers are what they are, anything else is a text.
fn named(args: &[String]) -> Result<Vec<(Cow<'_, str>, Arg<'_>)>, Failure> {
    let argument = |text: &'_ str| {
        let (name, value) = text.split_once('=')?;
        let arg = match value {
            "true" => Arg::Bool(true),
            "false" => Arg::Bool(false),
            "null" => Arg::Null,
            value => value.parse().map_or_else(|_| Arg::Text(Cow::Owned(value.to_owned())), Arg::Int),
        };
        Some((Cow::Owned(name.to_owned()), arg))
    };
    args.iter()
        .map(|text| argument(text).ok_or_else(|| Failure::Usage(format!("no name and value: '{text}'"))))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_that_take_a_list_get_one() {
        let args = ["a=1", "b"].map(str::to_owned);
        let texts =
            |texts: &[&'static str]| Arg::List(texts.iter().map(|text| Arg::Text(Cow::Borrowed(*text))).collect());
        assert_eq!(positional("urlunsplit", &args), [texts(&["a=1", "b"])]);
        assert_eq!(positional("urlencode", &args), [Arg::List(vec![texts(&["a", "1"]), texts(&["b", ""])])]);
        assert_eq!(positional("urljoin", &args), [Arg::Text("a=1".into()), Arg::Text("b".into())]);
    }

    #[test]
    fn a_named_argument_is_a_flag_a_number_or_a_text() {
        let args = ["a=true", "b=-3", "c=x=y", "d="].map(str::to_owned);
        let named = named(&args).map_err(|failure| failure.message().to_owned()).unwrap();
        let values = named.into_iter().map(|(_, value)| value).collect::<Vec<_>>();
        assert_eq!(values, [Arg::Bool(true), Arg::Int(-3), Arg::Text("x=y".into()), Arg::Text("".into())]);
    }
}
