//! The page of a build: one HTML file that needs nothing else.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior, Value};
use serde::Serialize;

use super::build::grouped;
use super::chart::Chart;
use super::sections::Section;
use crate::error::{Error, Result};

/// Rows a table may have and still stand open.
const OPEN_ROWS: usize = 12;

/// The name says how values are escaped.
const TEMPLATE: &str = "page.html";

/// What the page shows.
#[derive(Clone, Debug, Serialize)]
pub struct Page {
    /// The name of the build.
    pub title: String,
    /// The build in one sentence.
    pub lead: String,
    /// The numbers one looks for first.
    pub figures: Vec<Figure>,
    /// Chapters.
    pub chapters: Vec<Chapter>,
    /// What made it.
    pub colophon: String,
}

/// A number and what it counts.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// The number.
    pub number: String,
    /// What it counts.
    pub label: String,
    /// What there is to say of it.
    pub note: String,
}

/// A part of the page.
#[derive(Clone, Debug, Serialize)]
pub struct Chapter {
    /// Its name in links.
    pub id: String,
    /// Its heading.
    pub heading: String,
    /// What it answers.
    pub lead: String,
    /// Charts.
    pub charts: Vec<Chart>,
    /// Tables.
    pub tables: Vec<PageTable>,
    /// Samples with all of their text.
    pub samples: Vec<SampleCard>,
}

/// A table, as text.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PageTable {
    /// Its heading.
    pub heading: String,
    /// Names of the columns, and whether numbers stand below.
    pub columns: Vec<(String, bool)>,
    /// Cells, row by row.
    pub rows: Vec<Vec<String>>,
    /// Whether it is shown without being asked for.
    pub is_open: bool,
}

/// A sample.
#[derive(Clone, Debug, Serialize)]
pub struct SampleCard {
    /// `task` or `diverse`.
    pub kind: String,
    /// Where it comes from, and where it stands.
    pub place: String,
    /// Its texts with their names; empty ones are left out.
    pub texts: Vec<(String, String)>,
}

impl Page {
    /// The page as HTML. Data is escaped: markup in a sample is shown, never followed.
    ///
    /// # Errors
    /// [`Error::Page`] when the template does not fit the data, which is a bug of ours.
    pub fn render(&self) -> Result<String> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        // Without them the page would hold the layout of its template.
        environment.set_syntax(
            SyntaxConfig::builder()
                .trim_blocks(true)
                .lstrip_blocks(true)
                .build()
                .expect("the usual delimiters"),
        );
        let rendered = environment
            .add_template(TEMPLATE, include_str!("page.html"))
            .and_then(|()| environment.get_template(TEMPLATE))
            .and_then(|template| template.render(Value::from(Serde(self))));
        rendered.map_err(|source| Error::Page {
            source: source.into(),
        })
    }
}

impl PageTable {
    /// A table of a report.
    ///
    /// # Errors
    /// When a cell cannot be formatted.
    pub fn of(section: &Section) -> arrow::error::Result<PageTable> {
        let fields = section.schema.fields();
        let rows: Vec<Vec<String>> = section
            .cells()?
            .into_iter()
            .map(|row| {
                let cells = fields.iter().zip(row);
                let shown = cells
                    .map(|(field, cell)| shown(field.name(), field.data_type().is_numeric(), cell));
                shown.collect()
            })
            .collect();
        let columns = fields.iter().map(|field| {
            (
                field.name().replace('_', " "),
                field.data_type().is_numeric(),
            )
        });
        Ok(PageTable {
            heading: section.heading.to_owned(),
            columns: columns.collect(),
            is_open: rows.len() <= OPEN_ROWS,
            rows,
        })
    }
}

/// A cell as people write it: shares in percent, thousands apart, a dash for nothing.
fn shown(column: &str, is_number: bool, cell: Option<String>) -> String {
    let Some(cell) = cell else {
        return "–".to_owned();
    };
    if !is_number {
        return cell;
    }
    if column.contains("share")
        && let Ok(share) = cell.parse::<f64>()
    {
        return format!("{:.2} %", share * 100.0);
    }
    let (sign, digits) = cell
        .strip_prefix('-')
        .map_or(("", cell.as_str()), |digits| ("−", digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let Ok(whole) = whole.parse::<u64>() else {
        return cell;
    };
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{}{point}{fraction}", grouped(whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_written_as_people_do() {
        let number = |column, cell: &str| shown(column, true, Some(cell.to_owned()));
        assert_eq!(number("rows", "14271"), "14,271");
        assert_eq!(number("difference", "-1234.50"), "−1,234.5");
        assert_eq!(number("expected", "0.0"), "0");
        assert_eq!(number("share", "0.7332"), "73.32 %");
        assert_eq!(number("odd", "1e300"), "1e300");
        assert_eq!(shown("source", false, Some("0012".to_owned())), "0012");
        assert_eq!(shown("rows", true, None), "–");
    }

    #[test]
    fn markup_in_data_is_shown_not_followed() {
        let text = "<script>alert(1)</script> & \"quotes\"".to_owned();
        let chapter = Chapter {
            id: "samples".to_owned(),
            heading: "Samples".to_owned(),
            lead: text.clone(),
            charts: vec![],
            tables: vec![PageTable {
                heading: "Table".to_owned(),
                columns: vec![(text.clone(), false)],
                rows: vec![vec![text.clone()]],
                is_open: true,
            }],
            samples: vec![SampleCard {
                kind: "task".to_owned(),
                place: text.clone(),
                texts: vec![("output".to_owned(), text.clone())],
            }],
        };
        let page = Page {
            title: text.clone(),
            lead: text.clone(),
            figures: vec![],
            chapters: vec![chapter],
            colophon: text,
        };
        let html = page.render().expect("the template fits");
        assert!(!html.contains("<script"), "{html}");
        assert_eq!(html.matches("&lt;script&gt;").count(), 9);
    }
}
