//! Which language model is asked, and what may be spent on it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use url::Url;

use crate::error::{Error, Result};

use super::BuildTable;

/// Picodollars a token, of a price of one dollar a million tokens.
const PICODOLLARS: f64 = 1e6;
/// And in a dollar.
const PICODOLLARS_PER_USD: f64 = 1e12;
/// The highest cap that can be meant.
const MAX_USD: f64 = 1e9;

/// The highest price that can be meant: a cent a token.
const MAX_USD_PER_MTOK: f64 = 10_000.0;

/// How much answers are left to chance: as much as models are made for.
pub const DEFAULT_TEMPERATURE: f64 = 1.0;
/// The most there may be, as servers have it.
const MAX_TEMPERATURE: f64 = 2.0;
/// The most tokens of an answer.
pub const DEFAULT_ANSWER_TOKENS: u32 = 2_048;

/// The language model that is asked. Everything in it decides what is answered, or how much.
#[derive(Clone, Debug, PartialEq)]
pub struct LlmConfig {
    /// The base address of a server that speaks OpenAI's protocol.
    pub endpoint: Url,
    /// What the server calls the model.
    pub model: String,
    /// How much answers are left to chance.
    pub temperature: f64,
    /// The most tokens of an answer.
    pub answer_tokens: u32,
    /// What a plan may cost.
    pub caps: Caps,
    /// The cap in dollars, as given.
    budget_usd: Option<f64>,
}

impl LlmConfig {
    /// The model that the settings name; `None` where they name neither a server nor a model.
    ///
    /// # Errors
    /// For one of both alone, an address that is none, a cap that cannot be held.
    pub(super) fn new(table: &BuildTable) -> Result<Option<LlmConfig>> {
        let refuse = |key, problem: String, hint: &str| {
            Err(Error::Setting {
                key,
                problem,
                hint: hint.to_owned(),
            })
        };
        let (endpoint, model) = match (&table.endpoint, &table.llm_model) {
            (Some(endpoint), Some(model)) => (endpoint, model.clone()),
            (None, None) => return Ok(None),
            (Some(_), None) => {
                return refuse(
                    "llm-model",
                    "`--endpoint` names a server and nothing names the model".to_owned(),
                    "what the server calls it",
                );
            }
            (None, Some(_)) => {
                return refuse(
                    "endpoint",
                    "`--llm-model` names a model and nothing names the server".to_owned(),
                    "such as `http://localhost:8000/v1`",
                );
            }
        };
        let temperature = table.temperature.unwrap_or(DEFAULT_TEMPERATURE);
        if !(0.0..=MAX_TEMPERATURE).contains(&temperature) {
            return refuse(
                "temperature",
                format!("between 0 and {MAX_TEMPERATURE}, got {temperature}"),
                "the default is 1",
            );
        }
        let answer_tokens = table.answer_tokens.unwrap_or(DEFAULT_ANSWER_TOKENS);
        if answer_tokens == 0 {
            return refuse(
                "answer-tokens",
                "at least 1, got 0".to_owned(),
                "the default is 2048",
            );
        }
        let budget_usd = table.budget_usd;
        if budget_usd.is_some() && table.usd_per_mtok.is_none() {
            return refuse(
                "budget-usd",
                "a cap in dollars cannot be held without prices".to_owned(),
                "`--usd-per-mtok IN,OUT` gives them, in dollars a million tokens",
            );
        }
        if let Some(usd) = budget_usd.filter(|usd| !(0.0..=MAX_USD).contains(usd)) {
            return refuse(
                "budget-usd",
                format!("between 0 and {MAX_USD}, got {usd}"),
                "in dollars",
            );
        }
        Ok(Some(LlmConfig {
            endpoint: address(endpoint)?,
            model,
            temperature,
            answer_tokens,
            caps: Caps {
                tokens: table.budget_tokens,
                picodollars: budget_usd.map(|usd| (usd * PICODOLLARS_PER_USD).round() as u128),
                prices: table.usd_per_mtok,
            },
            budget_usd,
        }))
    }

    /// Writes the settings into the frozen recipe.
    pub(super) fn freeze(&self, table: &mut BuildTable) {
        table.endpoint = Some(self.endpoint.to_string());
        table.llm_model = Some(self.model.clone());
        table.temperature = Some(self.temperature);
        table.answer_tokens = Some(self.answer_tokens);
        table.budget_tokens = self.caps.tokens;
        table.budget_usd = self.budget_usd;
        table.usd_per_mtok = self.caps.prices;
    }
}

