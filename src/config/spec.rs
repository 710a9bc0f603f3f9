//! How a source is named on the command line and in recipes.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use url::Url;

use super::hub::{self, HubDataset};
use super::{MAX_ROWS, Mix, Weight};

/// What a source's name says it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceSpec {
    /// A file, or a pattern of files such as `data/*.jsonl.zst`.
    Files(PathBuf),
    /// `bundled:NAME`: a file that is part of the program.
    Bundled(String),
    /// `http://…` or `https://…`: a file to download.
    Web(Url),
    /// `hf://datasets/…`: a dataset on a hub.
    Hub(HubDataset),
    /// `-`: standard input.
    Stdin,
    /// `llm:ROWS`: so many pairs from a language model.
    Llm {
        /// Pairs to sample.
        rows: u64,
    },
    /// `procedural[:NAME,…][@ROWS]`: the procedural sampler, and `procedural-base…`: its prompts that are kept for base models.
    ///
    /// A name is that of a family, of a group of families, or of a difficulty. Families and groups add up; difficulties
    /// keep of these the families of such a difficulty.
    Procedural {
        /// Whether the rows are those no other build draws.
        is_for_base_model: bool,
        /// Families, groups and difficulties to draw from; empty for all families.
        names: Vec<String>,
        /// Rows to generate; `None` for twice as many as the ratio asks for.
        rows: Option<u64>,
    },
}

impl SourceSpec {
    /// Reads a source's name. Everything that is not `bundled:…`, `procedural…`, `llm:…`, `http(s)://…`, `hf://…` or `-` is a path.
    ///
    /// # Errors
    /// A sentence on what is wrong, for a `procedural` with a row count that is no number and for an address that is none.
    pub fn parse(text: &str) -> Result<SourceSpec, String> {
        if let Some(name) = text.strip_prefix("bundled:") {
            return Ok(SourceSpec::Bundled(name.to_owned()));
        }
        if text == "-" {
            return Ok(SourceSpec::Stdin);
        }
        if text.starts_with(hub::SCHEME) {
            return HubDataset::parse(text).map(SourceSpec::Hub);
        }
        if text.starts_with("http://") || text.starts_with("https://") {
            return web_address(text).map(SourceSpec::Web);
        }
        let number = |rows: &str| {
            let number = rows.replace('_', "").parse().ok();
            let number = number.filter(|&rows| rows <= MAX_ROWS);
            number
                .ok_or_else(|| format!("`{rows}` in `{text}` is not a number of rows up to 10^12"))
        };
        if let Some(rows) = text.strip_prefix("llm:") {
            return Ok(SourceSpec::Llm {
                rows: number(rows)?,
            });
        }
        let (name, rows) = match text.split_once('@') {
            Some((name, rows)) => (name, Some(rows)),
            None => (text, None),
        };
        let sampler = name.strip_prefix("procedural");
        let of_base_model = sampler.and_then(|rest| rest.strip_prefix("-base"));
        let names = match of_base_model.or(sampler) {
            Some("") => Vec::new(),
            Some(rest) if rest.starts_with(':') => rest[1..]
                .split(',')
                .map(str::trim)
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .collect(),
            _ if is_address(text) => {
                return Err(format!(
                    "`{text}` is an address of no kind that is known: `https://…`, `http://…`, `hf://datasets/OWNER/NAME`"
                ));
            }
            _ => return Ok(SourceSpec::Files(PathBuf::from(text))),
        };
        let rows = rows.map(number).transpose()?;
        Ok(SourceSpec::Procedural {
            is_for_base_model: of_base_model.is_some(),
            names,
            rows,
        })
    }
}

/// Whether it begins with a scheme; one letter is a drive.
fn is_address(text: &str) -> bool {
    let is_of_scheme = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    text.split_once(":/")
        .is_some_and(|(scheme, _)| scheme.len() > 1 && scheme.bytes().all(is_of_scheme))
}

fn web_address(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|problem| format!("`{text}` is no address: {problem}"))?;
    // Nor is it repeated here: messages end up in logs.
    if !url.username().is_empty() || url.password().is_some() {
        let host = url.host_str().unwrap_or_default();
        return Err(format!(
            "the address at `{host}` holds a name or password, which would stand in `recipe.toml` and every report; fetch the file first, or pipe it in as `-`"
        ));
    }
    Ok(url)
}

