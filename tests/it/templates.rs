use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use delia::base_model::BaseModel;
use delia::config::TemplateChoice;
use delia::error::Error;
use delia::sample::Prompt;
use delia::tokenizer::{ChatTemplate, ChatTokenizer};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::delia::Scratch;
use crate::fit::{fit, own_model, with_shards};

/// What `tests/golden/templates/make.py` asks transformers.
#[derive(Deserialize)]
struct Golden {
    conversations: Vec<Conversation>,
    #[serde(flatten)]
    kinds: BTreeMap<String, Kind>,
}

#[derive(Deserialize)]
struct Conversation {
    instruction: String,
    input: String,
    output: String,
}

/// A family of models: its small tokenizer, and what becomes of the conversations.
#[derive(Deserialize)]
struct Kind {
    base: String,
    #[serde(default)]
    prepend: bool,
    #[serde(default)]
    newlines: bool,
    special: Vec<String>,
    bos: Option<String>,
    eos: String,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    conversation: usize,
    system: Option<String>,
    #[serde(default)]
    ids: Vec<u32>,
    #[serde(default)]
    response_start: usize,
    /// Where it is not the beginning of `ids`.
    prompt: Option<Vec<u32>>,
    refused: Option<String>,
}

fn golden_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/templates")
}

fn golden() -> Golden {
    let text = fs::read(golden_folder().join("golden.json")).expect("golden values");
    serde_json::from_slice(&text).expect("golden values")
}

impl Kind {
    /// The tokenizer as `make.py` makes it too.
    fn tokenizer(&self) -> Value {
        let file = match self.base.as_str() {
            "tiny" => Path::new(env!("CARGO_MANIFEST_DIR")).join("data/model/tiny/tokenizer.json"),
            _ => golden_folder().join("pieces.json"),
        };
        let text = fs::read(file).expect("a tokenizer");
        let mut made: Value = serde_json::from_slice(&text).expect("JSON");
        let vocab = made["model"]["vocab"].as_object_mut().expect("a table");
        if self.newlines {
            vocab.insert("ĊĊ".to_owned(), vocab.len().into());
        }
        let n_pieces = vocab.len();
        let known: Vec<String> = vocab.keys().cloned().collect();
        if self.newlines {
            let merges = made["model"]["merges"].as_array_mut().expect("a list");
            merges.push(json!(["Ċ", "Ċ"]));
        }
        if self.prepend {
            let first = json!({"type": "Prepend", "prepend": "▁"});
            made["normalizer"] =
                json!({"type": "Sequence", "normalizers": [first, made["normalizer"]]});
        }
        let added = made["added_tokens"].as_array_mut().expect("a list");
        let is_new = |token: &&Value| !known.iter().any(|known| token["content"] == known.as_str());
        let n_new = added.iter().filter(is_new).count();
        for (nth, token) in self.special.iter().enumerate() {
            added.push(json!({
                "id": n_pieces + n_new + nth, "content": token, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": true,
            }));
        }
        made
    }

    /// A folder with the tokenizer, its configuration, and where the kind is a family, its template.
    fn model(&self, name: &str, scratch: &Scratch) -> BaseModel {
        let mut config = json!({"eos_token": self.eos});
        if let Some(bos) = &self.bos {
            config["bos_token"] = json!({"content": bos});
        }
        scratch.file("tokenizer.json", self.tokenizer().to_string());
        scratch.file("tokenizer_config.json", config.to_string());
        let template = golden_folder().join(name).join("chat_template.jinja");
        if let Ok(template) = fs::read(template) {
            scratch.file("chat_template.jinja", template);
        }
        BaseModel::named(scratch.path()).expect("a folder")
    }
}

