//! The progress of a fit: a bar on a terminal, a line now and then where stderr is none.

use std::cell::Cell;
use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use delia::commands::fit::FitEvent;
use indicatif::{HumanDuration, ProgressBar, ProgressStyle};

/// Between two lines where no bar can be shown.
const BETWEEN_LINES: Duration = Duration::from_secs(30);

/// Shows what a fit tells.
pub(crate) struct FitProgress {
    bar: ProgressBar,
    quiet: bool,
    /// When the last line was printed; `None` where there is a bar, or no talk is wanted.
    last_line: Option<Cell<Instant>>,
}

impl FitProgress {
    /// A bar on stderr if that is a terminal and talk is wanted.
    pub(crate) fn new(quiet: bool) -> FitProgress {
        let is_bar = !quiet && stderr().is_terminal();
        let style = ProgressStyle::with_template("step {pos}/{len} {wide_bar} {msg}, {eta} left");
        let bar = match is_bar {
            true => ProgressBar::new(0).with_style(style.expect("a valid template")),
            false => ProgressBar::hidden(),
        };
        let prints_lines = !quiet && !is_bar;
        FitProgress {
            bar,
            quiet,
            last_line: prints_lines.then(|| Cell::new(Instant::now())),
        }
    }

    /// Shows an event.
    pub(crate) fn show(&self, event: &FitEvent<'_>) {
        match event {
            FitEvent::Note(_) if self.quiet => {}
            FitEvent::Note(note) => self.bar.suspend(|| eprintln!("{note}")),
            FitEvent::Started { done, total } => {
                self.bar.set_length(*total);
                self.bar.set_position(*done);
                // Steps of an earlier run say nothing of the speed of this one.
                self.bar.reset_eta();
            }
            FitEvent::Step { done, metrics } => {
                let loss = metrics
                    .loss
                    .map_or("none".to_owned(), |loss| format!("{loss:.4}"));
                let speed = metrics.tokens_per_second;
                self.bar
                    .set_message(format!("loss {loss}, {speed:.0} tokens/s"));
                self.bar.set_position(*done);
                self.line(*done);
            }
        }
    }

    /// Prints what the bar would show, if it is time to.
    fn line(&self, done: u64) {
        let Some(last) = &self.last_line else { return };
        if last.get().elapsed() < BETWEEN_LINES {
            return;
        }
        last.set(Instant::now());
        let total = self.bar.length().unwrap_or_default();
        let left = HumanDuration(self.bar.eta());
        eprintln!("step {done}/{total}: {}, {left} left", self.bar.message());
    }

    /// Removes the bar.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
