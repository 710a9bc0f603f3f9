//! How much of the draw each diverse source gives: weights, caps, and the flags that go with a `--diverse`.

use std::fmt;
use std::str::FromStr;

use clap::ArgMatches;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

use super::{BuildTable, Ratio, SourceEntry};

/// What was asked of a source besides its rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Mix {
    /// Its part of every draw, beside the other weights; sources without one share by size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<Weight>,
    /// The most it gives to a pass: rows, or tokens where the ratio counts tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cap: Option<u64>,
    /// Sources of one group have one weight and one cap together, and share them by size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<u32>,
}

impl Mix {
    /// Whether anything was asked for.
    pub fn is_given(&self) -> bool {
        self.weight.is_some() || self.cap.is_some()
    }
}

/// A source's part of the draw, beside the other weights: a decimal number of at least 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(transparent)]
pub struct Weight(Ratio);

impl Weight {
    /// The weight as a whole number, on a scale that all weights share.
    pub fn scaled(self) -> u128 {
        self.0.scaled()
    }
}

impl FromStr for Weight {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Weight, String> {
        let parsed = text.parse().map(Weight);
        parsed.map_err(|error: super::RatioError| {
            error.to_string().replacen("a ratio", "a weight", 1)
        })
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// `--weight` and `--cap`, which belong to the `--diverse` before them.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct MixFlags {
    /// The part of the `--diverse` just before it in every draw; weights are relative
    ///
    /// `--diverse alpaca.json --weight 0.7 --diverse gsm8k.jsonl --weight 0.3`. Where one --diverse names several files, the
    /// weight is for all of them together. Give every --diverse a weight, or none: then each sample is equally likely.
    #[arg(
        long,
        value_name = "W",
        allow_hyphen_values = true,
        help_heading = "What to build"
    )]
    pub weight: Vec<Weight>,

    /// The most that the `--diverse` just before it gives to a pass, in rows; the others give the rest
    ///
    /// With --ratio-tokens it counts tokens.
    #[arg(long, value_name = "ROWS", help_heading = "What to build")]
    pub cap: Vec<u64>,
}

impl BuildTable {
    /// Gives each `--weight` and `--cap` to the `--diverse` it was typed after.
    ///
    /// # Errors
    /// [`Error::Setting`] for one that follows no `--diverse`, or the second after the same.
    pub fn with_mix(mut self, flags: &MixFlags, typed: &ArgMatches) -> Result<BuildTable> {
        let groups = Groups::of(typed);
        let mut next_group = self
            .diverse
            .iter()
            .filter_map(|entry| entry.mix.group)
            .max();
        for (at, weight) in places(typed, "weight").zip(&flags.weight) {
            for entry in groups.before(at, "weight", &mut self.diverse)? {
                let former = entry.mix.weight.replace(*weight);
                refuse_second("weight", entry, former.is_some())?;
            }
        }
        for (at, cap) in places(typed, "cap").zip(&flags.cap) {
            for entry in groups.before(at, "cap", &mut self.diverse)? {
                let former = entry.mix.cap.replace(*cap);
                refuse_second("cap", entry, former.is_some())?;
            }
        }
        for range in &groups.0 {
            let entries = &mut self.diverse[range.first..range.first + range.places.len()];
            if entries.len() > 1 && entries[0].mix.is_given() {
                let group = next_group.map_or(0, |group| group + 1);
                next_group = Some(group);
                for entry in entries {
                    entry.mix.group = Some(group);
                }
            }
        }
        Ok(self)
    }
}

/// The values of every `--diverse`, by their places on the command line.
struct Groups(Vec<Group>);

struct Group {
    /// The first of its entries in the table.
    first: usize,
    places: Vec<usize>,
}

impl Groups {
    fn of(typed: &ArgMatches) -> Groups {
        let mut groups: Vec<Group> = Vec::new();
        for (nth, at) in places(typed, "diverse").enumerate() {
            match groups.last_mut() {
                // The flag itself has a place of its own, so values of one flag are those without a gap.
                Some(group) if group.places.last() == Some(&(at - 1)) => group.places.push(at),
                _ => groups.push(Group {
                    first: nth,
                    places: vec![at],
                }),
            }
        }
        Groups(groups)
    }

    /// The entries of the last `--diverse` before this place.
    fn before<'e>(
        &self,
        at: usize,
        key: &'static str,
        entries: &'e mut [SourceEntry],
    ) -> Result<&'e mut [SourceEntry]> {
        let group = self.0.iter().rfind(|group| group.places[0] < at);
        let group = group.ok_or_else(|| Error::Setting {
            key,
            problem: format!("the first `--{key}` follows no `--diverse`"),
            hint: format!("it belongs to the one just before it: `--diverse FILE --{key} …`"),
        })?;
        Ok(&mut entries[group.first..group.first + group.places.len()])
    }
}

fn places<'m>(typed: &'m ArgMatches, id: &str) -> impl Iterator<Item = usize> + use<'m> {
    typed.indices_of(id).into_iter().flatten()
}

fn refuse_second(key: &'static str, entry: &SourceEntry, is_second: bool) -> Result<()> {
    if !is_second {
        return Ok(());
    }
    Err(Error::Setting {
        key,
        problem: format!("`--diverse {}` has two of them", entry.path),
        hint: "each belongs to the `--diverse` just before it".to_owned(),
    })
}

