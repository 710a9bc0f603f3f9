//! `loss.svg`: the losses of a fit over its steps, the learning rate below.

use std::error::Error as StdError;
use std::ops::Range;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::{HeldOutLosses, Metrics};

/// Width and height of the picture.
const SIZE: (u32, u32) = (900, 540);
/// Height of the part that the learning rate has, in pixels.
const LR_HEIGHT: u32 = 130;
/// Height of the strip above a plot that says what it shows.
const HEADING: u32 = 34;
/// Where the legend begins, and the height of its middle.
const LEGEND_X: i32 = 260;
const LEGEND_Y: i32 = 17;
/// Points of a line: more than the picture has columns only make the file larger.
const MOST_POINTS: usize = 900;
/// Neighbours on either side over which a line is smoothed: one in so many of all points, and a few of short lines.
const SMOOTHED_SHARE: usize = 40;
const SMOOTHED_SHORT: (usize, usize) = (10, 3);
/// Width left of the plots, for the labels.
const LABELS: u32 = 70;
const FONT: &str = "sans-serif";

/// Colours that can be told apart with any eyes (Okabe and Ito 2008).
const TASK: RGBColor = RGBColor(213, 94, 0);
const DIVERSE: RGBColor = RGBColor(0, 114, 178);
const LR: RGBColor = RGBColor(110, 110, 110);
const INK: RGBColor = RGBColor(60, 60, 60);
const GRID: RGBColor = RGBColor(225, 225, 225);

/// Losses on held-out samples, drawn as points.
#[derive(Clone, Debug, PartialEq)]
pub struct HeldOut {
    /// What they are of, as the legend says it.
    pub name: String,
    /// Whether they are of task samples.
    pub is_task: bool,
    /// Steps made, and the loss then.
    pub points: Vec<(u64, f64)>,
}

/// What was measured on held-out samples: before the first step, and after some of them.
pub fn held_out_points(before: HeldOutLosses, steps: &[Metrics]) -> Vec<HeldOut> {
    type Of = fn(&Metrics) -> Option<f64>;
    let kinds: [(&str, bool, Option<f32>, Of); 2] = [
        ("held-out task", true, before.task, |step| {
            step.held_out_task_loss
        }),
        ("held-out diverse", false, before.diverse, |step| {
            step.held_out_diverse_loss
        }),
    ];
    let measured = kinds.into_iter().map(|(name, is_task, before, of)| {
        let after = steps.iter().map(|step| (step.step + 1, of(step)));
        let points = [(0, before.map(f64::from))].into_iter().chain(after);
        HeldOut {
            name: name.to_owned(),
            is_task,
            points: points
                .filter_map(|(steps, loss)| Some((steps, loss?)))
                .collect(),
        }
    });
    measured
        .filter(|held_out| !held_out.points.is_empty())
        .collect()
}

/// A line of the chart.
struct Line {
    name: &'static str,
    colour: RGBColor,
    points: Vec<(f64, f64)>,
}

type Drawn = Result<(), Box<dyn StdError>>;

/// Draws the losses of all steps, task and diverse samples apart, with points for what was measured on held-out samples.
pub fn loss_chart(steps: &[Metrics], held_out: &[HeldOut]) -> String {
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
    draw(&area, steps, held_out).expect("a text takes any drawing");
    drop(area);
    svg
}

fn draw(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    steps: &[Metrics],
    held_out: &[HeldOut],
) -> Drawn {
    area.fill(&WHITE)?;
    let line = |name, colour, of: fn(&Metrics) -> Option<f64>| {
        let points = steps.iter();
        let points = points.filter_map(|step| Some((step.step as f64, of(step)?)));
        Line {
            name,
            colour,
            points: points.collect(),
        }
    };
    let losses = [
        line("diverse", DIVERSE, |step| step.diverse_loss),
        // In front: there are fewer of them.
        line("task", TASK, |step| step.task_loss),
    ];
    let lr = line("learning rate", LR, |step| step.lr);
    let last = steps.last().map_or(1, |step| step.step.max(1)) as f64;
    let last = held_out
        .iter()
        .flat_map(|held_out| held_out.points.last())
        .map(|&(step, _)| step as f64)
        .fold(last, f64::max);
    let (above, below) = area.split_vertically(SIZE.1 - LR_HEIGHT);
    draw_losses(&above, &losses, held_out, 0.0..last)?;
    draw_lr(&below, &lr, 0.0..last)?;
    area.present()?;
    Ok(())
}

