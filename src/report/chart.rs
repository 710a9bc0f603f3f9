//! Charts of bars for the page: where each bar stands, in percent of the plot, and what is written beside it.
//!
//! Only bars are drawn as SVG. Labels are text of the page, placed by percentages, so that they keep their size however wide
//! the chart is, and take the page's colours.

use serde::Serialize;

/// About how many labels an axis has.
const N_TICKS: f64 = 5.0;

/// A chart of bars.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Chart {
    /// What it shows.
    pub heading: String,
    /// What the x axis counts, with its unit.
    pub x_label: String,
    /// What the y axis counts, with its unit.
    pub y_label: String,
    /// What the bars do not show.
    pub note: String,
    /// Bars.
    pub bars: Vec<Bar>,
    /// Labels below.
    pub x_ticks: Vec<Tick>,
    /// Labels on the left, with a line each.
    pub y_ticks: Vec<Tick>,
    /// Names of the series, where there are several.
    pub legend: Vec<Series>,
    /// Whether it takes the page's whole width.
    pub is_wide: bool,
}

/// A bar, in percent of the plot, from the upper left corner.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Bar {
    /// Left edge.
    pub x: f64,
    /// Upper edge.
    pub y: f64,
    /// Width.
    pub width: f64,
    /// Height.
    pub height: f64,
    /// Its colour's name.
    pub colour: String,
    /// What a pointer over it reads.
    pub tip: String,
}

/// A label of an axis.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Tick {
    /// Where, in percent of the plot, from the left or from above.
    pub at: f64,
    /// What.
    pub text: String,
}

/// An entry of a legend.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Series {
    /// Its name.
    pub name: String,
    /// Its colour's name.
    pub colour: String,
}

/// A bar before it has a place: its ends on the x axis, and its parts from below.
#[derive(Clone, Debug)]
pub struct Column {
    /// Where it begins.
    pub low: f64,
    /// Where it ends.
    pub high: f64,
    /// Colour, height and tip of its parts.
    pub parts: Vec<(String, f64, String)>,
}

impl Chart {
    /// Places columns; the axes end where the last one does and where the highest one fits.
    pub fn of(columns: &[Column]) -> Chart {
        let first = columns
            .iter()
            .map(|column| column.low)
            .fold(f64::INFINITY, f64::min);
        let last = columns
            .iter()
            .map(|column| column.high)
            .fold(f64::NEG_INFINITY, f64::max);
        let height_of = |column: &Column| {
            column
                .parts
                .iter()
                .map(|(_, height, _)| height)
                .sum::<f64>()
        };
        let highest = columns.iter().map(height_of).fold(0.0, f64::max);
        let (span, top) = ((last - first).max(f64::MIN_POSITIVE), headroom(highest));
        let x_of = |x: f64| rounded((x - first) / span * 100.0);
        let y_of = |y: f64| rounded(100.0 - y / top * 100.0);
        let mut bars = Vec::new();
        for column in columns {
            let mut bottom = 0.0;
            for (colour, height, tip) in &column.parts {
                let (upper, lower) = (y_of(bottom + height), y_of(bottom));
                bottom += height;
                bars.push(Bar {
                    x: x_of(column.low),
                    y: upper,
                    width: rounded(x_of(column.high) - x_of(column.low)),
                    height: rounded(lower - upper),
                    colour: colour.clone(),
                    tip: tip.clone(),
                });
            }
        }
        let x_ticks = ticks(first, last).into_iter().map(|x| Tick {
            at: x_of(x),
            text: label(x),
        });
        let y_ticks = ticks(0.0, top).into_iter().map(|y| Tick {
            at: y_of(y),
            text: label(y),
        });
        Chart {
            heading: String::new(),
            x_label: String::new(),
            y_label: String::new(),
            note: String::new(),
            x_ticks: if columns.is_empty() {
                vec![]
            } else {
                x_ticks.collect()
            },
            y_ticks: if columns.is_empty() {
                vec![]
            } else {
                y_ticks.collect()
            },
            bars,
            legend: vec![],
            is_wide: false,
        }
    }
}

