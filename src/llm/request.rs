//! A request for a chat completion, and the key under which its answer is kept.

use serde::Serialize;

use super::answer::Usage;

/// Tokens that a message may cost beside its text, and a conversation beside its messages, by no more.
const TOKENS_AROUND: u64 = 64;

/// The body of a request, as every server that speaks OpenAI's protocol reads it.
#[derive(Clone, Debug, Serialize)]
pub struct Request {
    /// What the server calls the model.
    pub model: String,
    /// The conversation that the answer goes on.
    pub messages: Vec<Message>,
    /// The most tokens of the answer.
    pub max_tokens: u32,
    /// How much the answer is left to chance.
    pub temperature: f64,
    /// The seed of chance, for servers that heed it.
    pub seed: u64,
}

/// A turn of a conversation.
#[derive(Clone, Debug, Serialize)]
pub struct Message {
    /// Who says it.
    pub role: Role,
    /// What.
    pub content: String,
}

/// Who says a message.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Whoever sets the frame.
    System,
    /// Whoever asks.
    User,
    /// The model.
    Assistant,
}

/// Names a request: the first half of the BLAKE3 of its body and its place in the plan.
pub(super) type Key = [u8; 16];

impl Request {
    pub(super) fn body(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts and numbers are JSON")
    }

    /// The most tokens it can cost, as far as can be told from here: no tokenizer makes more tokens of a text than it has bytes,
    /// and templates add a few. A server that adds texts of its own is seen to when it says what a request did cost.
    pub(super) fn tokens_max(&self) -> Usage {
        let texts = self
            .messages
            .iter()
            .map(|message| message.content.len() as u64 + TOKENS_AROUND);
        Usage {
            prompt_tokens: TOKENS_AROUND + texts.sum::<u64>(),
            completion_tokens: self.max_tokens.into(),
        }
    }
}

/// The key of the request with this body at this place of the plan: equal requests are asked as often as they are planned.
pub(super) fn key(body: &[u8], ordinal: u64) -> Key {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&ordinal.to_le_bytes()).update(body);
    *hasher
        .finalize()
        .as_bytes()
        .first_chunk()
        .expect("a hash is longer")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(content: &str) -> Request {
        Request {
            model: "m".to_owned(),
            messages: vec![Message {
                role: Role::User,
                content: content.to_owned(),
            }],
            max_tokens: 7,
            temperature: 0.5,
            seed: 1,
        }
    }

    #[test]
    fn the_body_is_that_of_the_protocol() {
        let body = String::from_utf8(request("Hi").body()).expect("text");
        assert_eq!(
            body,
            r#"{"model":"m","messages":[{"role":"user","content":"Hi"}],"max_tokens":7,"temperature":0.5,"seed":1}"#
        );
        assert_eq!(
            request("Hi").tokens_max(),
            Usage {
                prompt_tokens: 2 + 2 * TOKENS_AROUND,
                completion_tokens: 7,
            }
        );
    }

    #[test]
    fn a_key_is_of_the_body_and_of_its_place() {
        let body = request("Hi").body();
        assert_eq!(key(&body, 3), key(&body, 3));
        assert_ne!(key(&body, 3), key(&body, 4));
        assert_ne!(key(&body, 3), key(&request("Ho").body(), 3));
    }
}
