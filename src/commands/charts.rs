//! The charts of the page, from the rows of its queries.

use std::collections::BTreeMap;

use arrow::error::ArrowError;

use crate::error::{Error, Result};
use crate::report::{Chart, Column, Section, Series};

/// Sources with a colour of their own; the page has so many.
const N_COLOURS: usize = 6;

/// The colour of what is left over.
const OTHER: &str = "other";

/// A row of a table by the names of its columns. What is null is missing.
pub(super) type Row = BTreeMap<String, String>;

/// The rows of a table.
pub(super) fn rows(section: &Section) -> Result<Vec<Row>> {
    let names = || {
        section
            .schema
            .fields()
            .iter()
            .map(|field| field.name().clone())
    };
    let cells = section.cells().map_err(failed)?;
    let row = |cells: Vec<Option<String>>| {
        let named = names().zip(cells);
        named
            .filter_map(|(name, cell)| Some((name, cell?)))
            .collect()
    };
    Ok(cells.into_iter().map(row).collect())
}

/// A cell that could not be formatted.
pub(super) fn failed(error: ArrowError) -> Error {
    Error::Query {
        query: "the page",
        source: error.into(),
    }
}

pub(super) fn text<'a>(row: &'a Row, column: &str) -> &'a str {
    row.get(column).map_or("", String::as_str)
}

pub(super) fn number(row: &Row, column: &str) -> f64 {
    text(row, column).parse().unwrap_or(0.0)
}

/// A histogram for every text of either kind.
pub(super) fn lengths(bins: &[Row]) -> Vec<Chart> {
    let mut charts = Vec::new();
    for kind in ["task", "diverse"] {
        for name in ["instruction", "input", "output"] {
            let of_text: Vec<&Row> = bins
                .iter()
                .filter(|bin| text(bin, "kind") == kind && text(bin, "text") == name)
                .collect();
            let column = |bin: &&Row| {
                let (low, high) = (number(bin, "low"), bin.get("high")?.parse().ok()?);
                let tip = format!("{low} to {}: {} rows", high - 1.0, text(bin, "rows"));
                let parts = vec![(kind.to_owned(), number(bin, "rows"), tip)];
                Some(Column { low, high, parts })
            };
            let mut chart = Chart::of(&of_text.iter().filter_map(column).collect::<Vec<_>>());
            chart.heading = format!("{kind} · {name}");
            (chart.x_label, chart.y_label) = ("characters".to_owned(), "rows".to_owned());
            chart.note = match of_text.last().filter(|last| !last.contains_key("high")) {
                Some(rest) => format!(
                    "{} rows are longer, up to {}",
                    text(rest, "rows"),
                    text(rest, "longest")
                ),
                None if of_text.is_empty() => format!("no {kind} row has one"),
                None => String::new(),
            };
            charts.push(chart);
        }
    }
    charts
}

/// How similar near-duplicates are.
pub(super) fn similarities(steps: &[Row]) -> Vec<Chart> {
    if steps.is_empty() {
        return vec![];
    }
    let column = |step: &Row| {
        let (low, rows) = (number(step, "low"), text(step, "rows"));
        let tip = match low < 1.0 {
            true => format!("{low} to {}: {rows} rows", number(step, "high")),
            false => format!("1: {rows} rows"),
        };
        // Equal sets have no width of their own.
        let high = low + 0.02;
        let parts = vec![("diverse".to_owned(), number(step, "rows"), tip)];
        Column { low, high, parts }
    };
    let mut chart = Chart::of(&steps.iter().map(column).collect::<Vec<_>>());
    chart.heading = "Near-duplicates by similarity".to_owned();
    (chart.x_label, chart.y_label) = (
        "similarity to the row that stays".to_owned(),
        "rows".to_owned(),
    );
    chart.note = "the last bar is texts with the same pieces".to_owned();
    chart.is_wide = true;
    vec![chart]
}

/// What every source has in each stretch of the stream; the task's rows once more alone, as they are few.
pub(super) fn course(parts: &[Row], mix: &[Row]) -> Vec<Chart> {
    let (places, legend) = palette(mix);
    let mut stretches: BTreeMap<u64, Vec<&Row>> = BTreeMap::new();
    for part in parts {
        let stretch = number(part, "stretch") as u64;
        stretches.entry(stretch).or_default().push(part);
    }
    for parts in stretches.values_mut() {
        parts.sort_by_key(|part| places.get(text(part, "source")).map(|(nth, _)| *nth));
    }
    let n_rows: f64 = parts.iter().map(|part| number(part, "rows")).sum();
    let columns = |keep: &dyn Fn(&str) -> bool| -> Vec<Column> {
        let mut low = 0.0;
        let column = |parts: &Vec<&Row>| {
            let high = low + parts.iter().map(|part| number(part, "rows")).sum::<f64>();
            let part = |part: &&Row| {
                let (source, rows) = (text(part, "source"), text(part, "rows"));
                let colour = places.get(source).map_or(OTHER, |(_, colour)| colour);
                let tip = format!("rows {low} to {}: {rows} of {source}", high - 1.0);
                (colour.to_owned(), number(part, "rows"), tip)
            };
            let kept = parts.iter().filter(|part| keep(text(part, "kind")));
            let parts = kept.map(part).collect();
            let column = Column { low, high, parts };
            low = high;
            column
        };
        stretches.values().map(column).collect()
    };
    let mut every = Chart::of(&columns(&|_| true));
    every.heading = "The stream, by source".to_owned();
    every.legend = legend;
    let mut tasks = Chart::of(&columns(&|kind| kind == "task"));
    tasks.heading = "Task rows along the stream".to_owned();
    let n_stretches = stretches.len().max(1);
    for chart in [&mut every, &mut tasks] {
        (chart.x_label, chart.y_label) = ("position in the stream".to_owned(), "rows".to_owned());
        chart.note = format!("a bar is about {:.0} rows", n_rows / n_stretches as f64);
        chart.is_wide = true;
    }
    vec![every, tasks]
}

/// Each source's place and colour, in the order of the mix: the task's first, then the larger ones; and what to say of them.
fn palette(mix: &[Row]) -> (BTreeMap<String, (usize, String)>, Vec<Series>) {
    let (mut places, mut legend) = (BTreeMap::new(), Vec::<Series>::new());
    let mut n_colours = 0;
    for source in mix.iter().filter(|source| number(source, "rows") > 0.0) {
        let name = text(source, "source").to_owned();
        let (colour, shown) = match text(source, "kind") {
            "task" => ("task".to_owned(), name.clone()),
            _ if n_colours == N_COLOURS => (OTHER.to_owned(), "other sources".to_owned()),
            _ => {
                n_colours += 1;
                (format!("source{n_colours}"), name.clone())
            }
        };
        if legend.last().is_none_or(|last| last.name != shown) {
            let colour = colour.clone();
            legend.push(Series {
                name: shown,
                colour,
            });
        }
        places.insert(name, (places.len(), colour));
    }
    (places, legend)
}
