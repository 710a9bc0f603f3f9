//! Datasets on a hub: which Parquet files a split has, and under which licence.

use std::collections::BTreeMap;

use serde_json::Value;
use url::Url;

use crate::config::HubDataset;
use crate::error::{Error, Result};
use crate::http::{Requests, broken, fetch_error, send};

/// The configuration and the split that are meant where none is named.
const DEFAULT_CONFIG: &str = "default";
const DEFAULT_SPLIT: &str = "train";

/// Configuration → split → addresses of its Parquet files, in order.
type Listing = BTreeMap<String, BTreeMap<String, Vec<String>>>;

/// The dataset with configuration and split, and the addresses of its files.
///
/// # Errors
/// [`Error::HubChoice`] where it has to be said which, [`Error::Fetch`] where the hub does not tell.
pub(super) async fn files(
    requests: &Requests<'_>,
    dataset: &HubDataset,
) -> Result<(HubDataset, Vec<Url>)> {
    let url = api(requests, dataset, "/parquet")?;
    let unexpected = |problem: String| {
        let hint = "`--hub` names the base address of a hub".to_owned();
        fetch_error(&url, problem, hint)
    };
    let listing: Listing = serde_json::from_value(json(requests, &url).await?)
        .map_err(|error| unexpected(format!("the answer is no list of Parquet files: {error}")))?;
    let chosen = choose(dataset, &listing)?;
    let mut files = Vec::new();
    for address in chosen.1 {
        let file = url.join(address);
        files
            .push(file.map_err(|error| unexpected(format!("`{address}` is no address: {error}")))?);
    }
    if files.is_empty() {
        return Err(unexpected(format!("it lists no file of `{}`", chosen.0)));
    }
    Ok((chosen.0, files))
}

/// The licence that the dataset's card states.
///
/// # Errors
/// [`Error::Fetch`] where the hub does not answer.
pub(super) async fn licence(
    requests: &Requests<'_>,
    dataset: &HubDataset,
) -> Result<Option<String>> {
    let url = api(requests, dataset, "")?;
    Ok(licence_of(&json(requests, &url).await?))
}

fn api(requests: &Requests<'_>, dataset: &HubDataset, what: &str) -> Result<Url> {
    let hub = requests
        .network
        .hub
        .as_ref()
        .ok_or_else(|| Error::Setting {
            key: "HF_ENDPOINT",
            problem: "it names no address of a server".to_owned(),
            hint: "such as `https://huggingface.co`; `--hub` takes precedence".to_owned(),
        })?;
    let base = hub.as_str().trim_end_matches('/');
    let HubDataset { owner, name, .. } = dataset;
    let text = format!("{base}/api/datasets/{owner}/{name}{what}");
    Url::parse(&text).map_err(|error| Error::Setting {
        key: "hub",
        problem: format!("`{text}` is no address: {error}"),
        hint: "such as `https://huggingface.co`".to_owned(),
    })
}

async fn json(requests: &Requests<'_>, url: &Url) -> Result<Value> {
    let text = requests
        .persistently(url, async || {
            let response = send(url, requests.get(url)).await?;
            response
                .bytes()
                .await
                .map_err(|error| broken(&error, false))
        })
        .await?;
    serde_json::from_slice(&text).map_err(|error| {
        let hint = "`--hub` names the base address of a hub".to_owned();
        fetch_error(url, format!("the answer is not JSON: {error}"), hint)
    })
}

fn choose<'l>(dataset: &HubDataset, listing: &'l Listing) -> Result<(HubDataset, &'l [String])> {
    let typed = dataset.to_string();
    let of_config = |split: &String| dataset.config.is_none() && listing.contains_key(split);
    // One name alone may be that of a configuration.
    let named = dataset
        .split
        .clone()
        .filter(of_config)
        .map(|config| HubDataset {
            config: Some(config),
            split: None,
            ..dataset.clone()
        });
    let dataset = named.as_ref().unwrap_or(dataset);
    let config = pick(listing, dataset.config.as_deref(), DEFAULT_CONFIG).ok_or_else(|| {
        let HubDataset { owner, name, .. } = dataset;
        let split = dataset.split.as_deref().unwrap_or(DEFAULT_SPLIT);
        choice(
            "configuration",
            &typed,
            dataset.config.as_deref(),
            listing,
            |config| format!("hf://datasets/{owner}/{name}/{config}/{split}"),
        )
    })?;
    let splits = &listing[config];
    let split = pick(splits, dataset.split.as_deref(), DEFAULT_SPLIT).ok_or_else(|| {
        let HubDataset { owner, name, .. } = dataset;
        choice("split", &typed, dataset.split.as_deref(), splits, |split| {
            format!("hf://datasets/{owner}/{name}/{config}/{split}")
        })
    })?;
    let chosen = HubDataset {
        config: Some(config.clone()),
        split: Some(split.clone()),
        ..dataset.clone()
    };
    Ok((chosen, &splits[split]))
}

/// The one that is named; where none is, the default, or the only one.
fn pick<'m, T>(
    there: &'m BTreeMap<String, T>,
    named: Option<&str>,
    default: &str,
) -> Option<&'m String> {
    let find = |name: &str| there.get_key_value(name).map(|(name, _)| name);
    match named {
        Some(name) => find(name),
        None if there.len() == 1 => there.keys().next(),
        None => find(default),
    }
}

