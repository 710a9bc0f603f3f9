//! What was typed becomes sources: patterns are expanded, what is elsewhere is brought here, files are hashed and named.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::{BuildConfig, ColumnMap, SourceEntry, SourceSpec};
use crate::error::{Error, Result};
use crate::http::Download;
use crate::sample::Kind;

use super::access::Access;
use super::columns::Columns;
use super::elsewhere::{Elsewhere, SAMPLED};
use super::names::{name_apart, stem};
use super::procedural::{BadSelection, Difficulty, FAMILIES, Group, Sampler};
use super::{FileState, Origin, Source, bundled, hash};

/// Finds every source a build names, in the order task, diverse, held out, eval, brings here what is
/// elsewhere, and hashes the files.
///
/// With `accept_changed` a file may differ from the hash its recipe entry holds.
///
/// # Errors
/// A missing, empty or twice named file, a pattern without match, an unknown bundled set or family, a choice of families that is empty, a changed file, a map
/// for a source that is not there, a source that cannot be fetched.
pub async fn resolve(
    config: &BuildConfig,
    accept_changed: bool,
    access: &Access,
    progress: &dyn Fn(Download),
) -> Result<Vec<Source>> {
    refuse_second_stdin(config)?;
    let mut sources = Vec::new();
    for (kind, entries) in [
        (Kind::Task, &config.task),
        (Kind::Diverse, &config.diverse),
        (Kind::HeldOut, &config.held_out),
        (Kind::Eval, &config.eval),
    ] {
        for entry in entries {
            let found = resolve_entry(config, kind, entry, accept_changed, access, progress);
            let mut found = found.await?;
            share_mix(&mut found, &sources, entries);
            sources.extend(found);
        }
    }
    name_apart(&mut sources)?;
    apply_maps(&mut sources, &config.map)?;
    Ok(sources)
}

/// The files of one pattern have its weight and its cap together.
fn share_mix(found: &mut [Source], before: &[Source], entries: &[SourceEntry]) {
    if found.len() < 2 || !found[0].mix.is_given() || found[0].mix.group.is_some() {
        return;
    }
    let of_entries = entries.iter().filter_map(|entry| entry.mix.group);
    let taken = before.iter().filter_map(|source| source.mix.group);
    let group = taken.chain(of_entries).max().map_or(0, |group| group + 1);
    for source in found {
        source.mix.group = Some(group);
    }
}

