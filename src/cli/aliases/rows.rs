//! A file of rows, read line by line: each line becomes a row or says what is wrong with it.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use serde_json::{Value, json};

use super::Format;
use crate::event::{Alias, AliasRow, MAX_VALUE_BYTES, Reference, read_alias_data};

/// The header of the CSV form.
pub const COLUMNS: [&str; 6] = ["kind", "alias_type", "alias_id", "bwp_id", "order_alias_type", "order_alias_id"];

/// What a line became.
#[derive(Debug)]
pub struct Line {
    /// Its number, from 1.
    pub number: u64,
    /// The row, or what is wrong.
    pub row: Result<AliasRow, Wrong>,
}

/// What is wrong with a line.
#[derive(Debug, serde::Serialize)]
pub struct Wrong {
    /// The kind of fault.
    pub code: String,
    /// One sentence.
    pub message: String,
    /// RFC 6901 into the row's data.
    pub pointer: String,
}

impl Wrong {
    fn new(code: &str, message: impl Into<String>) -> Wrong {
        Wrong { code: code.to_owned(), message: message.into(), pointer: String::new() }
    }
}

/// Opens the file, and hands on every line that is not blank until the receiver has enough. An error is one of the file itself.
pub fn each(path: &Path, format: Option<Format>, each: impl FnMut(Line) -> bool) -> Result<(), String> {
    let is_csv = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
    let format = format.unwrap_or(if is_csv { Format::Csv } else { Format::Jsonl });
    let read = |input: Box<dyn Read>| match format {
        Format::Jsonl => json_lines(BufReader::with_capacity(1 << 18, input), each).map_err(|error| error.to_string()),
        Format::Csv => csv_lines(input, each),
    };
    let done = match path.as_os_str() == "-" {
        true => read(Box::new(std::io::stdin().lock())),
        false => std::fs::File::open(path).map_err(|error| error.to_string()).and_then(|file| read(Box::new(file))),
    };
    done.map_err(|error| format!("{}: {error}", path.display()))
}

fn json_lines(mut input: impl BufRead, mut each: impl FnMut(Line) -> bool) -> std::io::Result<()> {
    let most = MAX_VALUE_BYTES as u64 + 2;
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        if input.by_ref().take(most).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        let is_whole = line.len() as u64 != most || line.ends_with(b"\n");
        if !is_whole {
            input.skip_until(b'\n')?;
        }
        if is_whole && line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let row = if is_whole { parse(&line) } else { Err(Wrong::new("TOO_LARGE", "the line is longer than 1 MiB")) };
        if !each(Line { number, row }) {
            break;
        }
    }
    Ok(())
}

fn csv_lines(input: impl Read, mut each: impl FnMut(Line) -> bool) -> Result<(), String> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).buffer_capacity(1 << 18).from_reader(input);
    let header = reader.byte_headers().map_err(|error| error.to_string())?;
    if !header.iter().eq(COLUMNS.iter().map(|column| column.as_bytes())) {
        return Err(format!("its first line has to be {}", COLUMNS.join(",")));
    }
    let mut record = csv::ByteRecord::new();
    while reader.read_byte_record(&mut record).map_err(|error| error.to_string())? {
        let number = record.position().map_or(0, csv::Position::line);
        if !each(Line { number, row: of_record(&record) }) {
            break;
        }
    }
    Ok(())
}

/// A record as the data that it stands for, read by the one reader of such data.
fn of_record(record: &csv::ByteRecord) -> Result<AliasRow, Wrong> {
    let fields: Result<Vec<&str>, _> = record.iter().map(std::str::from_utf8).collect();
    let fields = fields.map_err(|_| Wrong::new("NOT_UTF8", "the line is not UTF-8"))?;
    let [kind, alias_type, alias_id, bwp_id, order_type, order_id] = fields[..] else {
        return Err(Wrong::new("WRONG_COLUMNS", format!("{} columns instead of {}", fields.len(), COLUMNS.len())));
    };
    let order = match (order_type, order_id) {
        ("", "") => Value::Null,
        ("", id) => json!({"bwpId": id}),
        (alias_type, id) => json!({"alias": {"type": alias_type, "id": id}}),
    };
    let bwp_id = if bwp_id.is_empty() { Value::Null } else { bwp_id.into() };
    let data = json!({"kind": kind, "alias": {"type": alias_type, "id": alias_id}, "bwpId": bwp_id, "order": order});
    parse(data.to_string().as_bytes())
}

