//! Arbitrary documents: equivalent spellings are equal, and nothing is lost when a document is
//! written and parsed again.

use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, RngSeed},
};
use serde_json::{Map, Value, json};

use super::PolicyDocument;

/// The same cases on every machine; `PROPTEST_RNG_SEED` and `PROPTEST_CASES` select others.
fn proptest_config() -> Config {
    let asked = Config::default();
    let rng_seed = if asked.rng_seed == RngSeed::Random {
        RngSeed::Fixed(5)
    } else {
        asked.rng_seed
    };
    Config {
        rng_seed,
        failure_persistence: None,
        ..asked
    }
}

/// One of a few words.
fn select_word(words: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::sample::select(words).prop_map(str::to_owned)
}

fn arbitrary_statement() -> impl Strategy<Value = Value> {
    let names = (
        select_word(&["", "A", "B", "C d"]),
        select_word(&["Allow", "Deny"]),
        select_word(&["Action", "NotAction"]),
    );
    let actions = vec(
        select_word(&[
            "s3:GetObject",
            "S3:getobject",
            "s3:PutObject",
            "*",
            "iam:Pass*",
        ]),
        0..4,
    );
    let resources = prop::option::of(vec(
        select_word(&["*", "arn:aws:s3:::b", "arn:aws:s3:::b/db/*", "x"]),
        0..3,
    ));
    let who = prop::option::of(prop_oneof![
        Just(json!("*")),
        Just(json!({})),
        vec(
            select_word(&[
                "*",
                "123456789012",
                "arn:aws:iam::123456789012:root",
                "AROA1"
            ]),
            0..3
        )
        .prop_map(|all| json!({"AWS": all, "Service": ["s"]})),
        vec(select_word(&["*", "123456789012"]), 0..3).prop_map(|all| json!({"AWS": all})),
    ]);
    let values = vec(
        prop_oneof![
            Just(json!(true)),
            Just(json!("true")),
            Just(json!(7)),
            Just(json!("a/*"))
        ],
        0..3,
    );
    let condition = prop::collection::btree_map(
        select_word(&["Bool", "StringLike", "Null"]),
        prop::collection::btree_map(
            select_word(&["aws:SecureTransport", "s3:prefix"]),
            values,
            0..3,
        ),
        0..3,
    );
    (
        names,
        actions,
        resources,
        who,
        condition,
        prop::option::of(0..3),
    )
        .prop_map(
            |((sid, effect, action), actions, resources, who, condition, future)| {
                let mut out =
                    json!({"Sid": sid, "Effect": effect, action: actions, "Condition": condition});
                for (key, value) in [
                    ("Resource", resources.map(|all| json!(all))),
                    ("Principal", who),
                    ("Future", future.map(|number| json!(number))),
                ] {
                    out.as_object_mut()
                        .unwrap()
                        .extend(value.map(|value| (key.to_owned(), value)));
                }
                out
            },
        )
}

/// Numbers that choose between equivalent spellings.
struct SpellingVariation(Vec<usize>);

impl SpellingVariation {
    fn choose_below(&mut self, below: usize) -> usize {
        self.0.rotate_left(1);
        self.0[0] % below.max(1)
    }

    /// An equivalent list: another order, repetitions, other case, a scalar instead of a list.
    fn vary_list(&mut self, value: &Value, caseless: bool) -> Value {
        let mut list = match value {
            Value::Array(list) => list.clone(),
            one => vec![one.clone()],
        };
        if !list.is_empty() {
            let again = list[self.choose_below(list.len())].clone();
            list.extend(vec![again; self.choose_below(3)]);
            let by = self.choose_below(list.len());
            list.rotate_left(by);
        }
        let lower = caseless && self.choose_below(2) == 0;
        let mut list: Vec<Value> = list
            .into_iter()
            .map(|one| match one {
                Value::String(text) if lower => text.to_lowercase().into(),
                Value::Bool(_) | Value::Number(_) if self.choose_below(2) == 0 => {
                    one.to_string().into()
                }
                other => other,
            })
            .collect();
        if list.len() == 1 && self.choose_below(2) == 0 {
            list.remove(0)
        } else {
            Value::Array(list)
        }
    }

