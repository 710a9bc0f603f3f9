//! A dataset on a hub: `hf://datasets/OWNER/NAME[[/CONFIG]/SPLIT]`.

use std::fmt;

/// How such a source begins.
pub(super) const SCHEME: &str = "hf://";

/// A dataset on a hub, as a source names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubDataset {
    /// Whose it is.
    pub owner: String,
    /// What it is called.
    pub name: String,
    /// Which of its configurations; `None` for the only one, or `default`.
    pub config: Option<String>,
    /// Which split of it; `None` for `train`, or the only one.
    pub split: Option<String>,
}

impl HubDataset {
    /// Reads what follows `hf://`.
    ///
    /// # Errors
    /// A sentence on what is wrong.
    pub(super) fn parse(text: &str) -> Result<HubDataset, String> {
        let refused = || {
            format!(
                "`{text}` is not of the form `hf://datasets/OWNER/NAME`, with `/SPLIT` or `/CONFIG/SPLIT` behind it where there are several"
            )
        };
        let path = text.strip_prefix(SCHEME).unwrap_or(text);
        let parts: Vec<_> = path.trim_end_matches('/').split('/').collect();
        let (owner, name, config, split) = match parts.as_slice() {
            ["datasets", owner, name] => (owner, name, None, None),
            ["datasets", owner, name, split] => (owner, name, None, Some(split)),
            ["datasets", owner, name, config, split] => (owner, name, Some(config), Some(split)),
            _ => return Err(refused()),
        };
        // They become part of an address.
        let is_name = |text: &str| {
            let is_known = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            !text.is_empty() && !text.starts_with('.') && text.chars().all(is_known)
        };
        let mut named = [config, split].into_iter().flatten();
        if !is_name(owner) || !is_name(name) || named.any(|text| text.is_empty()) {
            return Err(refused());
        }
        Ok(HubDataset {
            owner: (*owner).to_owned(),
            name: (*name).to_owned(),
            config: config.map(|config| (*config).to_owned()),
            split: split.map(|split| (*split).to_owned()),
        })
    }
}

impl fmt::Display for HubDataset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}datasets/{}/{}", self.owner, self.name)?;
        for part in [&self.config, &self.split].into_iter().flatten() {
            write!(f, "/{part}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dataset_reads_back_as_it_was_written() {
        for text in [
            "hf://datasets/tatsu-lab/alpaca",
            "hf://datasets/openai/gsm8k/test",
            "hf://datasets/openai/gsm8k/main/test",
        ] {
            assert_eq!(
                HubDataset::parse(text).expect("a dataset").to_string(),
                text
            );
        }
        let dataset = HubDataset::parse("hf://datasets/a/b/c/d").expect("a dataset");
        assert_eq!(
            (dataset.config.as_deref(), dataset.split.as_deref()),
            (Some("c"), Some("d"))
        );
    }

    #[test]
    fn what_is_no_dataset_is_refused() {
        for text in [
            "hf://datasets/alpaca",
            "hf://tatsu-lab/alpaca",
            "hf://datasets/a/../b",
            "hf://datasets/a/b?x=1",
            "hf://datasets/a/b//train",
            "hf://datasets/a/b/c/d/e",
        ] {
            assert!(HubDataset::parse(text).is_err(), "{text}");
        }
    }
}
