//! A file of events, cut into the texts of single events, each to be judged by itself.

use serde_json::value::RawValue;

/// The texts of the events in a file: one JSON value is an event or an array of any number of events, anything else is one
/// event a line.
pub fn split(file: &[u8]) -> Vec<&[u8]> {
    let whole: Option<&RawValue> = serde_json::from_slice(file).ok();
    let Some(whole) = whole else { return file.split(|byte| *byte == b'\n').filter(|line| !is_blank(line)).collect() };
    match serde_json::from_str::<Vec<&RawValue>>(whole.get()) {
        Ok(events) => events.into_iter().map(|event| event.get().as_bytes()).collect(),
        Err(_) => vec![file],
    }
}

/// The rows of a file as `aliases export` writes it, each with its line number.
pub fn rows(file: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    file.split(|byte| *byte == b'\n').enumerate().map(|(at, line)| (at + 1, line)).filter(|(_, line)| !is_blank(line))
}

fn is_blank(line: &[u8]) -> bool {
    line.iter().all(u8::is_ascii_whitespace)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn texts(file: &str) -> Vec<String> {
        split(file.as_bytes()).into_iter().map(|text| String::from_utf8(text.to_vec()).unwrap().trim().to_owned()).collect()
    }

    #[test]
    fn one_value_is_an_event_or_an_array_of_events() {
        assert_eq!(texts("\n { \"a\":\n 1 } \n"), ["{ \"a\":\n 1 }"]);
        assert_eq!(texts("[ {\"a\":1,\"a\":2} ,\n 1.50, [ ] ]"), ["{\"a\":1,\"a\":2}", "1.50", "[ ]"]);
        assert_eq!(texts("[]"), [""; 0]);
        assert_eq!(texts("7"), ["7"]);
    }

    #[test]
    fn anything_else_is_one_event_a_line() {
        assert_eq!(texts("{\"a\":1}\r\n\n  \t\n[2]\nthree"), ["{\"a\":1}", "[2]", "three"]);
        assert_eq!(texts(""), [""; 0]);
        assert_eq!(split(b"\xff\n{}"), [&b"\xff"[..], b"{}"]);
    }

    #[test]
    fn depth_is_judged_where_the_event_is_read() {
        let deep = format!("[{}{}]", "[".repeat(200_000), "]".repeat(200_000));
        assert_eq!(split(deep.as_bytes()).len(), 1);
    }
}
