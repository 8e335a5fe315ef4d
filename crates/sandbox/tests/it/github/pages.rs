//! Lists in pages.

use serde_json::{Value, json};

use super::support::{GithubSandbox, R, REPOSITORY};

/// The relations in a `Link` header, each with its URL.
fn links(header: &str) -> Vec<(String, String)> {
    header
        .split(", ")
        .filter_map(|link| {
            link.strip_prefix('<')?
                .strip_suffix('"')?
                .split_once(">; rel=\"")
        })
        .map(|(url, relation)| (relation.to_owned(), url.to_owned()))
        .collect()
}

#[tokio::test]
async fn pages_link_to_their_neighbours() {
    let github = GithubSandbox::new().await;
    let pull = github.open_pull("feature");
    for n in 0..5 {
        let comment = json!({ "repository": REPOSITORY, "number": pull, "body": n.to_string() });
        github.setup("comments", comment);
    }
    let path = format!("{R}/issues/{pull}/comments?per_page=2");
    let mut next = Some(path.clone());
    let (mut bodies, mut relations) = (Vec::new(), Vec::new());
    while let Some(path) = next {
        let page = github.get(&path).await;
        let links = links(page.header("link"));
        relations.push(
            links
                .iter()
                .map(|(name, _)| name.clone())
                .collect::<Vec<_>>()
                .join(" "),
        );
        next = links
            .into_iter()
            .find(|(name, _)| name == "next")
            .map(|(_, url)| url);
        let listed = page.assert_status(200);
        bodies.extend(
            listed
                .as_array()
                .unwrap()
                .iter()
                .map(|comment| comment["body"].clone()),
        );
    }
    assert_eq!(json!(bodies), json!(["0", "1", "2", "3", "4"]));
    assert_eq!(
        relations,
        ["next last", "prev next last first", "prev first"]
    );
    let whole = github.get(&format!("{R}/issues/{pull}/comments")).await;
    assert_eq!(whole.header("link"), "");
}

#[tokio::test]
async fn a_page_has_at_most_a_hundred_entries_and_thirty_variables() {
    let github = GithubSandbox::new().await;
    for n in 0..101 {
        github.setup(
            "issues",
            json!({ "repository": REPOSITORY, "title": n.to_string() }),
        );
    }
    let count = |answer: Value| answer.as_array().unwrap().len();
    let listed = async |query: &str| {
        let answer = github.get(&format!("{R}/issues{query}")).await;
        count(answer.assert_status(200))
    };
    assert_eq!(listed("").await, 30);
    assert_eq!(listed("?per_page=1000").await, 100);
    assert_eq!(listed("?per_page=0").await, 30);
    assert_eq!(listed("?per_page=100&page=2").await, 1);
    assert_eq!(listed("?page=99").await, 0);
    let variables: Value = (0..40)
        .map(|n| (format!("V{n}"), Value::from("x")))
        .collect();
    github.setup(
        "variables",
        json!({ "repository": REPOSITORY, "variables": variables }),
    );
    let person = github.token(json!({ "kind": "classic", "repositories": [REPOSITORY] }));
    for (query, shown) in [("", 10), ("?per_page=100", 30)] {
        let path = format!("{R}/actions/variables{query}");
        let answer = github
            .as_token(&person, "GET", &path, Value::Null)
            .await
            .assert_status(200);
        assert_eq!(answer["total_count"], 40);
        assert_eq!(count(answer["variables"].clone()), shown);
    }
}

#[tokio::test]
async fn an_entry_that_is_deleted_between_pages_shifts_the_rest() {
    let github = GithubSandbox::new().await;
    let pull = github.open_pull("feature");
    let mut ids = Vec::new();
    for n in 0..4 {
        let comment = json!({ "repository": REPOSITORY, "number": pull, "body": n.to_string() });
        ids.push(github.setup("comments", comment)["id"].clone());
    }
    let path = format!("{R}/issues/{pull}/comments?per_page=2");
    github.get(&path).await.assert_status(200);
    github.setup(
        "comments/delete",
        json!({ "repository": REPOSITORY, "id": ids[0] }),
    );
    let second = github
        .get(&format!("{path}&page=2"))
        .await
        .assert_status(200);
    assert_eq!(second[0]["body"], "3");
}