    fn vary_statement(&mut self, statement: &Value) -> Value {
        let fields = statement.as_object().unwrap().iter();
        let written = fields.map(|(key, value)| {
            let value = match key.as_str() {
                "Action" | "NotAction" => self.vary_list(value, true),
                "Resource" => self.vary_list(value, false),
                "Condition" => self.vary_conditions(value),
                _ => value.clone(),
            };
            (key.clone(), value)
        });
        Value::Object(written.collect())
    }

    fn vary_conditions(&mut self, condition: &Value) -> Value {
        let lower = self.choose_below(2) == 0;
        let spelt = |key: &str| {
            if lower {
                key.to_lowercase()
            } else {
                key.to_owned()
            }
        };
        let mut out = Map::new();
        for (operator, keys) in condition.as_object().unwrap() {
            let keys = keys.as_object().unwrap().iter();
            let keys: Map<String, Value> = keys
                .map(|(key, values)| (spelt(key), self.vary_list(values, false)))
                .collect();
            out.insert(spelt(operator), Value::Object(keys));
        }
        Value::Object(out)
    }

    fn vary_document(&mut self, statements: &[Value]) -> Value {
        let mut all: Vec<Value> = statements
            .iter()
            .map(|one| self.vary_statement(one))
            .collect();
        let by = self.choose_below(all.len());
        all.rotate_left(by);
        let all = if all.len() == 1 && self.choose_below(2) == 0 {
            all.remove(0)
        } else {
            Value::Array(all)
        };
        json!({"Version": "2012-10-17", "Statement": all})
    }
}

/// Percent-encodes a text, as IAM does.
fn percent_encode(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

proptest! {
    #![proptest_config(proptest_config())]

    #[test]
    fn equivalent_spellings_are_equal(
        statements in vec(arbitrary_statement(), 0..4),
        whim in vec(0_usize..100, 7..40),
    ) {
        let document = json!({"Version": "2012-10-17", "Statement": statements});
        let policy = PolicyDocument::from_json(&document).unwrap();
        let other = PolicyDocument::from_json(&SpellingVariation(whim).vary_document(&statements)).unwrap();
        prop_assert_eq!(&policy, &other);
        prop_assert_eq!(PolicyDocument::diff_lines("p", Some(&policy), Some(&other)), vec![]);
        for text in [policy.to_json_string(), policy.to_json().to_string(), percent_encode(&other.to_json_string())] {
            prop_assert_eq!(PolicyDocument::parse(&text), Ok(policy.clone()));
        }
        let again = PolicyDocument::from_json(&policy.to_json()).unwrap();
        prop_assert_eq!(again.to_json_string(), policy.to_json_string());
    }

    #[test]
    fn the_diff_is_empty_iff_equal(
        a in vec(arbitrary_statement(), 0..4),
        b in vec(arbitrary_statement(), 0..4),
        kept in 0_usize..4,
    ) {
        let mut b = b;
        b.extend(a.iter().take(kept).cloned());
        let read = |all: &[Value]| PolicyDocument::from_json(&json!({"Statement": all})).unwrap();
        let (a, b) = (read(&a), read(&b));
        let lines = PolicyDocument::diff_lines("p", Some(&a), Some(&b));
        prop_assert_eq!(lines.is_empty(), a == b, "{:?}", lines);
        for line in lines {
            prop_assert_ne!(line.from, line.to);
        }
        prop_assert!(!PolicyDocument::diff_lines("p", None, Some(&a)).is_empty());
    }

    #[test]
    fn denials_and_wildcards_are_described(statement in arbitrary_statement()) {
        let policy = PolicyDocument::from_json(&json!({"Statement": statement})).unwrap();
        let words = policy.describe().remove(0);
        let denies = statement["Effect"] == "Deny";
        prop_assert_eq!(
            denies,
            words.contains("never") || words.contains("denied") || words.contains("nobody may ever"),
            "{}", words
        );
        let everything = statement.get("Action").is_some_and(|all| all.as_array().unwrap().contains(&json!("*")));
        let said = ["EVERYTHING (*)", "everything (*)", "anything (*)", "denied everything"];
        prop_assert!(!everything || said.iter().any(|text| words.contains(text)), "{}", words);
    }

    #[test]
    fn nothing_panics(text in "\\PC{0,60}", tail in vec(any::<u8>(), 0..60)) {
        let tail = String::from_utf8_lossy(&tail).into_owned();
        for text in [text.clone(), percent_encode(&text), format!("%{text}"), format!("{{{tail}")] {
            prop_assert!(PolicyDocument::parse(&text).is_err(), "{}", text);
        }
    }
}