/// It will stand in the recipe and in reports.
fn address(text: &str) -> Result<Url> {
    let refuse = |problem: String, hint: &str| {
        Err(Error::Setting {
            key: "endpoint",
            problem,
            hint: hint.to_owned(),
        })
    };
    match Url::parse(text) {
        Ok(url) if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() => refuse(
            "the address holds a name, a password or a query, which would stand in `recipe.toml`".to_owned(),
            "a key belongs into the environment variable that `--api-key-env` names",
        ),
        Ok(url) if ["http", "https"].contains(&url.scheme()) && url.has_host() => Ok(url),
        _ => refuse(format!("`{text}` is no address of a server"), "such as `http://localhost:8000/v1`"),
    }
}

/// Hard caps of what a plan of requests may cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Caps {
    /// Tokens of requests and answers.
    pub tokens: Option<u64>,
    /// Millionths of a millionth of a dollar.
    pub picodollars: Option<u128>,
    /// What tokens cost.
    pub prices: Option<Prices>,
}

/// What a token costs, in millionths of a millionth of a dollar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Prices {
    /// A token of a request.
    pub input: u64,
    /// A token of an answer.
    pub output: u64,
}

impl FromStr for Prices {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Prices, String> {
        let price = |text: &str| {
            let price: f64 = text.trim().parse().ok()?;
            (0.0..=MAX_USD_PER_MTOK)
                .contains(&price)
                .then(|| (price * PICODOLLARS).round() as u64)
        };
        let prices = text
            .split_once(',')
            .and_then(|(input, output)| Some((price(input)?, price(output)?)));
        let (input, output) = prices.ok_or_else(|| {
            format!(
                "`{text}` is no pair of prices such as `0.15,0.60`, in dollars a million tokens"
            )
        })?;
        Ok(Prices { input, output })
    }
}

impl fmt::Display for Prices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [input, output] = [self.input, self.output].map(|price| price as f64 / PICODOLLARS);
        write!(f, "{input},{output}")
    }
}

impl TryFrom<String> for Prices {
    type Error = String;

    fn try_from(text: String) -> std::result::Result<Prices, String> {
        text.parse()
    }
}

impl From<Prices> for String {
    fn from(prices: Prices) -> String {
        prices.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> BuildTable {
        BuildTable {
            endpoint: Some("http://localhost:8000/v1".to_owned()),
            llm_model: Some("m".to_owned()),
            ..BuildTable::default()
        }
    }

    #[test]
    fn settings_that_cannot_be_held_are_refused() {
        let with = |change: fn(&mut BuildTable)| {
            let mut table = table();
            change(&mut table);
            LlmConfig::new(&table)
        };
        let llm = with(|_| ()).expect("fits").expect("a model");
        assert_eq!(
            (llm.temperature, llm.answer_tokens, llm.caps),
            (1.0, 2_048, Caps::default())
        );
        assert_eq!(
            with(|table| (table.endpoint, table.llm_model) = (None, None)).expect("fits"),
            None
        );
        type Change = fn(&mut BuildTable);
        let refused: [(Change, &str); 8] = [
            (|table| table.llm_model = None, "llm-model"),
            (|table| table.endpoint = None, "endpoint"),
            (
                |table| table.endpoint = Some("localhost:8000".to_owned()),
                "no address",
            ),
            (
                |table| table.endpoint = Some("http://me:secret@host/v1".to_owned()),
                "holds a name",
            ),
            (|table| table.temperature = Some(3.0), "temperature"),
            (|table| table.answer_tokens = Some(0), "answer-tokens"),
            (|table| table.budget_usd = Some(1.0), "without prices"),
            (
                |table| (table.budget_usd, table.usd_per_mtok) = (Some(-1.0), "1,1".parse().ok()),
                "between 0",
            ),
        ];
        for (change, problem) in refused {
            let error = with(change).unwrap_err().to_string();
            assert!(
                error.contains(problem) && !error.contains("secret"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_frozen_model_is_the_same_again() {
        let mut given = table();
        given.budget_usd = Some(0.25);
        given.usd_per_mtok = "0.15,0.6".parse().ok();
        let llm = LlmConfig::new(&given).expect("fits").expect("a model");
        assert_eq!(llm.caps.picodollars, Some(250_000_000_000));
        let mut frozen = BuildTable::default();
        llm.freeze(&mut frozen);
        assert_eq!(LlmConfig::new(&frozen).expect("fits"), Some(llm));
    }

    #[test]
    fn prices_are_exact_and_written_as_they_are_read() {
        let prices: Prices = "0.15, 0.60".parse().expect("prices");
        assert_eq!((prices.input, prices.output), (150_000, 600_000));
        assert_eq!(prices.to_string(), "0.15,0.6");
        assert_eq!(prices.to_string().parse(), Ok(prices));
        for wrong in ["", "1", "1,", "-1,2", "NaN,1", "1,2,3", "20000,1"] {
            assert!(wrong.parse::<Prices>().is_err(), "{wrong}");
        }
    }
}
