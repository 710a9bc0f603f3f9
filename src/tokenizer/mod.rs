//! From text to token ids, and which of them the loss counts.

mod counter;
mod jinja;
mod python;
mod template;
mod tojson;

use std::collections::HashSet;
use std::path::PathBuf;

use serde_json::Value as Json;
use tokenizers::{AddedToken, Tokenizer};

use crate::base_model::BaseModel;
use crate::config::TemplateChoice;
use crate::error::{Error, Result};
use crate::sample::Prompt;

pub use counter::TokenCounter;
pub use template::{ChatTemplate, Rendered, TEMPLATE_FILE};

/// The file every fast tokenizer is saved as.
pub const TOKENIZER_FILE: &str = "tokenizer.json";

/// The file that may name more tokens that end a response than the tokenizer does.
pub const GENERATION_CONFIG: &str = "generation_config.json";

/// Files that belong to a tokenizer besides `tokenizer.json`; an adapter carries copies of those its model has.
pub const COMPANION_FILES: [&str; 3] = [
    template::CONFIG_FILE,
    TEMPLATE_FILE,
    "special_tokens_map.json",
];

/// A tokenizer with its chat template and the special tokens of a task.
#[derive(Debug)]
pub struct ChatTokenizer {
    /// Its file, for messages.
    path: PathBuf,
    tokenizer: Tokenizer,
    template: ChatTemplate,
    eos_ids: Vec<u32>,
    /// What is put behind a response whose template ends it with nothing.
    appended_eos: Option<u32>,
    special_ids: Vec<u32>,
    /// Those of the special tokens that the vocabulary had already.
    known_ids: Vec<u32>,
}

/// A sample as the model sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// Token ids.
    pub ids: Vec<u32>,
    /// The first token of the response: tokens from here on are supervised.
    pub response_start: usize,
}

impl ChatTokenizer {
    /// Reads a model's tokenizer and adds `special_tokens` to its vocabulary; one it already has keeps its id. The layout is
    /// the model's own, or Alpaca's where it has none.
    ///
    /// # Errors
    /// When `tokenizer.json` is missing or is not a tokenizer, or when the template cannot be used.
    pub fn read(model: &BaseModel, special_tokens: &[String]) -> Result<ChatTokenizer> {
        ChatTokenizer::laid_out(model, special_tokens, None, None)
    }

    /// Reads a model's tokenizer as [`ChatTokenizer::read`] does, to lay samples out by `template` with a `system` message.
    ///
    /// # Errors
    /// Also where nothing would end a response: neither the template nor a token the model names.
    pub fn laid_out(
        model: &BaseModel,
        special_tokens: &[String],
        template: Option<&TemplateChoice>,
        system: Option<&str>,
    ) -> Result<ChatTokenizer> {
        let bytes = model.required(TOKENIZER_FILE)?;
        let path = model.path(TOKENIZER_FILE);
        let broken = |source| Error::Tokenizer {
            path: path.clone(),
            source,
        };
        let mut tokenizer = Tokenizer::from_bytes(&bytes).map_err(broken)?;
        // Lengths are ours to decide.
        tokenizer.with_truncation(None).map_err(broken)?;
        tokenizer.with_padding(None);
        let known_ids = special_tokens
            .iter()
            .filter_map(|token| tokenizer.token_to_id(token))
            .collect();
        let added = special_tokens
            .iter()
            .map(|token| AddedToken::from(token.as_str(), true));
        tokenizer.add_special_tokens(added).map_err(broken)?;
        let template = ChatTemplate::read(model, template, system)?;
        // As in transformers, a token that the model names is one, also where `tokenizer.json` lists it as a piece like others.
        let listed = markers(&tokenizer);
        let named: Vec<_> = template
            .tokens()
            .filter(|token| {
                tokenizer
                    .token_to_id(token)
                    .is_some_and(|id| !listed.contains(&id))
            })
            .map(|token| AddedToken::from(token, true))
            .collect();
        tokenizer.add_special_tokens(named).map_err(broken)?;
        let id_of = |token: &str| tokenizer.token_to_id(token);
        let special_ids = special_tokens
            .iter()
            .map(|token| id_of(token).expect("added above"))
            .collect();
        let mut eos_ids: Vec<u32> = id_of(template.eos_token()).into_iter().collect();
        eos_ids.extend(generation_eos(model)?);
        eos_ids.sort_unstable();
        eos_ids.dedup();
        let mut read = ChatTokenizer {
            path,
            tokenizer,
            template,
            eos_ids,
            appended_eos: None,
            special_ids,
            known_ids,
        };
        if !read.ends_responses()? {
            let eos = read.id(read.template.eos_token());
            read.appended_eos = Some(eos.ok_or_else(|| Error::NoEnd {
                path: read.template.path().to_owned(),
                config: model.path(template::CONFIG_FILE),
            })?);
        }
        Ok(read)
    }