async fn resolve_entry(
    config: &BuildConfig,
    kind: Kind,
    entry: &SourceEntry,
    accept_changed: bool,
    access: &Access,
    progress: &dyn Fn(Download),
) -> Result<Vec<Source>> {
    let spec = SourceSpec::parse(&entry.path).map_err(|problem| Error::Setting {
        key: "diverse",
        problem,
        hint: "`procedural@100000` draws that many rows".to_owned(),
    })?;
    let source = |path: String, stem: &str, blake3, origin| Source {
        name: entry.name.clone().unwrap_or_else(|| stem.to_owned()),
        kind,
        path,
        blake3,
        licence: entry.licence.clone(),
        mix: entry.mix,
        columns: Columns::for_kind(kind),
        reading: config.reading,
        origin,
    };
    match spec {
        SourceSpec::Web(_) | SourceSpec::Hub(_) | SourceSpec::Stdin => {
            let known = entry.blake3.as_deref();
            let elsewhere = Elsewhere::new(access, progress, known, accept_changed)?;
            let arrived = elsewhere.bring(&spec, entry.licence.is_some()).await?;
            unchanged(entry, &arrived.path, &arrived.blake3, accept_changed)?;
            let origin = Origin::Arrived {
                files: arrived.files,
                parent: arrived.parent,
            };
            let hash = Some(arrived.blake3);
            let mut source = source(arrived.path, &arrived.name, hash, origin);
            source.licence = source.licence.or(arrived.licence);
            Ok(vec![source])
        }
        SourceSpec::Llm { rows } => {
            if !matches!(kind, Kind::Diverse | Kind::Task) {
                return Err(Error::Setting {
                    key: "llm",
                    problem: format!("`{}` is given as {} samples", entry.path, kind.name()),
                    hint: "a language model is sampled for `--diverse`, and for `--task` beside samples to show it".to_owned(),
                });
            }
            let known = entry.blake3.as_deref();
            let elsewhere = Elsewhere::new(access, progress, known, accept_changed)?;
            let (hash, origin) = match elsewhere.sampled(&entry.path)? {
                Some(arrived) => {
                    let origin = Origin::Arrived {
                        files: arrived.files,
                        parent: None,
                    };
                    (Some(arrived.blake3), origin)
                }
                None => {
                    let frozen = entry.blake3.clone().filter(|_| !accept_changed);
                    (
                        None,
                        Origin::ToAsk {
                            n_rows: rows,
                            frozen,
                        },
                    )
                }
            };
            Ok(vec![source(entry.path.clone(), SAMPLED, hash, origin)])
        }
        SourceSpec::Bundled(name) => {
            let text = bundled::text(&name)?;
            let hash = blake3::hash(text.as_bytes()).to_hex().to_string();
            unchanged(entry, &entry.path, &hash, accept_changed)?;
            let mut source = source(entry.path.clone(), &name, Some(hash), Origin::Bundled(text));
            source
                .licence
                .get_or_insert_with(|| bundled::LICENCE.to_owned());
            Ok(vec![source])
        }
        SourceSpec::Procedural {
            is_for_base_model,
            names,
            rows,
        } => {
            if rows.is_none() && matches!(kind, Kind::HeldOut | Kind::Eval) {
                return Err(Error::Setting {
                    key: if kind == Kind::Eval {
                        "eval"
                    } else {
                        "held-out"
                    },
                    problem: format!("`{}` does not say how many rows", entry.path),
                    hint: format!("`{}@500` draws that many", entry.path),
                });
            }
            let sampler = match is_for_base_model {
                false => Sampler::new(config.seed, &names),
                true => Sampler::for_base_model(config.seed, &names),
            };
            let sampler = Arc::new(sampler.map_err(bad_selection)?);
            let origin = Origin::Procedural {
                sampler,
                n_rows: rows,
            };
            let mut source = source(entry.path.clone(), "procedural", None, origin);
            source
                .licence
                .get_or_insert_with(|| bundled::LICENCE.to_owned());
            Ok(vec![source])
        }
        SourceSpec::Files(pattern) => {
            let mut sources = Vec::new();
            for path in matching(&pattern)? {
                let typed = path.to_string_lossy().into_owned();
                let state = FileState::of(&path)?;
                let hash = hash(&path)?;
                unchanged(entry, &typed, &hash, accept_changed)?;
                sources.push(source(
                    typed,
                    &stem(&path),
                    Some(hash),
                    Origin::File { path, state },
                ));
            }
            Ok(sources)
        }
    }
}

/// Standard input can be read once.
fn refuse_second_stdin(config: &BuildConfig) -> Result<()> {
    let entries = config
        .task
        .iter()
        .chain(&config.diverse)
        .chain(&config.held_out)
        .chain(&config.eval);
    match entries.filter(|entry| entry.path == "-").nth(1) {
        None => Ok(()),
        Some(_) => Err(Error::Setting {
            key: "source",
            problem: "`-` is given twice, and standard input can be read once".to_owned(),
            hint: "write one of the two to a file first".to_owned(),
        }),
    }
}