/// A source as a recipe lists it: its name alone, or a table with what is known about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SourceEntry {
    /// Path, pattern, `bundled:NAME`, `procedural…`, `llm:ROWS`, `http(s)://…`, `hf://datasets/…` or `-`.
    pub path: String,
    /// The name in the `source` column.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// BLAKE3 of the file as it was when the recipe was frozen, in hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blake3: Option<String>,
    /// The licence its owner states, for the manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub licence: Option<String>,
    /// How much of the draw it gives.
    #[serde(flatten)]
    pub mix: Mix,
}

impl SourceEntry {
    /// An entry of which only the path is known.
    pub fn from_spec(path: impl Into<String>) -> SourceEntry {
        SourceEntry {
            path: path.into(),
            name: None,
            blake3: None,
            licence: None,
            mix: Mix::default(),
        }
    }

    /// Whether its rows come from a language model.
    pub(super) fn is_sampled(&self) -> bool {
        matches!(SourceSpec::parse(&self.path), Ok(SourceSpec::Llm { .. }))
    }

    /// Makes a relative path start from `folder`.
    pub(crate) fn rebase(&mut self, folder: &Path) {
        if let Ok(SourceSpec::Files(path)) = SourceSpec::parse(&self.path) {
            self.path = folder.join(path).to_string_lossy().into_owned();
        }
    }
}

impl FromStr for SourceEntry {
    type Err = String;

    fn from_str(text: &str) -> Result<SourceEntry, String> {
        SourceSpec::parse(text)?;
        Ok(SourceEntry::from_spec(text))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EntryTable {
    path: String,
    name: Option<String>,
    blake3: Option<String>,
    licence: Option<String>,
    weight: Option<Weight>,
    cap: Option<u64>,
    group: Option<u32>,
}

impl<'de> Deserialize<'de> for SourceEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<SourceEntry, D::Error> {
        deserializer.deserialize_any(WrittenEntry)
    }
}

struct WrittenEntry;

impl<'de> Visitor<'de> for WrittenEntry {
    type Value = SourceEntry;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a path, or a table with `path` and optionally `name`, `blake3`, `licence`, `weight`, `cap`")
    }

    fn visit_str<E: Error>(self, path: &str) -> Result<SourceEntry, E> {
        path.parse().map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<SourceEntry, A::Error> {
        let table = EntryTable::deserialize(MapAccessDeserializer::new(table))?;
        let EntryTable {
            path,
            name,
            blake3,
            licence,
            weight,
            cap,
            group,
        } = table;
        Ok(SourceEntry {
            path,
            name,
            blake3,
            licence,
            mix: Mix { weight, cap, group },
        })
    }
}

/// What a column is to a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// What is asked for.
    Instruction,
    /// What it is asked about.
    Input,
    /// The response.
    Output,
}

impl Role {
    /// All roles, in the order of the sample's columns.
    pub const ALL: [Role; 3] = [Role::Instruction, Role::Input, Role::Output];

    /// The name in `--map`, which is the name of the sample's column.
    pub fn name(self) -> &'static str {
        match self {
            Role::Instruction => "instruction",
            Role::Input => "input",
            Role::Output => "output",
        }
    }
}

/// `[NAME:]ROLE=COLUMN,…`: which columns to read.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct ColumnMap {
    /// The source it is for; `None` for all.
    pub source_name: Option<String>,
    /// Roles and their columns.
    pub columns: Vec<(Role, String)>,
}

impl FromStr for ColumnMap {
    type Err = String;

    fn from_str(text: &str) -> Result<ColumnMap, String> {
        let first_equals = text.find('=').unwrap_or(text.len());
        let (source_name, pairs) = match text[..first_equals].rsplit_once(':') {
            Some((name, _)) => (Some(name.to_owned()), &text[name.len() + 1..]),
            None => (None, text),
        };
        let columns = pairs
            .split(',')
            .map(parse_pair)
            .collect::<Result<Vec<_>, _>>()?;
        Ok(ColumnMap {
            source_name,
            columns,
        })
    }
}

