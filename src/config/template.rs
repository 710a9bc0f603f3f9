//! How a prompt and its response become one text.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The layout of samples.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum TemplateChoice {
    /// The model's own chat template.
    Chat,
    /// The layout of Stanford Alpaca.
    Alpaca,
    /// Nothing around prompt and response.
    Raw,
    /// A Jinja file, as Hugging Face's chat templates are.
    File(PathBuf),
}

impl FromStr for TemplateChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<TemplateChoice, String> {
        Ok(match text {
            "" => {
                return Err("it is empty; give `chat`, `alpaca`, `raw` or a Jinja file".to_owned());
            }
            "chat" => TemplateChoice::Chat,
            "alpaca" => TemplateChoice::Alpaca,
            "raw" => TemplateChoice::Raw,
            file => TemplateChoice::File(file.into()),
        })
    }
}

impl fmt::Display for TemplateChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TemplateChoice::Chat => f.write_str("chat"),
            TemplateChoice::Alpaca => f.write_str("alpaca"),
            TemplateChoice::Raw => f.write_str("raw"),
            TemplateChoice::File(path) => path.display().fmt(f),
        }
    }
}

impl TryFrom<String> for TemplateChoice {
    type Error = String;

    fn try_from(text: String) -> Result<TemplateChoice, String> {
        text.parse()
    }
}

impl From<TemplateChoice> for String {
    fn from(choice: TemplateChoice) -> String {
        choice.to_string()
    }
}