fn matching(pattern: &Path) -> Result<Vec<PathBuf>> {
    if pattern.is_dir() {
        return Err(Error::SourceFolder {
            path: pattern.to_owned(),
        });
    }
    let text = pattern.to_string_lossy();
    if pattern.exists() || !text.contains(['*', '?', '[']) {
        return Ok(vec![pattern.to_owned()]);
    }
    let no_match = || Error::NoMatch {
        pattern: text.clone().into_owned(),
    };
    let matches = glob::glob(&text).map_err(|error| Error::Setting {
        key: "source",
        problem: format!("`{text}` is no pattern: {error}"),
        hint: "`*`, `?`, `[…]` and `**` are special".to_owned(),
    })?;
    let mut paths = Vec::new();
    for path in matches {
        let path = path.map_err(|error| Error::Read {
            path: error.path().to_owned(),
            source: error.into(),
        })?;
        if path.is_file() {
            paths.push(path);
        }
    }
    if paths.is_empty() {
        Err(no_match())
    } else {
        Ok(paths)
    }
}

/// Refuses a source that is not the one its recipe was frozen with.
fn unchanged(entry: &SourceEntry, typed: &str, hash: &str, accept_changed: bool) -> Result<()> {
    match &entry.blake3 {
        Some(frozen) if frozen != hash && !accept_changed => Err(Error::SourceChanged {
            path: typed.to_owned(),
        }),
        _ => Ok(()),
    }
}

fn apply_maps(sources: &mut [Source], maps: &[ColumnMap]) -> Result<()> {
    for map in maps {
        let mut used = false;
        for source in sources
            .iter_mut()
            .filter(|source| matches!(source.origin, Origin::File { .. } | Origin::Arrived { .. }))
        {
            if map
                .source_name
                .as_ref()
                .is_none_or(|name| *name == source.name)
            {
                source.columns.map(&map.columns);
                used = true;
            }
        }
        if !used {
            let names: Vec<_> = sources
                .iter()
                .map(|source| format!("`{}`", source.name))
                .collect();
            return Err(Error::Setting {
                key: "map",
                problem: format!("`{map}` is for no file of this build"),
                hint: format!("the sources are {}", names.join(", ")),
            });
        }
    }
    Ok(())
}

fn bad_selection(bad: BadSelection) -> Error {
    let (problem, hint) = match bad {
        BadSelection::Unknown { name, nearest } => {
            let start = match nearest {
                Some(nearest) => format!("did you mean `{nearest}`? The"),
                None => "the".to_owned(),
            };
            let groups = Group::ALL.map(Group::name).join(", ");
            let difficulties = Difficulty::ALL.map(Difficulty::name).join(", ");
            let families: Vec<_> = FAMILIES.iter().map(|family| family.name).collect();
            let families = families.join(", ");
            (
                format!(
                    "the procedural sampler has no family `{name}`, and no group or difficulty of that name"
                ),
                format!(
                    "{start} groups are {groups}; the difficulties are {difficulties}; the families are {families}"
                ),
            )
        }
        BadSelection::NoneLeft {
            topics,
            difficulties,
            present,
        } => {
            let (topics, difficulties) = (topics.join(", "), difficulties.join(" or "));
            (
                format!("the procedural sampler has nothing {difficulties} in `{topics}`"),
                format!("what is there is {}", present.join(" and ")),
            )
        }
    };
    Error::Setting {
        key: "diverse",
        problem,
        hint,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_selection_of_families_says_what_there_is() {
        let message = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let bad = Sampler::new(0, &names).expect_err("a bad selection");
            match bad_selection(bad) {
                Error::Setting { problem, hint, .. } => format!("{problem}\n{hint}"),
                other => panic!("{other}"),
            }
        };
        let unknown = message(&["text", "maths"]);
        for part in [
            "no family `maths`",
            "did you mean `math`?",
            "The groups are math, time",
            "easy, medium, hard",
            "weekday",
        ] {
            assert!(unknown.contains(part), "{unknown}");
        }
        assert_eq!(
            message(&["words", "hard"]),
            "the procedural sampler has nothing hard in `words`\nwhat is there is easy and medium"
        );
    }
}
