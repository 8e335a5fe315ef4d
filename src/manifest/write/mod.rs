//! Writes manifests: the text that a live app would have. Each kind says what it is in the manifest's own words; `document`
//! lays it out.

mod app;
mod document;
mod groups;
mod services;

use document::{Entry, Node};
use serde_json::json;

pub use app::{LiveAppText, WrittenApp};

/// Where a new manifest finds its schema, relative to its folder.
pub const SCHEMA_PATH: &str = "../schema/environment.schema.json";

/// The head of a manifest: what everything in it belongs to.
#[derive(Clone, Debug)]
pub struct ManifestHead {
    /// The project.
    pub project: String,
    /// The environment.
    pub environment: String,
    /// The organization on Fly.
    pub org: String,
    /// The key of the app.
    pub key: String,
}

impl ManifestHead {
    /// The key of an app that has this name on Fly: what its name says besides project and environment.
    #[must_use]
    pub fn key_of(name: &str, project: &str, environment: &str) -> String {
        let rest = name.strip_suffix(environment).unwrap_or(name);
        let rest = rest.strip_prefix(project).unwrap_or(rest);
        match rest.trim_matches('-') {
            "" => "web".to_owned(),
            rest => rest.to_owned(),
        }
    }

    /// A name for a project or an environment that is made of another text.
    #[must_use]
    pub fn slug(text: &str) -> String {
        let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let lower = text.to_lowercase();
        let words = lower
            .split(|c| !is_allowed(c))
            .filter(|word| !word.is_empty());
        words.collect::<Vec<_>>().join("-")
    }

    fn text(&self) -> String {
        let Self {
            project,
            environment,
            org,
            key: _,
        } = self;
        format!(
            "#:schema {SCHEMA_PATH}\n\
             # The environment `{environment}`: its name is this file's. `trimtab plan {environment}` shows what differs from what runs,\n\
             # and writes nothing; `trimtab apply {environment}` shows it as well, asks, and does it.\n\
             \n\
             # Every resource is marked with the project and the environment, so that trimtab never touches another's.\n\
             project = {}\n\
             \n\
             [fly]\n\
             org = {}\n\
             # The token is read from FLY_API_TOKEN, or from the variable that is named here:\n\
             # token = {{ env = \"FLY_API_TOKEN_{}\" }}\n",
            document::string(project),
            document::string(org),
            environment.to_uppercase().replace('-', "_"),
        )
    }
}

/// The manifest of a live app.
#[must_use]
pub fn live_app(head: &ManifestHead, app: &WrittenApp) -> String {
    let mut text = head.text();
    let header = ["apps".to_owned(), head.key.clone()];
    text += &document::render(&header, &app.entries);
    text
}

/// The manifest of an app that keeps its fly.toml. `groups` has the machines of each process group by region.
#[must_use]
pub fn fly_toml_app(
    head: &ManifestHead,
    config: &str,
    groups: &[(String, Vec<(String, u32)>)],
) -> String {
    let mut entries = vec![
        Entry::value("config", json!(config)).with_comment(
            "The app keeps its fly.toml. What stands here besides overrides it, and says what a fly.toml cannot.",
        ),
    ];
    let machines = groups.iter().map(|(group, counts)| {
        let counts = counts
            .iter()
            .map(|(region, count)| (region.clone(), json!(count)));
        let count = json!(counts.collect::<serde_json::Map<_, _>>());
        Entry::table(group, vec![Entry::value("count", count)])
    });
    let mut machines: Vec<Entry> = machines.collect();
    if let Some(first) = machines.first_mut() {
        *first = std::mem::take(first).with_comment(
            "How many machines each process group has in which region. `fly deploy` makes two where it can: write what is to be.",
        );
    }
    entries.push(Entry::new("machines", Node::Table(machines)));
    let mut text = head.text();
    text += &document::render(&["apps".to_owned(), head.key.clone()], &entries);
    text + &secrets_example(&head.key)
}

/// The manifest of an app that does not exist yet. With a `context` there is a Dockerfile to build.
#[must_use]
pub fn new_app(head: &ManifestHead, name: &str, context: Option<&str>) -> String {
    let mut entries = vec![
        Entry::value("name", json!(name)).with_comment("The name on Fly, where names are unique over everybody's apps."),
        Entry::value("primary_region", json!("iad"))
            .with_comment("Where machines run unless they say otherwise: `fly platform regions` lists the regions."),
    ];
    match context {
        Some(context) => entries.push(
            Entry::table("build", vec![Entry::value("context", json!(context))]).with_comment(
                "`trimtab build` and `apply --build` build the image with flyctl, and push it. `builder` takes docker as well.",
            ),
        ),
        None => entries.push(
            Entry::value("image", json!("nginx:1.29"))
                .with_comment("The image that machines run; a plan looks up its digest. `--image` overrides it."),
        ),
    }
    entries.push(
        Entry::table(
            "http_service",
            vec![
                Entry::value("internal_port", json!(if context.is_some() { 8080 } else { 80 })),
                Entry::value("force_https", json!(true)),
            ],
        )
        .with_comment("The keys of fly.toml have the same names here. `internal_port` is the one that the app listens on."),
    );
    let group = Entry::table(
        "app",
        vec![
            Entry::value("count", json!({ "iad": 1 })),
            Entry::value("memory", json!("512mb")),
        ],
    );
    entries.push(Entry::new(
        "machines",
        Node::Table(vec![group.with_comment(
            "A process group: how many machines, where, how large.",
        )]),
    ));
    let mut text = head.text();
    text += &document::render(&["apps".to_owned(), head.key.clone()], &entries);
    text + &secrets_example(&head.key)
}

/// How secrets are named. The app's own are not known here.
fn secrets_example(key: &str) -> String {
    format!(
        "\n# Secrets by name, and where each value comes from; a manifest never has the values:\n\
         # [apps.{key}.secrets]\n\
         # DATABASE_URL = {{ env = \"DATABASE_URL\" }}\n"
    )
}
