//! JSON text in one go. serde_json writes it in a thousand small pieces for one event, most of them a single character; so what takes
//! them makes little of each.

use serde::Serialize;
use std::io::{Result, Write};

/// The JSON text of a value that always has one: of strings, numbers, lists, options, and maps with text as keys. `room` is about how
/// long it becomes.
pub fn json(value: &impl Serialize, room: usize) -> String {
    let mut text = Text(Vec::with_capacity(room));
    match serde_json::to_writer(&mut text, value) {
        Ok(()) => String::from_utf8(text.0).unwrap_or_default(),
        Err(_) => String::new(),
    }
}

/// What is written so far.
struct Text(Vec<u8>);

impl Write for Text {
    #[inline]
    fn write(&mut self, piece: &[u8]) -> Result<usize> {
        self.write_all(piece).map(|()| piece.len())
    }

    #[inline(always)]
    fn write_all(&mut self, piece: &[u8]) -> Result<()> {
        match piece {
            [byte] => self.0.push(*byte),
            piece => self.0.extend_from_slice(piece),
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}
