//! fly.json has positions like fly.toml, and YAML is rejected with an explanation.

use serde_json::json;

use crate::fly_toml::common::parse_and_modernise;

#[test]
fn values_keep_their_positions() {
    let text = "{\n  \"app\": \"caf\\u00e9 \\\"x\\\"\",\n  \"env\": {\"A\": 1, \"B\": null, \"C\": 0.5, \"A\": 2},\n  \
                \"kill_timeout\": 5, \"processes\": [],\n  \"http_service\": {\"internal_port\": \"80\"}\n}\n";
    let read = parse_and_modernise("fly.json", text);
    assert_eq!(
        read.json(),
        json!({"app": "café \"x\"", "env": {"A": "2", "C": "0.5"}, "kill_timeout": "5s", "http_service": {}})
    );
    assert_eq!(
        read.errors(),
        [
            "5:37: `internal_port` in `http_service` must be an integer (this is a string); write 80, without quotes"
        ]
    );
}

#[test]
fn syntax_error_has_position() {
    assert_eq!(
        parse_and_modernise("fly.json", "{\n  \"app\": }").errors(),
        ["2:10: this is not JSON (expected value at line 2 column 10)"]
    );
    assert_eq!(
        parse_and_modernise("fly.json", "").errors(),
        ["1:1: this is not JSON (EOF while parsing a value at line 1 column 0)"]
    );
    assert_eq!(
        parse_and_modernise("fly.json", "[1]").errors(),
        ["1:1: a fly.toml is a table of keys (this is a list)"]
    );
    let deep = "[".repeat(5000);
    assert_eq!(parse_and_modernise("fly.json", &deep).errors().len(), 1);
}

#[test]
fn yaml_is_rejected() {
    for name in ["fly.yaml", "fly.yml"] {
        assert_eq!(
            parse_and_modernise(name, "app: a").errors(),
            [
                "1:1: YAML is not supported (a fly.yaml); keep the file as fly.toml or fly.json; both take the same keys"
            ]
        );
    }
}