fn parse(json: &[u8]) -> Result<AliasRow, Wrong> {
    let wrong = |fault: Box<crate::event::Fault>| Wrong {
        code: fault.code.as_str().to_owned(),
        message: fault.message,
        pointer: fault.pointer,
    };
    read_alias_data(json).map_err(wrong)
}

/// A row as a line of the JSON form.
pub fn to_json(row: &AliasRow) -> String {
    let mut data = json!({"kind": row.kind.as_str(), "alias": row.alias, "bwpId": row.bwp_id});
    if let Some(version) = row.version {
        data["version"] = version.into();
    }
    match &row.order {
        Some(Reference::Alias(alias)) => data["order"] = json!({"alias": alias}),
        Some(Reference::BwpId(id)) => data["order"] = json!({"bwpId": id}),
        Some(Reference::Id(id)) => data["order"] = json!({"id": id}),
        None => {}
    }
    data.to_string()
}

/// A row as the fields of the CSV form.
pub fn to_fields(row: &AliasRow) -> [String; 6] {
    let order = match &row.order {
        Some(Reference::Alias(Alias { alias_type, id })) => (alias_type.clone(), id.clone()),
        Some(Reference::BwpId(id) | Reference::Id(id)) => (String::new(), id.clone()),
        None => Default::default(),
    };
    let Alias { alias_type, id } = row.alias.clone();
    [row.kind.as_str().to_owned(), alias_type, id, row.bwp_id.clone().unwrap_or_default(), order.0, order.1]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(input: &str, format: Format) -> Vec<(u64, Result<String, String>)> {
        let mut lines = Vec::new();
        let take = |line: Line| {
            let row = line.row.map(|row| to_json(&row)).map_err(|wrong| format!("{} {}", wrong.code, wrong.pointer));
            lines.push((line.number, row));
            true
        };
        match format {
            Format::Jsonl => json_lines(BufReader::with_capacity(16, input.as_bytes()), take).unwrap(),
            Format::Csv => csv_lines(input.as_bytes(), take).unwrap(),
        }
        lines
    }

    #[test]
    fn each_line_is_judged_by_itself() {
        let row = r#"{"alias":{"id":"Ä 1","type":"EXTERNAL_ID"},"bwpId":"322-A","kind":"ORDER"}"#;
        let long = "x".repeat(MAX_VALUE_BYTES + 10);
        let input = format!("{row}\n\n{{\"kind\": \"ORDER\"}}\n{long}\n{row}");
        let lines = read(&input, Format::Jsonl);
        let expected = [
            (1, Ok(row.to_owned())),
            (3, Err("MISSING_MEMBER /alias".into())),
            (4, Err("TOO_LARGE ".into())),
            (5, Ok(row.into())),
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn csv_is_the_same_data() {
        let input = "kind,alias_type,alias_id,bwp_id,order_alias_type,order_alias_id\n\
            LINE_ITEM,SKU,\"B,\n42\",,,\nLINE_ITEM,SKU,\"B,42\",li-1,EXTERNAL_ID,1001\nRETURN,R,1,,,322-A\nORDER,T,1\n";
        let expected = [
            (2, Err("BAD_ID /alias/id".to_owned())),
            (
                4,
                Ok(r#"{"alias":{"id":"B,42","type":"SKU"},"bwpId":"li-1","kind":"LINE_ITEM","order":{"alias":{"id":"1001","type":"EXTERNAL_ID"}}}"#
                    .to_owned()),
            ),
            (5, Ok(r#"{"alias":{"id":"1","type":"R"},"bwpId":null,"kind":"RETURN","order":{"bwpId":"322-A"}}"#.to_owned())),
            (6, Err("WRONG_COLUMNS ".to_owned())),
        ];
        assert_eq!(read(input, Format::Csv), expected);
        assert!(csv_lines("a,b\n".as_bytes(), |_| true).is_err_and(|error| error.contains("kind,alias_type")));
    }
}