#[test]
fn tokens_and_masks_are_those_of_transformers() {
    let golden = golden();
    for (name, kind) in &golden.kinds {
        let scratch = Scratch::new();
        let model = kind.model(name, &scratch);
        let choice = match name.as_str() {
            "alpaca" => Some(TemplateChoice::Alpaca),
            "raw" => Some(TemplateChoice::Raw),
            _ => Some(TemplateChoice::Chat),
        };
        let read =
            |system: Option<&str>| ChatTokenizer::laid_out(&model, &[], choice.as_ref(), system);
        for case in &kind.cases {
            let conversation = &golden.conversations[case.conversation];
            let tokenizer = read(case.system.as_deref());
            if let Some(words) = &case.refused {
                match tokenizer {
                    Err(Error::Setting { key, problem, .. }) => {
                        assert_eq!(key, "system");
                        assert!(problem.contains(words), "{name}: {problem}");
                    }
                    other => panic!("{name}: {other:?}"),
                }
                continue;
            }
            let tokenizer = tokenizer.expect("a tokenizer");
            assert_eq!(tokenizer.appended_eos(), None, "{name}");
            let prompt = Prompt {
                instruction: &conversation.instruction,
                input: &conversation.input,
            };
            let at = format!("{name}, conversation {}", case.conversation);
            let encoded = tokenizer
                .sample(prompt, &conversation.output)
                .unwrap_or_else(|error| panic!("{at}: {error:?}"));
            assert_eq!(encoded.ids, case.ids, "{at}");
            assert_eq!(encoded.response_start, case.response_start, "{at}");
            let asked = case.ids[..case.response_start].to_vec();
            assert_eq!(
                tokenizer.prompt(prompt).expect("a prompt"),
                *case.prompt.as_ref().unwrap_or(&asked),
                "{at}"
            );
            // What ends the response is learned.
            let eos = tokenizer.id(match name.as_str() {
                "gemma" => "<end_of_turn>",
                _ => kind.eos.as_str(),
            });
            let learned = &encoded.ids[encoded.response_start..];
            let end = learned.iter().rposition(|id| Some(*id) == eos);
            let behind = end.map(|end| &learned[end + 1..]);
            let n_behind = usize::from(matches!(name.as_str(), "gemma" | "chatml"));
            assert_eq!(behind.map(<[u32]>::len), Some(n_behind), "{at}");
        }
    }
}

#[test]
fn a_token_the_model_names_is_one_also_where_the_tokenizer_lists_it_as_a_piece() {
    let golden = golden();
    let kind = &golden.kinds["llama2"];
    let scratch = Scratch::new();
    let model = kind.model("llama2", &scratch);
    let mut tokenizer = kind.tokenizer();
    let added = tokenizer["added_tokens"].as_array_mut().expect("a list");
    added.retain(|token| token["content"] != "</s>");
    scratch.file("tokenizer.json", tokenizer.to_string());
    let tokenizer = ChatTokenizer::read(&model, &[]).expect("a tokenizer");
    let case = &kind.cases[0];
    let conversation = &golden.conversations[case.conversation];
    let prompt = Prompt {
        instruction: &conversation.instruction,
        input: &conversation.input,
    };
    let encoded = tokenizer.sample(prompt, &conversation.output).expect("ids");
    assert_eq!(encoded.ids, case.ids);
}

#[test]
fn a_line_break_that_begins_a_response_is_learned_with_the_header_it_merges_with() {
    let golden = golden();
    let merged: Vec<_> = golden.kinds["chatml"]
        .cases
        .iter()
        .filter(|case| case.prompt.is_some())
        .collect();
    assert!(!merged.is_empty());
    for case in merged {
        assert!(
            golden.conversations[case.conversation]
                .output
                .starts_with("\n\n")
        );
        // The prompt by itself is longer: its last token is part of the first of the response.
        let prompt = case.prompt.as_ref().expect("filtered");
        assert_eq!(prompt.len(), case.response_start + 1);
        assert_eq!(
            prompt[..case.response_start],
            case.ids[..case.response_start]
        );
    }
}

/// `delia-fit` with this template of the user's own.
fn fit_with(scratch: &Scratch, text: impl AsRef<[u8]>) -> crate::delia::Ran {
    scratch.file("own.jinja", text);
    let arguments = ["shards", "--max-steps", "1", "--template", "own.jinja"];
    fit(scratch, &arguments)
}