    /// Whether the template puts something behind a response that no text is taken for.
    fn ends_responses(&self) -> Result<bool> {
        let tried = self.sample(template::TRIAL, template::TRIAL_RESPONSE)?;
        let markers = markers(&self.tokenizer);
        let ends = |id: &u32| markers.contains(id) || self.eos_ids.contains(id);
        Ok(tried.ids[tried.response_start..].iter().any(ends))
    }

    /// Rows a model needs for all tokens but these: one more than the highest of their ids.
    pub fn n_rows_without(&self, ids: &[u32]) -> usize {
        let vocabulary = self.tokenizer.get_vocab(true).into_values();
        let others = vocabulary.filter(|id| !ids.contains(id));
        others.max().map_or(0, |id| id as usize + 1)
    }

    /// The ids of the special tokens, in the order given.
    pub fn special_ids(&self) -> &[u32] {
        &self.special_ids
    }

    /// Whether a special token was in the vocabulary already.
    pub fn is_known(&self, id: u32) -> bool {
        self.known_ids.contains(&id)
    }

    /// The tokens that end a response.
    pub fn eos_ids(&self) -> &[u32] {
        &self.eos_ids
    }

    /// The token that is put behind every response because the template ends them with nothing.
    pub fn appended_eos(&self) -> Option<&str> {
        self.appended_eos.map(|_| self.template.eos_token())
    }

    /// The chat template.
    pub fn template(&self) -> &ChatTemplate {
        &self.template
    }

    /// The id of a token of the vocabulary.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.tokenizer.token_to_id(token)
    }

    /// Bare text, without any token the template or the tokenizer would add.
    ///
    /// # Errors
    /// When the tokenizer cannot take it.
    pub fn text(&self, text: &str) -> Result<Vec<u32>> {
        Ok(self.encode(text)?.get_ids().to_vec())
    }

    /// A prompt up to where the response begins.
    ///
    /// # Errors
    /// When the template refuses it.
    pub fn prompt(&self, prompt: Prompt<'_>) -> Result<Vec<u32>> {
        self.text(&self.template.prompt(prompt)?)
    }

    /// A prompt with its response. Both are tokenised as one text; a token that holds the end of the prompt and the beginning
    /// of the response belongs to the response. Where the template ends a response with nothing, the end-of-sequence token does.
    ///
    /// # Errors
    /// When the template refuses it.
    pub fn sample(&self, prompt: Prompt<'_>, response: &str) -> Result<Encoded> {
        let rendered = self.template.sample(prompt, response)?;
        let encoding = self.encode(&rendered.text)?;
        let response_start = encoding
            .get_offsets()
            .partition_point(|&(_, end)| end <= rendered.prompt_bytes);
        let mut ids = encoding.get_ids().to_vec();
        ids.extend(self.appended_eos);
        Ok(Encoded {
            ids,
            response_start,
        })
    }

    /// The text of token ids, special tokens left out.
    ///
    /// # Errors
    /// When an id is not in the vocabulary.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        self.tokenizer
            .decode(ids, true)
            .map_err(|source| self.failed(source))
    }

    /// The tokenizer as `tokenizer.json`, added tokens included.
    ///
    /// # Errors
    /// When it cannot be serialised.
    pub fn to_json(&self) -> Result<String> {
        self.tokenizer
            .to_string(true)
            .map_err(|source| self.failed(source))
    }

    fn encode(&self, text: &str) -> Result<tokenizers::Encoding> {
        // The template has put in what the text begins and ends with.
        self.tokenizer
            .encode(text, false)
            .map_err(|source| self.failed(source))
    }

    fn failed(&self, source: tokenizers::Error) -> Error {
        Error::Tokenizer {
            path: self.path.clone(),
            source,
        }
    }
}

/// The tokens that are found as a whole before a text is cut into pieces, those of white space left out.
fn markers(tokenizer: &Tokenizer) -> HashSet<u32> {
    let added = tokenizer.get_added_tokens_decoder().into_iter();
    added
        .filter(|(_, token)| !token.content.trim().is_empty())
        .map(|(id, _)| id)
        .collect()
}

fn generation_eos(model: &BaseModel) -> Result<Vec<u32>> {
    let config: Json = model.json(GENERATION_CONFIG)?.unwrap_or(Json::Null);
    let id = |value: &Json| value.as_u64().and_then(|id| u32::try_from(id).ok());
    Ok(match &config["eos_token_id"] {
        Json::Array(ids) => ids.iter().filter_map(id).collect(),
        one => id(one).into_iter().collect(),
    })
}
