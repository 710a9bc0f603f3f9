//! Cells become a table.

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, TableComponent, presets};

/// Characters of a cell shown on a terminal; a sample's text would fill the screen.
const CELL_CHARACTERS: usize = 60;

/// How a table is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// For a terminal: long cells are cut, line breaks shown as `⏎`.
    Terminal,
    /// A Markdown table: nothing is cut, line breaks are `<br>`, and bars are escaped.
    Markdown,
}

/// Draws a table; a column is aligned to the right where `is_number` says so.
pub(super) fn render(
    style: Style,
    header: &[String],
    is_number: &[bool],
    rows: &[Vec<String>],
) -> String {
    let mut table = Table::new();
    match style {
        Style::Markdown => {
            table.load_preset(presets::ASCII_MARKDOWN);
        }
        Style::Terminal => {
            table.load_preset(presets::NOTHING);
            table.set_style(TableComponent::HeaderLines, '─');
            table.set_style(TableComponent::MiddleHeaderIntersections, '─');
        }
    }
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header.iter().map(|cell| shown(style, cell)));
    for row in rows {
        table.add_row(row.iter().map(|cell| shown(style, cell)));
    }
    for (nth, _) in is_number
        .iter()
        .enumerate()
        .filter(|(_, is_number)| **is_number)
    {
        if let Some(column) = table.column_mut(nth) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}

fn shown(style: Style, cell: &str) -> Cell {
    Cell::new(match style {
        Style::Markdown => cell
            .replace('|', "\\|")
            .replace("\r\n", "<br>")
            .replace('\n', "<br>"),
        Style::Terminal => {
            let line = cell
                .replace("\r\n", "⏎")
                .replace(['\n', '\r'], "⏎")
                .replace('\t', " ");
            let cut = line.char_indices().nth(CELL_CHARACTERS);
            let (kept, mark) = cut.map_or((line.as_str(), ""), |(cut, _)| (&line[..cut], "…"));
            // A control character in somebody's data must not steer the reader's terminal.
            let visible = |c: char| {
                if c.is_control() {
                    c.escape_default().collect()
                } else {
                    String::from(c)
                }
            };
            kept.chars().map(visible).collect::<String>() + mark
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(style: Style, cell: &str) -> String {
        render(style, &["a".to_owned()], &[false], &[vec![cell.to_owned()]])
    }

    #[test]
    fn a_line_break_never_breaks_a_row() {
        assert!(drawn(Style::Terminal, "one\ntwo").contains("one⏎two"));
        assert!(drawn(Style::Markdown, "one\r\ntwo | three").contains("one<br>two \\| three"));
    }

    #[test]
    fn data_cannot_steer_the_terminal() {
        assert!(drawn(Style::Terminal, "a\u{1b}[31mb").contains("a\\u{1b}[31mb"));
    }

    #[test]
    fn only_the_terminal_cuts() {
        let long = "ä".repeat(100);
        assert!(drawn(Style::Terminal, &long).contains(&format!("{}…", "ä".repeat(60))));
        assert!(drawn(Style::Markdown, &long).contains(&long));
    }
}