#[test]
fn a_template_that_does_not_end_is_stopped() {
    let scratch = with_shards();
    let nested = "{% set ns = namespace(x=[]) %}{% for i in range(90000) %}{% set ns.x = [ns.x] %}{% endfor %}";
    let doubled = |name: &str| {
        format!(
            "{{% set {name} = namespace(x=[]) %}}{{% for i in range(60) %}}{{% set {name}.x = [{name}.x, {name}.x] %}}{{% endfor %}}"
        )
    };
    let million = "{% set s = 'a' * 1000000 %}";
    for (text, limit) in [
        (
            "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}",
            "steps of work",
        ),
        ("{{ 'a' * 10**9 }}", "steps of work"),
        ("{{ ('a' * 99999999) | length }}", "steps of work"),
        ("{{ 'a' * 1500000 }}", "bytes of text"),
        (
            "{% for i in range(60000) %}a long text a long text a long text a long text a long text{% endfor %}",
            "steps of work",
        ),
        (
            "{% macro again(x) %}{{ again(x) }}{% endmacro %}{{ again(1) }}",
            "blocks and calls",
        ),
        (
            "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
            "blocks and calls",
        ),
        ("{% include 'own.jinja' %}", "blocks and calls"),
        (&format!("{nested}{{{{ ns.x }}}}"), "steps of work"),
        (&format!("{}{{{{ x.x }}}}", doubled("x")), "bytes of text"),
        (
            &format!("{}{{{{ x.x | string | length }}}}", doubled("x")),
            "steps of work",
        ),
        (
            &format!("{}{{{{ x.x | tojson(sort_keys=true) }}}}", doubled("x")),
            "steps of work",
        ),
        (
            &format!("{million}{{{{ ([s] * 10000) | join | length }}}}"),
            "steps of work",
        ),
        (
            &format!("{million}{{{{ s.join([s] * 10000) | length }}}}"),
            "steps of work",
        ),
        (
            &format!("{million}{{{{ s.replace('a', s) | length }}}}"),
            "steps of work",
        ),
        // What the steps do not count is stopped by the clock.
        (
            &format!("{}{}{{{{ x.x == y.x }}}}", doubled("x"), doubled("y")),
            "5 seconds",
        ),
    ] {
        fit_with(&scratch, text).fails(
            1,
            &[
                "the chat template `own.jinja` is stopped: a rendering takes more than",
                limit,
                "--template",
            ],
        );
    }
    for (text, problem) in [
        (
            "{{ range(10**9) | list }}",
            "range has too many elements (in own.jinja:1)",
        ),
        (
            "{{ '{:>1000000000}'.format('a') }}",
            "a field wider than 1000",
        ),
        ("{{ [1] | tojson(indent=1000000000) }}", "own.jinja:1"),
        (&"(".repeat(50_000), "does not begin"),
        (&format!("{{{{ {}", "(".repeat(50_000)), "maximum recursion"),
        (&"{% if 1 %}".repeat(20_000), "maximum recursion"),
        (
            &format!("{{{{ 1{} }}}}", "+1".repeat(50_000)),
            "does not begin",
        ),
        (
            &format!("{}{{{{ ns.x | tojson }}}}", nested.replace("90000", "100")),
            "lists in each other",
        ),
        (&" ".repeat(300 << 10), "has more than 262144 bytes"),
    ] {
        let text = if problem == "does not begin" {
            // A harmless text is used as it is; an answer that begins otherwise shows that it was rendered.
            format!("{text}{{{{ add_generation_prompt }}}}")
        } else {
            text.to_owned()
        };
        fit_with(&scratch, text).fails(1, &["own.jinja", problem]);
    }
}

#[test]
fn a_sample_that_a_template_refuses_is_named() {
    let scratch = with_shards();
    let refuses = "{% if 'task' in messages[0].content %}{{ raise_exception('no tasks') }}{% endif %}{% for m in messages %}[{{ m.content }}]{% endfor %}";
    let problems = [
        "the sample at position ",
        "of the stream cannot be laid out",
        "it refuses: no tasks",
        "--template",
    ];
    fit_with(&scratch, refuses).fails(1, &problems);
}