fn draw_losses(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    losses: &[Line],
    held_out: &[HeldOut],
    steps: Range<f64>,
) -> Drawn {
    let raw: Vec<Vec<(f64, f64)>> = losses.iter().map(|line| thinned(&line.points)).collect();
    let of_lines = raw.iter().flatten().map(|&(_, loss)| loss);
    let of_held_out = held_out.iter().flat_map(|held_out| &held_out.points);
    let range = range(of_lines.chain(of_held_out.map(|&(_, loss)| loss)));
    let mut chart = ChartBuilder::on(area)
        .margin_top(HEADING)
        .margin_right(24)
        .x_label_area_size(10)
        .y_label_area_size(LABELS)
        .build_cartesian_2d(steps, range)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(INK)
        .x_labels(0)
        .y_labels(7)
        .y_label_formatter(&|loss| short(*loss))
        .label_style((FONT, 13).into_font().color(&INK))
        .draw()?;
    for (line, raw) in losses.iter().zip(&raw) {
        chart.draw_series(LineSeries::new(raw.clone(), line.colour.mix(0.3)))?;
    }
    for (line, raw) in losses.iter().zip(&raw) {
        let thick = line.colour.stroke_width(2);
        chart.draw_series(LineSeries::new(smoothed(raw), thick))?;
        if let [only] = raw[..] {
            chart.draw_series([Circle::new(only, 3, line.colour.filled())])?;
        }
    }
    for held_out in held_out {
        let colour = colour_of(held_out);
        let points = held_out
            .points
            .iter()
            .map(|&(step, loss)| (step as f64, loss));
        // White around them, so that they are seen on their line.
        chart.draw_series(
            points
                .clone()
                .map(|point| Circle::new(point, 6, WHITE.filled())),
        )?;
        chart.draw_series(points.map(|point| Circle::new(point, 4, colour.filled())))?;
    }
    heading(area, "loss, nats a token", LEGEND_Y)?;
    legend(area, losses, held_out)
}

fn draw_lr(area: &DrawingArea<SVGBackend<'_>, Shift>, lr: &Line, steps: Range<f64>) -> Drawn {
    let highest = lr.points.iter().map(|&(_, lr)| lr).fold(0.0, f64::max);
    let top = if highest > 0.0 { highest } else { 1.0 };
    let mut chart = ChartBuilder::on(area)
        .margin_top(HEADING - 6)
        .margin_right(24)
        .margin_bottom(8)
        .x_label_area_size(40)
        .y_label_area_size(LABELS)
        .build_cartesian_2d(steps, 0.0..top * 1.08)?;
    chart
        .configure_mesh()
        .disable_mesh()
        .axis_style(INK)
        .x_labels(8)
        .y_labels(if lr.points.is_empty() { 0 } else { 2 })
        .x_label_formatter(&|step| match step.fract() {
            0.0 => super::build::grouped(*step as u64),
            // Between two steps is nothing to name.
            _ => String::new(),
        })
        .y_label_formatter(&|lr| power(*lr))
        .label_style((FONT, 13).into_font().color(&INK))
        .x_desc("step")
        .axis_desc_style((FONT, 13).into_font().color(&INK))
        .draw()?;
    let points = thinned(&lr.points);
    chart.draw_series(LineSeries::new(points.clone(), lr.colour.stroke_width(2)))?;
    if let [only] = points[..] {
        chart.draw_series([Circle::new(only, 3, lr.colour.filled())])?;
    }
    heading(area, lr.name, HEADING as i32 - 18)
}

/// What a plot shows, above it.
fn heading(area: &DrawingArea<SVGBackend<'_>, Shift>, text: &str, y: i32) -> Drawn {
    let style = (FONT, 14).into_font().color(&INK);
    let style = style.pos(Pos::new(HPos::Left, VPos::Center));
    area.draw(&Text::new(text.to_owned(), (LABELS as i32, y), style))?;
    Ok(())
}

/// Names beside their colours, behind the heading of the losses.
fn legend(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    losses: &[Line],
    held_out: &[HeldOut],
) -> Drawn {
    let style = (FONT, 14).into_font().color(&INK);
    let style = style.pos(Pos::new(HPos::Left, VPos::Center));
    let (mut x, y) = (LEGEND_X, LEGEND_Y);
    let name = |x: &mut i32, text: &str| -> Drawn {
        area.draw(&Text::new(text.to_owned(), (*x + 30, y), style.clone()))?;
        *x += 30 + 7 * text.chars().count() as i32 + 24;
        Ok(())
    };
    for line in losses.iter().filter(|line| !line.points.is_empty()) {
        let ends = [(x, y), (x + 24, y)];
        area.draw(&PathElement::new(ends, line.colour.stroke_width(3)))?;
        name(&mut x, line.name)?;
    }
    for held_out in held_out.iter().filter(|some| !some.points.is_empty()) {
        area.draw(&Circle::new((x + 18, y), 4, colour_of(held_out).filled()))?;
        name(&mut x, &held_out.name)?;
    }
    Ok(())
}

fn colour_of(held_out: &HeldOut) -> RGBColor {
    if held_out.is_task { TASK } else { DIVERSE }
}

/// At most [`MOST_POINTS`] points: the means of neighbours where there are more.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let together = points.len().div_ceil(MOST_POINTS).max(1);
    points.chunks(together).map(mean).collect()
}

