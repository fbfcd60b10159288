//! The access log: a line for each request.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::SystemTime;

use tidemill_core::http::date;
use tidemill_core::http::serve::Served;

use super::json;

/// Where a line is written for each request, and how it looks. After a reload it is opened anew.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AccessLog {
    /// The file; lines are appended.
    pub path: PathBuf,
    /// How a line looks.
    pub format: Format,
}

/// How a line of the access log looks.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Format {
    /// The Common Log Format of NCSA's server, which all tools read.
    #[default]
    Common,
    /// A JSON object.
    Json,
}

/// Appends the line of one request.
pub(super) fn line(served: &Served<'_>, format: Format, out: &mut String) {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (method, target, version) = (served.head.method(), served.head.target(), served.head.version());
    let field = |name| String::from_utf8_lossy(served.head.header(name).unwrap_or_default());
    // Writing to a string cannot fail.
    let _ = match format {
        Format::Common => {
            let text = date::format(now);
            let text = String::from_utf8_lossy(&text);
            // "Sun, 06 Nov 1994 08:49:37 GMT" is told as 06/Nov/1994:08:49:37 +0000.
            let (day, month, year, time) = (&text[5..7], &text[8..11], &text[12..16], &text[17..25]);
            let _ = write!(out, "{} - - [{day}/{month}/{year}:{time} +0000] \"", served.peer.ip());
            if method.is_empty() {
                out.push('-');
            } else {
                out.push_str(method);
                out.push(' ');
                // A target is visible ASCII.
                target.chars().for_each(|char| match char {
                    '"' | '\\' => drop(write!(out, "\\x{:02x}", u32::from(char))),
                    char => out.push(char),
                });
                let _ = write!(out, " {version}");
            }
            writeln!(out, "\" {} {}", served.status, served.sent)
        }
        Format::Json => {
            let micros = served.ended.checked_duration_since(served.began).map_or(0, |took| took.as_ticks());
            let _ = write!(out, "{{\"time\":{now},\"peer\":\"{}\",\"method\":", served.peer);
            json::text(method, out);
            out.push_str(",\"target\":");
            json::text(target, out);
            out.push_str(",\"referer\":");
            json::text(&field("referer"), out);
            out.push_str(",\"user_agent\":");
            json::text(&field("user-agent"), out);
            let (status, sent, complete) = (served.status, served.sent, served.complete);
            let seconds = micros as f64 / 1e6;
            writeln!(out, ",\"status\":{status},\"sent\":{sent},\"complete\":{complete},\"seconds\":{seconds}}}")
        }
    };
}