#[test]
fn long_messages_are_no_endless_ones() {
    let golden = golden();
    let long = "word, another “word” and a\nline; ".repeat(100_000);
    for name in ["llama2", "llama3", "gemma", "chatml", "mistral"] {
        let scratch = Scratch::new();
        golden.kinds[name].model(name, &scratch);
        let model = BaseModel::named(scratch.path()).expect("a folder");
        let template = ChatTemplate::read(&model, None, None).expect("a template");
        let prompt = Prompt {
            instruction: &long,
            input: &long,
        };
        let rendered = template.sample(prompt, &long).expect("rendered");
        assert!(rendered.text.len() > 2 * long.len(), "{name}");
    }
}

#[test]
fn a_template_that_cannot_be_used_is_named() {
    let scratch = with_shards();
    let with = |arguments: &[&str]| {
        fit(
            &scratch,
            &[&["shards", "--max-steps", "1"], arguments].concat(),
        )
    };
    with(&["--template", "nowhere.jinja"]).fails(
        2,
        &["template: there is no file `nowhere.jinja`", "`alpaca`"],
    );
    with(&["--template", "shards"]).fails(1, &["could not read `shards`"]);
    with(&["--template", ""]).fails(2, &["--template"]);
    if Path::new("/dev/zero").exists() {
        with(&["--template", "/dev/zero"]).fails(1, &["has more than 262144 bytes"]);
    }
    for (text, problem) in [
        (&b"\xff\xfe{{ x }}"[..], "it is not UTF-8"),
        (b"line\n{% for %}", "syntax error"),
        (b"line\n{% for %}", "(in own.jinja:2)"),
        (b"a\nb\n{{ 'x' | frobnicate }}", "(in own.jinja:3)"),
        (
            b"{{ messages[-1].content }}",
            "a rendered answer does not begin with the rendered prompt",
        ),
        (
            b"{{ raise_exception('not today') }}",
            "it refuses: not today",
        ),
        (b"{{ strftime_now('%Y') }}", "`strftime_now`"),
    ] {
        fit_with(&scratch, text).fails(
            1,
            &[
                "the chat template `own.jinja` cannot be used",
                problem,
                "--template",
            ],
        );
    }
}

#[test]
fn a_system_message_without_a_place_is_refused() {
    let scratch = with_shards();
    scratch.file(
        "deaf.jinja",
        "{% for m in messages if m.role != 'system' %}{{ m.content }}{% endfor %}{% if not add_generation_prompt %}<|end|>{% endif %}",
    );
    let asked = ["shards", "--max-steps", "1", "--template", "deaf.jinja"];
    let asked = |more: &[&str]| fit(&scratch, &[&asked, more].concat());
    asked(&["--system", "Be brief."]).fails(
        2,
        &[
            "system: the chat template `deaf.jinja` ignores the system message",
            "leave it out",
        ],
    );
    asked(&[]).ok();
}

#[test]
fn a_response_that_ends_with_nothing_gets_an_end() {
    let scratch = with_shards();
    let endless = "{% for m in messages %}{{ m.role + ': ' + m.content + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}";
    let said = fit_with(&scratch, endless);
    said.ok();
    let note = "the chat template puts no end behind a response: `<|end|>` is put there";
    assert!(said.stderr().contains(note), "{}", said.stderr());

    let model = own_model(&scratch);
    let bundled = BaseModel::named(&model).expect("a folder");
    let choice = TemplateChoice::File(scratch.path().join("own.jinja"));
    let tokenizer =
        ChatTokenizer::laid_out(&bundled, &[], Some(&choice), None).expect("a tokenizer");
    let prompt = Prompt {
        instruction: "Say it.",
        input: "",
    };
    for response in ["It.", ""] {
        let encoded = tokenizer.sample(prompt, response).expect("ids");
        assert_eq!(encoded.ids.last(), tokenizer.id("<|end|>").as_ref());
        assert!(encoded.response_start < encoded.ids.len());
    }

    let config = |eos: &str| json!({"bos_token": "<|begin|>", "eos_token": eos}).to_string();
    for (eos, template) in [
        ("", "own.jinja"),
        ("</nowhere>", "own.jinja"),
        ("", "alpaca"),
        ("", "raw"),
    ] {
        let config = if eos.is_empty() {
            "{}".to_owned()
        } else {
            config(eos)
        };
        scratch.file("model/tokenizer_config.json", config);
        let arguments = [
            "shards",
            "--model",
            "model",
            "--template",
            template,
            "--fresh",
        ];
        fit(&scratch, &arguments).fails(
            1,
            &[
                &format!("`{template}` puts no end behind a response"),
                "`model/tokenizer_config.json` names no `eos_token`",
            ],
        );
    }
}

