//! Columns for eyes. Pure, but for the question whether there are any eyes.

use std::io::IsTerminal;

/// Whether colours are wanted: on a terminal, unless NO_COLOR says otherwise.
pub fn is_coloured() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Rows under their header, each column as wide as it needs to be. The column of statuses is coloured where that is wanted.
pub fn aligned(header: &[&str], rows: &[Vec<String>], is_coloured: bool) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain(header.get(column).map(|name| name.chars().count())).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let line = |cells: &mut dyn Iterator<Item = String>, coloured: bool| {
        let cells = cells.zip(&widths).map(|(cell, width)| {
            let padded = format!("{cell:width$}");
            if coloured { padded.replacen(&cell, &colour(&cell), 1) } else { padded }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    let mut text = line(&mut header.iter().map(|name| (*name).to_owned()), false);
    for row in rows {
        text.push_str(&line(&mut row.iter().cloned(), is_coloured));
    }
    text
}

/// A status in its colour; anything else as it is.
pub fn colour(word: &str) -> String {
    let code = match word {
        "DEAD" | "QUARANTINED" => 31,
        "WAITING" | "RETRYING" => 33,
        "DELIVERED" | "CONFIRMED" => 32,
        "IN_FLIGHT" | "QUEUED" => 36,
        _ => return word.to_owned(),
    };
    format!("\u{1b}[{code}m{word}\u{1b}[0m")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows =
            [vec!["DEAD".to_owned(), "é".to_owned(), "x".to_owned()], vec!["QUEUED".to_owned(), String::new(), String::new()]];
        let text = aligned(&["STATUS", "ID", "WHY"], &rows, false);
        assert_eq!(text, "STATUS  ID  WHY\nDEAD    é   x\nQUEUED\n");
        assert_eq!(aligned(&["STATUS"], &[vec!["DEAD".to_owned()]], true), "STATUS\n\u{1b}[31mDEAD\u{1b}[0m\n");
    }
}