/// Every point replaced by the mean of its neighbours and itself; at the ends fewer are taken, as many on either side.
fn smoothed(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let (share, most) = SMOOTHED_SHORT;
    let short = (points.len() / share).min(most);
    let reach = (points.len() / SMOOTHED_SHARE).max(short);
    let of_place = |(place, &(step, _)): (usize, &(f64, f64))| {
        let reach = reach.min(place).min(points.len() - 1 - place);
        (step, mean(&points[place - reach..=place + reach]).1)
    };
    points.iter().enumerate().map(of_place).collect()
}

fn mean(points: &[(f64, f64)]) -> (f64, f64) {
    let n = points.len() as f64;
    let sum = points
        .iter()
        .fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
    (sum.0 / n, sum.1 / n)
}

/// A range that holds all losses and a little room.
fn range(losses: impl Iterator<Item = f64>) -> Range<f64> {
    let (low, high) = losses.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), loss| {
        (low.min(loss), high.max(loss))
    });
    if low > high {
        return 0.0..1.0;
    }
    let room = ((high - low) * 0.05).max(high.abs() * 0.01).max(1e-3);
    (low - room).max(0.0)..high + room
}

/// As many decimals as tell neighbours apart, and none that say nothing.
fn short(number: f64) -> String {
    let text = format!("{number:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// `2e-4`: two decimals at most.
fn power(number: f64) -> String {
    let text = format!("{number:.2e}");
    match text.split_once('e') {
        Some((digits, power)) if number != 0.0 => {
            let digits = digits.trim_end_matches('0').trim_end_matches('.');
            format!("{digits}e{power}")
        }
        _ => "0".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics(step: u64, task: Option<f64>, diverse: Option<f64>) -> Metrics {
        Metrics {
            step,
            loss: diverse.or(task),
            task_loss: task,
            diverse_loss: diverse,
            lr: Some(2e-4),
            grad_norm: Some(1.0),
            samples: 64,
            tokens: 4_000,
            targets: 2_000,
            tokens_per_second: 1_000.0,
            held_out_task_loss: None,
            held_out_diverse_loss: None,
        }
    }

    #[test]
    fn a_held_out_loss_stands_at_the_steps_made_until_it_was_measured() {
        let mut steps = [metrics(0, None, None), metrics(1, None, None)];
        steps[1].held_out_task_loss = Some(2.0);
        let before = HeldOutLosses {
            task: Some(3.0),
            diverse: None,
        };
        let expected = HeldOut {
            name: "held-out task".to_owned(),
            is_task: true,
            points: vec![(0, 3.0), (2, 2.0)],
        };
        assert_eq!(held_out_points(before, &steps), [expected]);
    }

    #[test]
    fn a_line_is_smoothed_over_its_neighbours_and_keeps_its_ends() {
        let points: Vec<_> = (0..100)
            .map(|step| (f64::from(step), f64::from(step % 2)))
            .collect();
        let smooth = smoothed(&points);
        assert_eq!(smooth.len(), 100);
        assert_eq!((smooth[0], smooth[99]), (points[0], points[99]));
        let wild = smooth[2..98].iter().any(|(_, y)| !(0.3..0.7).contains(y));
        assert!(!wild, "{smooth:?}");
    }

    #[test]
    fn a_long_fit_is_drawn_with_as_many_points_as_can_be_seen() {
        let points: Vec<_> = (0..10_000).map(|step| (f64::from(step), 1.0)).collect();
        let thin = thinned(&points);
        assert!((500..=MOST_POINTS).contains(&thin.len()));
        assert_eq!(thin[0], (5.5, 1.0));
        assert_eq!(thinned(&points[..7]), points[..7]);
    }

    #[test]
    fn learning_rates_are_written_as_they_are_said() {
        let shown = [0.0, 3.0 * 1e-4, 2.5e-5, 1.0].map(power);
        assert_eq!(shown, ["0", "3e-4", "2.5e-5", "1e0"]);
    }

    #[test]
    fn every_fit_has_a_chart() {
        let some = [
            metrics(0, None, Some(2.0)),
            metrics(1, Some(1.0), Some(2.0)),
        ];
        for steps in [&some[..0], &some[..1], &some] {
            let svg = loss_chart(steps, &[]);
            assert!(
                svg.contains("learning rate") && svg.ends_with("</svg>\n"),
                "{svg}"
            );
            assert!(svg.contains("\nloss, nats a token\n"), "{svg}");
            let named = |name: &str| svg.contains(&format!("\n{name}\n"));
            assert_eq!(named("diverse"), !steps.is_empty(), "{svg}");
            assert_eq!(named("task"), steps.len() == 2, "{svg}");
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
        let held_out = HeldOut {
            name: "held-out task".to_owned(),
            is_task: true,
            points: vec![(0, 3.0), (2, 1.5)],
        };
        let svg = loss_chart(&some, &[held_out]);
        assert!(svg.contains("\nheld-out task\n"), "{svg}");
        assert_eq!(
            svg.matches("r=\"4\"").count(),
            3,
            "two points and the legend"
        );
    }
}