#[test]
fn the_layout_is_a_setting_of_the_fit() {
    let scratch = with_shards();
    own_model(&scratch);
    scratch.file(
        "recipes/mine.jinja",
        fs::read(scratch.path().join("model/chat_template.jinja")).expect("a template"),
    );
    scratch.file(
        "recipes/mine.toml",
        "[fit]\nmodel = \"../model\"\ntemplate = \"mine.jinja\"\nsystem = \"Be brief.\"\nmax-steps = 1\n",
    );
    let recipe = ["shards", "--recipe", "recipes/mine.toml"];
    let with = |more: &[&str]| fit(&scratch, &[&recipe, more].concat());
    with(&[]).ok();
    let run = fs::read_to_string(scratch.path().join("adapter/run.toml")).expect("run.toml");
    for line in [
        "template = \"recipes/mine.jinja\"",
        "system = \"Be brief.\"",
        "chat-template = ",
    ] {
        assert!(run.contains(line), "`{line}` is not in:\n{run}");
    }
    // The same template in another place is the same fit.
    assert!(with(&["--template", "chat"]).ok().contains("up to date"));
    with(&["--template", "alpaca"]).fails(
        1,
        &["another fit: `template` was \"recipes/mine.jinja\", now it is \"alpaca\""],
    );
    with(&["--system", "Be long."])
        .fails(1, &["`system` was \"Be brief.\", now it is \"Be long.\""]);
    // Its content decides, not its name.
    let own = scratch.path().join("recipes/mine.jinja");
    let text = fs::read_to_string(&own).expect("a template");
    fs::write(&own, format!("{{{{ '' }}}}{text}")).expect("written");
    with(&[]).fails(
        1,
        &["another fit: the chat template is not the one it was begun with"],
    );
    with(&["--fresh"]).ok();
    let adapter = scratch.path().join("adapter");
    assert_eq!(
        fs::read_to_string(adapter.join("chat_template.jinja")).expect("a template"),
        fs::read_to_string(&own).expect("a template"),
        "the adapter brings the layout it learned"
    );
}

#[test]
fn a_model_without_a_template_is_laid_out_as_alpaca_and_says_so() {
    let scratch = with_shards();
    let model = own_model(&scratch);
    fs::remove_file(model.join("chat_template.jinja")).expect("removed");
    let with = |more: &[&str]| {
        let arguments = ["shards", "--model", "model", "--max-steps", "1"];
        fit(&scratch, &[&arguments, more].concat())
    };
    with(&["--template", "chat"]).fails(
        2,
        &[
            "template: the model `model/` has no chat template",
            "`alpaca`",
        ],
    );
    let said = with(&[]);
    said.ok();
    let note = "the model has no chat template: prompts and responses are laid out as Alpaca's";
    assert!(said.stderr().contains(note), "{}", said.stderr());
    let adapter = scratch.path().join("adapter/chat_template.jinja");
    let template = fs::read_to_string(adapter).expect("a template");
    assert!(template.contains("### Instruction:"), "{template}");
    let said = with(&["--template", "alpaca"]);
    assert!(said.ok().contains("up to date"));
    assert!(
        !said.stderr().contains("has no chat template"),
        "{}",
        said.stderr()
    );
    with(&["--template", "raw", "--out", "raw"]).ok();
}