fn choice<T>(
    what: &str,
    typed: &str,
    named: Option<&str>,
    there: &BTreeMap<String, T>,
    example: impl Fn(&str) -> String,
) -> Error {
    let names: Vec<_> = there.keys().map(|name| format!("`{name}`")).collect();
    let names = names.join(", ");
    Error::HubChoice {
        dataset: typed.to_owned(),
        problem: match (named, there.is_empty()) {
            (_, true) => format!("the hub lists no {what} of it"),
            (Some(named), _) => format!("it has no {what} `{named}`; there are {names}"),
            (None, _) => {
                format!("it has several of them, and no {what} is named; there are {names}")
            }
        },
        hint: match there.keys().next() {
            Some(first) => format!("name one, such as `{}`", example(first)),
            None => {
                "the hub makes Parquet files of public datasets some time after they are uploaded"
                    .to_owned()
            }
        },
    }
}

/// `cardData.license`, a name or several; where there is none, the tags `license:…`.
fn licence_of(card: &Value) -> Option<String> {
    let texts = |value: &Value| -> Vec<String> {
        match value {
            Value::String(text) => vec![text.clone()],
            Value::Array(list) => list
                .iter()
                .filter_map(|text| text.as_str().map(str::to_owned))
                .collect(),
            _ => Vec::new(),
        }
    };
    let mut names = card
        .pointer("/cardData/license")
        .map(texts)
        .unwrap_or_default();
    if names.is_empty() {
        let tags = card.get("tags").map(texts).unwrap_or_default();
        let of_tags = tags.iter().filter_map(|tag| tag.strip_prefix("license:"));
        names = of_tags.map(str::to_owned).collect();
    }
    (!names.is_empty()).then(|| names.join(", "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn listing(text: Value) -> Listing {
        serde_json::from_value(text).expect("a listing")
    }

    fn dataset(config: Option<&str>, split: Option<&str>) -> HubDataset {
        HubDataset {
            owner: "o".to_owned(),
            name: "n".to_owned(),
            config: config.map(str::to_owned),
            split: split.map(str::to_owned),
        }
    }

    #[test]
    fn the_only_one_or_the_usual_one_is_meant() {
        let one = listing(json!({"plain": {"validation": ["v"]}}));
        let many = listing(
            json!({"default": {"test": ["a"], "train": ["b", "c"]}, "x": {"train": ["d"]}}),
        );
        let chosen = |listing: &Listing, config, split| {
            let (chosen, files) = choose(&dataset(config, split), listing).expect("a choice");
            (chosen.to_string(), files.to_vec())
        };
        assert_eq!(
            chosen(&one, None, None),
            (
                "hf://datasets/o/n/plain/validation".to_owned(),
                vec!["v".to_owned()]
            )
        );
        assert_eq!(
            chosen(&many, None, None).0,
            "hf://datasets/o/n/default/train"
        );
        assert_eq!(chosen(&many, None, Some("test")).1, ["a"]);
        assert_eq!(chosen(&many, Some("x"), None).1, ["d"]);
        // One name may be that of a configuration.
        assert_eq!(
            chosen(&many, None, Some("x")).0,
            "hf://datasets/o/n/x/train"
        );
    }

    #[test]
    fn a_choice_that_is_left_open_is_named_with_an_example() {
        let configs = listing(json!({"main": {"train": []}, "socratic": {"train": []}}));
        let splits = listing(json!({"default": {"dev": [], "test": []}}));
        let refused = |listing: &Listing, config, split| {
            let error = choose(&dataset(config, split), listing).unwrap_err();
            (error.to_string(), error.hint().expect("a hint"))
        };
        let (problem, hint) = refused(&configs, None, None);
        assert!(
            problem.contains("no configuration is named; there are `main`, `socratic`"),
            "{problem}"
        );
        assert!(hint.contains("`hf://datasets/o/n/main/train`"), "{hint}");
        let (problem, hint) = refused(&splits, None, None);
        assert!(
            problem.contains("no split is named; there are `dev`, `test`"),
            "{problem}"
        );
        assert!(hint.contains("`hf://datasets/o/n/default/dev`"), "{hint}");
        let (problem, _) = refused(&splits, None, Some("train"));
        assert!(problem.contains("it has no split `train`"), "{problem}");
        let (problem, _) = refused(&Listing::new(), None, None);
        assert!(problem.contains("lists no configuration"), "{problem}");
    }

    #[test]
    fn the_licence_is_the_cards_or_the_tags() {
        for (card, licence) in [
            (
                json!({"cardData": {"license": "mit"}, "tags": ["license:x"]}),
                Some("mit"),
            ),
            (
                json!({"cardData": {"license": ["mit", "cc0-1.0"]}}),
                Some("mit, cc0-1.0"),
            ),
            (
                json!({"cardData": null, "tags": ["language:en", "license:apache-2.0"]}),
                Some("apache-2.0"),
            ),
            (json!({"tags": ["language:en"]}), None),
            (json!([]), None),
        ] {
            assert_eq!(licence_of(&card).as_deref(), licence);
        }
    }
}