/// Refuses weights of samples that are not drawn.
pub(super) fn check_undrawn(entries: &[SourceEntry]) -> Result<()> {
    match entries.iter().find(|entry| entry.mix != Mix::default()) {
        None => Ok(()),
        Some(entry) => Err(Error::Setting {
            key: "weight",
            problem: format!("`{}` is no diverse source", entry.path),
            hint: "only diverse sources have `weight`, `cap` and `group`".to_owned(),
        }),
    }
}

/// Refuses weights for some sources only, weights that are all 0, and a group that disagrees with itself.
pub(super) fn check(diverse: &[SourceEntry]) -> Result<()> {
    let setting = |key, problem: String, hint: &str| {
        Err(Error::Setting {
            key,
            problem,
            hint: hint.to_owned(),
        })
    };
    let weights: Vec<Weight> = diverse
        .iter()
        .filter_map(|entry| entry.mix.weight)
        .collect();
    let without = diverse.iter().find(|entry| entry.mix.weight.is_none());
    if let (false, Some(entry)) = (weights.is_empty(), without) {
        return setting(
            "weight",
            format!("`{}` has none, other diverse sources have one", entry.path),
            "give every `--diverse` a `--weight`, or none of them",
        );
    }
    if !weights.is_empty() && weights.iter().all(|weight| weight.scaled() == 0) {
        return setting(
            "weight",
            "all weights are 0".to_owned(),
            "`--ratio 0` leaves the diverse samples out",
        );
    }
    for (nth, entry) in diverse.iter().enumerate() {
        let same_group = |other: &&SourceEntry| {
            entry.mix.group.is_some()
                && other.mix.group == entry.mix.group
                && other.mix != entry.mix
        };
        if let Some(other) = diverse[..nth].iter().find(same_group) {
            return setting(
                "group",
                format!(
                    "`{}` and `{}` are of one group and differ in weight or cap",
                    other.path, entry.path
                ),
                "a group has one weight and one cap for all its sources",
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::{Args, Command, FromArgMatches};

    use super::*;

    fn typed(arguments: &[&str]) -> Result<Vec<(String, Mix)>> {
        let command = MixFlags::augment_args(BuildTable::augment_args(Command::new("build")));
        let matches = command
            .try_get_matches_from([&["build"], arguments].concat())
            .expect("arguments");
        let table = BuildTable::from_arg_matches(&matches).expect("a table");
        let flags = MixFlags::from_arg_matches(&matches).expect("flags");
        let table = table.with_mix(&flags, &matches)?;
        let entries = table.diverse.into_iter();
        Ok(entries.map(|entry| (entry.path, entry.mix)).collect())
    }

    fn mix(weight: Option<&str>, cap: Option<u64>, group: Option<u32>) -> Mix {
        Mix {
            weight: weight.map(|weight| weight.parse().expect("a weight")),
            cap,
            group,
        }
    }

    #[test]
    fn a_weight_belongs_to_the_diverse_before_it() {
        let typed = typed(&[
            "--diverse",
            "a",
            "b",
            "--weight",
            "0.7",
            "--seed",
            "3",
            "--diverse",
            "c",
            "--cap",
            "9",
            "--weight",
            "0.3",
        ]);
        assert_eq!(
            typed.expect("pairs"),
            [
                ("a".to_owned(), mix(Some("0.7"), None, Some(0))),
                ("b".to_owned(), mix(Some("0.7"), None, Some(0))),
                ("c".to_owned(), mix(Some("0.3"), Some(9), None)),
            ]
        );
    }

    #[test]
    fn a_weight_without_a_diverse_is_refused() {
        let first = typed(&["--weight", "1", "--diverse", "a"]);
        assert!(first.unwrap_err().to_string().contains("follows no"));
        let twice = typed(&["--diverse", "a", "--cap", "1", "--cap", "2"]);
        assert!(twice.unwrap_err().to_string().contains("has two"));
    }

    #[test]
    fn weights_are_for_all_or_for_none() {
        let checked = |mixes: &[Mix]| {
            let entry = |mix: &Mix| SourceEntry {
                mix: *mix,
                ..SourceEntry::from_spec("x")
            };
            check(&mixes.iter().map(entry).collect::<Vec<_>>())
        };
        let refused = |mixes: &[Mix]| checked(mixes).unwrap_err().to_string();
        checked(&[mix(None, Some(1), None), mix(None, None, None)]).expect("a cap alone");
        checked(&[mix(Some("0"), None, None), mix(Some("2"), None, None)]).expect("weights");
        assert!(refused(&[mix(Some("1"), None, None), mix(None, None, None)]).contains("has none"));
        assert!(refused(&[mix(Some("0"), None, None)]).contains("all weights are 0"));
        let group = [mix(Some("1"), None, Some(0)), mix(Some("2"), None, Some(0))];
        assert!(refused(&group).contains("of one group"));
    }

    #[test]
    fn what_is_no_weight_is_refused() {
        let refused = |text: &str| text.parse::<Weight>().unwrap_err();
        assert!(refused("-1").contains("a weight is a number of at least 0"));
        assert!(refused("NaN").contains("a weight is a finite number"));
        assert!(refused("heavy").contains("a weight is a number such as"));
    }
}