fn parse_pair(pair: &str) -> Result<(Role, String), String> {
    let (role, column) = pair.split_once('=').ok_or_else(|| {
        format!("`{pair}` is not of the form ROLE=COLUMN, such as `output=reply`")
    })?;
    let role = Role::ALL
        .into_iter()
        .find(|known| known.name() == role.trim())
        .ok_or_else(|| {
            format!("`{role}` is no role; the roles are `instruction`, `input` and `output`")
        })?;
    Ok((role, column.to_owned()))
}

impl TryFrom<String> for ColumnMap {
    type Error = String;

    fn try_from(text: String) -> Result<ColumnMap, String> {
        text.parse()
    }
}

impl From<ColumnMap> for String {
    fn from(map: ColumnMap) -> String {
        map.to_string()
    }
}

impl fmt::Display for ColumnMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = &self.source_name {
            write!(f, "{name}:")?;
        }
        let pairs: Vec<_> = self
            .columns
            .iter()
            .map(|(role, column)| format!("{}={column}", role.name()))
            .collect();
        f.write_str(&pairs.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_a_path_unless_it_says_otherwise() {
        let procedural = |names: &[&str], rows| SourceSpec::Procedural {
            is_for_base_model: false,
            names: names.iter().map(|&name| name.to_owned()).collect(),
            rows,
        };
        assert_eq!(SourceSpec::parse("procedural"), Ok(procedural(&[], None)));
        assert_eq!(
            SourceSpec::parse("procedural@10_000"),
            Ok(procedural(&[], Some(10_000)))
        );
        assert_eq!(
            SourceSpec::parse("procedural:math,hard@5"),
            Ok(procedural(&["math", "hard"], Some(5)))
        );
        assert_eq!(
            SourceSpec::parse("bundled:formatted_text"),
            Ok(SourceSpec::Bundled("formatted_text".into()))
        );
        for path in ["a.jsonl", "./procedural", "procedural.json", "a@b.csv"] {
            assert_eq!(SourceSpec::parse(path), Ok(SourceSpec::Files(path.into())));
        }
        assert_eq!(
            SourceSpec::parse("llm:2_000"),
            Ok(SourceSpec::Llm { rows: 2_000 })
        );
        assert!(
            SourceSpec::parse("llm:")
                .unwrap_err()
                .contains("not a number of rows")
        );
        assert!(
            SourceSpec::parse("procedural@many")
                .unwrap_err()
                .contains("`many`")
        );
    }

    #[test]
    fn what_is_elsewhere_is_told_by_its_beginning() {
        let web = SourceSpec::parse("https://example.org/a.jsonl.zst?x=1");
        assert!(matches!(web, Ok(SourceSpec::Web(url)) if url.path() == "/a.jsonl.zst"));
        assert!(matches!(
            SourceSpec::parse("hf://datasets/a/b/test"),
            Ok(SourceSpec::Hub(_))
        ));
        assert_eq!(SourceSpec::parse("-"), Ok(SourceSpec::Stdin));
        for (text, problem) in [
            ("http://", "is no address"),
            ("hf://a", "`hf://datasets/OWNER/NAME`"),
            (
                "https://me:secret@example.org/a",
                "holds a name or password",
            ),
        ] {
            let refused = SourceSpec::parse(text).unwrap_err();
            assert!(refused.contains(problem), "{refused}");
            assert!(!refused.contains("secret"), "{refused}");
        }
    }

    #[test]
    fn a_map_reads_back_as_it_was_written() {
        for text in [
            "instruction=user_query,output=reply",
            "data/chat:input=ctx",
            "output=a=b",
        ] {
            assert_eq!(text.parse::<ColumnMap>().expect("a map").to_string(), text);
        }
        assert!(
            "reply"
                .parse::<ColumnMap>()
                .unwrap_err()
                .contains("ROLE=COLUMN")
        );
        assert!(
            "answer=reply"
                .parse::<ColumnMap>()
                .unwrap_err()
                .contains("no role")
        );
    }
}
