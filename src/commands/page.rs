//! `delia-sql --report html`: the reports as chapters of one page, with charts.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use clap::ValueEnum;

use crate::error::{Error, Result};
use crate::report::{Chapter, Figure, Page, PageTable, SampleCard, Section, grouped};
use crate::shards::replace;

use super::charts::{Row, course, failed, lengths, number, rows, similarities, text};
use super::inspect::{Choice, Report};
use super::sql::SqlTables;

/// How every page of ours begins.
const BEGINNING: &[u8] = b"<!doctype html>";

/// Writes a page on the build in `folder` to `out`: beside it, synced, renamed. Only an older page is replaced.
///
/// # Errors
/// [`Error::Setting`] where `out` lies in the build or is another kind of file, [`Error::Write`] where it cannot be written.
pub fn write_page(folder: &Path, out: &Path, page: &str) -> Result<()> {
    let refuse = |problem: String| Error::Setting {
        key: "--out",
        problem,
        hint: "choose another name; nothing was written".to_owned(),
    };
    let parent = out.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    let place = (fs::canonicalize(parent), fs::canonicalize(folder));
    if let (Ok(parent), Ok(folder)) = place
        && parent.starts_with(folder)
    {
        return Err(refuse(format!("`{}` lies in the build", out.display())));
    }
    if let Ok(older) = File::open(out) {
        let mut beginning = Vec::new();
        let mut older = older.take(BEGINNING.len() as u64);
        let is_page = older.read_to_end(&mut beginning).is_ok() && beginning == BEGINNING;
        if !is_page {
            return Err(refuse(format!("`{}` is there and no page", out.display())));
        }
    }
    replace(out, page.as_bytes()).map(drop)
}

impl SqlTables {
    /// The page of the build in `folder`.
    ///
    /// # Errors
    /// When a query fails.
    pub async fn page(&self, folder: &Path, choice: Choice) -> Result<String> {
        let mut chapters = Vec::new();
        let mut build = Row::new();
        let mut dropped = 0;
        for report in Report::value_variants() {
            let mut tables = self.tables_of(*report, choice)?;
            let n_tables = tables.len();
            tables.extend(report.charts());
            let mut sections = self.sections(*report, tables).await?;
            let charted = sections.split_off(n_tables);
            match report {
                Report::Overview => {
                    build = rows(&sections[0])?.into_iter().next().unwrap_or_default()
                }
                Report::Sources => {
                    dropped = rows(&sections[0])?
                        .iter()
                        .map(|row| number(row, "dropped") as u64)
                        .sum()
                }
                _ => {}
            }
            chapters.push(chapter(*report, &sections, &charted)?);
        }
        let page = Page {
            title: name_of(folder),
            lead: lead(&build),
            figures: figures(&build, dropped),
            chapters,
            colophon: format!(
                "Seed {} · delia {}",
                text(&build, "seed"),
                env!("CARGO_PKG_VERSION")
            ),
        };
        page.render()
    }
}

fn chapter(report: Report, sections: &[Section], charted: &[Section]) -> Result<Chapter> {
    let (heading, lead) = report.heading();
    let mut chapter = Chapter {
        id: report.name(),
        heading: heading.to_owned(),
        lead: lead.to_owned(),
        charts: vec![],
        tables: vec![],
        samples: vec![],
    };
    let tabled: Vec<&Section> = match report {
        // The numbers above the chapters say it.
        Report::Overview => sections[1..].iter().collect(),
        Report::Lengths => {
            chapter.charts = lengths(&rows(&charted[0])?);
            sections.iter().collect()
        }
        Report::Duplicates => {
            let (shown, hidden): (Vec<_>, Vec<_>) = sections
                .iter()
                .partition(|section| section.name != "similarity");
            chapter.charts = match hidden.first() {
                Some(section) => similarities(&rows(section)?),
                None => vec![],
            };
            shown
        }
        Report::Mix => {
            chapter.charts = course(&rows(&charted[0])?, &rows(&sections[0])?);
            sections.iter().collect()
        }
        Report::Samples => {
            chapter.samples = rows(&sections[0])?.iter().map(sample).collect();
            vec![]
        }
        Report::Sources | Report::Diversity => sections.iter().collect(),
    };
    for section in tabled.into_iter().filter(|section| section.n_rows() > 0) {
        chapter.tables.push(PageTable::of(section).map_err(failed)?);
    }
    Ok(chapter)
}

fn sample(row: &Row) -> SampleCard {
    let texts = ["instruction", "input", "output"]
        .map(|name| (name.to_owned(), text(row, name).to_owned()));
    SampleCard {
        kind: text(row, "kind").to_owned(),
        place: format!(
            "{} · row {} · position {}",
            text(row, "source"),
            text(row, "source_row"),
            text(row, "position")
        ),
        texts: texts
            .into_iter()
            .filter(|(_, text)| !text.is_empty())
            .collect(),
    }
}

fn name_of(folder: &Path) -> String {
    let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let name = absolute
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    name.unwrap_or_else(|| folder.display().to_string())
}

fn lead(build: &Row) -> String {
    format!(
        "{} task rows and {} diverse ones in the order of training.",
        count(build, "task_rows"),
        count(build, "diverse_rows"),
    )
}

fn figures(build: &Row, dropped: u64) -> Vec<Figure> {
    let figure = |label: &str, number: String, note: String| Figure {
        label: label.to_owned(),
        number,
        note,
    };
    let plain = |number: &str| number.trim_end_matches(".0").to_owned();
    let iterations = match text(build, "iterations") {
        "1" => String::new(),
        iterations => format!(", {iterations} iterations"),
    };
    let requested = format!("{} requested{iterations}", text(build, "ratio_requested"));
    let size = format!("{:.1} MB", number(build, "bytes") / 1e6);
    let tokens = match text(build, "special_tokens") {
        "" => "no special tokens".to_owned(),
        tokens => format!("special tokens {tokens}"),
    };
    vec![
        figure("Rows", count(build, "rows"), tokens),
        figure("Task rows", count(build, "task_rows"), String::new()),
        figure("Diverse rows", count(build, "diverse_rows"), String::new()),
        figure(
            "Diverse per task row",
            plain(text(build, "ratio_achieved")),
            requested,
        ),
        figure(
            "Dropped rows",
            grouped(dropped),
            "with the reason of each".to_owned(),
        ),
        figure("Shards", count(build, "shards"), size),
    ]
}

fn count(row: &Row, column: &str) -> String {
    grouped(number(row, column) as u64)
}