/// The multiples of a round step between two numbers.
fn ticks(low: f64, high: f64) -> Vec<f64> {
    let step = round_step((high - low) / N_TICKS);
    let first = (low / step).ceil() as i64;
    let last = (high / step + 1e-9).floor() as i64;
    (first..=last).map(|nth| nth as f64 * step).collect()
}

/// The least of 1, 2 and 5 times a power of ten that is not below.
fn round_step(least: f64) -> f64 {
    if least <= 0.0 || !least.is_finite() {
        return 1.0;
    }
    let power = 10_f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0]
        .into_iter()
        .map(|factor| factor * power)
        .find(|step| *step >= least * (1.0 - 1e-9))
        .unwrap_or(10.0 * power)
}

/// The top of an axis: the next label's line, where that is near, or a little above the highest bar.
fn headroom(highest: f64) -> f64 {
    if highest <= 0.0 {
        return 1.0;
    }
    let step = round_step(highest / N_TICKS);
    let line = (highest / step - 1e-9).ceil() * step;
    line.min(highest * 1.08).max(highest)
}

/// `1,200`, `12K`, `0.85`: as short as an axis wants it.
fn label(number: f64) -> String {
    let size = number.abs();
    let shown = |number: f64, unit: &str| {
        let text = format!("{number:.2}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned() + unit
    };
    if size >= 1e6 {
        shown(number / 1e6, "M")
    } else if size >= 1e4 {
        shown(number / 1e3, "K")
    } else if size >= 1e3 {
        super::build::grouped(number as u64)
    } else {
        shown(number, "")
    }
}

/// A thousandth of a percent is less than a screen shows.
fn rounded(percent: f64) -> f64 {
    (percent * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(low: f64, high: f64, height: f64) -> Column {
        Column {
            low,
            high,
            parts: vec![("task".to_owned(), height, String::new())],
        }
    }

    #[test]
    fn bars_stand_on_the_ground_and_share_the_width() {
        let chart = Chart::of(&[column(0.0, 16.0, 50.0), column(16.0, 32.0, 100.0)]);
        let places: Vec<_> = chart
            .bars
            .iter()
            .map(|bar| (bar.x, bar.y, bar.width, bar.height))
            .collect();
        assert_eq!(places, [(0.0, 50.0, 50.0, 50.0), (50.0, 0.0, 50.0, 100.0)]);
    }

    #[test]
    fn parts_are_stacked() {
        let parts = [("task", 1.0), ("diverse", 3.0)];
        let parts = parts
            .map(|(name, height)| (name.to_owned(), height, String::new()))
            .to_vec();
        let chart = Chart::of(&[Column {
            low: 0.0,
            high: 1.0,
            parts,
        }]);
        let places: Vec<_> = chart.bars.iter().map(|bar| (bar.y, bar.height)).collect();
        assert_eq!(places, [(75.0, 25.0), (0.0, 75.0)]);
    }

    #[test]
    fn labels_are_round_numbers() {
        let texts = |chart: &Chart| -> Vec<String> {
            chart.x_ticks.iter().map(|tick| tick.text.clone()).collect()
        };
        assert_eq!(
            texts(&Chart::of(&[column(0.0, 1_024.0, 1.0)])),
            ["0", "500", "1,000"]
        );
        assert_eq!(
            texts(&Chart::of(&[column(0.8, 1.0, 1.0)])),
            ["0.8", "0.85", "0.9", "0.95", "1"]
        );
        assert_eq!([25_000.0, 1.5e6, 999.0].map(label), ["25K", "1.5M", "999"]);
    }

    #[test]
    fn a_chart_of_nothing_is_empty() {
        let chart = Chart::of(&[]);
        assert!(chart.bars.is_empty() && chart.x_ticks.is_empty() && chart.y_ticks.is_empty());
    }
}
