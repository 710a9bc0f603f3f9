//! The progress of a build, on one line of the terminal.

use std::io::IsTerminal;
use std::time::Duration;

use delia::commands::build::Progress;
use delia::sources::Download;
use indicatif::{HumanBytes, HumanDuration, ProgressBar, ProgressStyle};

/// A progress line on stderr, if that is a terminal and talk is wanted.
pub(crate) fn bar(quiet: bool) -> ProgressBar {
    if quiet || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner();
    bar.set_style(ProgressStyle::with_template("{spinner} {msg}").expect("a valid template"));
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

/// Shows what the build is doing.
pub(crate) fn show(bar: &ProgressBar, progress: &Progress) {
    match progress {
        Progress::Fetching(Download {
            url,
            waits: Some((problem, wait)),
            ..
        }) => {
            let seconds = wait.as_secs_f64();
            bar.set_message(format!("{url}: {problem}; trying again in {seconds:.1} s"));
        }
        Progress::Fetching(download) => {
            let of = download
                .total
                .map_or(String::new(), |total| format!(" of {}", HumanBytes(total)));
            let done = HumanBytes(download.done);
            bar.set_message(format!("fetching {}: {done}{of}", download.url));
        }
        Progress::Asking {
            asked,
            what,
            kept,
            wanted,
        } => {
            let dollars = match asked.microdollars {
                0 => String::new(),
                cost => format!(", {:.2} USD", cost as f64 / 1e6),
            };
            let again = match asked.repeated {
                0 => String::new(),
                n => format!(", {n} asked again"),
            };
            let left = match *kept {
                0 => String::new(),
                kept => {
                    let elapsed = bar.elapsed().as_secs_f64();
                    let left = elapsed * wanted.saturating_sub(kept) as f64 / kept as f64;
                    format!(", {} left", HumanDuration(Duration::from_secs_f64(left)))
                }
            };
            bar.set_message(format!(
                "asking: {} requests, {} tokens{dollars}{again}; {kept} of {wanted} {what}{left}",
                asked.done, asked.tokens
            ));
        }
        Progress::Reading(source) => bar.set_message(format!("reading {source}")),
        Progress::Query(query) => bar.set_message(query.to_string()),
        Progress::Writing { done, total } => {
            if bar.length() != Some(*total) {
                let style = ProgressStyle::with_template(
                    "writing shards {wide_bar} {human_pos}/{human_len} rows, {eta} left",
                );
                bar.set_style(style.expect("a valid template"));
                bar.set_length(*total);
            }
            bar.set_position(*done);
        }
    }
}
