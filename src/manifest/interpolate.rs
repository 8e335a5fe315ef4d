//! Replaces `${var.NAME}`, `${env.name}`, `${apps.KEY.name}` and the names on AWS in strings. There
//! is nothing else, because a manifest is data and not a program.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    aws_references::AwsReferences,
    syntax::{
        node::{Diagnostic, FileId, SourceLocation, TomlNode, TomlValue},
        suggest,
    },
};
use crate::model::Address;

/// The values that references can refer to.
#[derive(Default)]
pub(super) struct Scope {
    /// The declared variables.
    pub(super) vars: BTreeMap<String, Variable>,
    /// The environment's name, once it is resolved.
    pub(super) environment: Option<String>,
    /// The apps' names on Fly by key, once they are resolved.
    pub(super) app_names: Option<BTreeMap<String, String>>,
    /// Names and ARNs on AWS, once they are resolved.
    pub(super) aws_references: Option<AwsReferences>,
    /// Files whose strings are not interpolated.
    pub(super) verbatim_files: Vec<FileId>,
    /// Whether `${{ … }}` is an expression of GitHub, which stays as it is.
    pub(super) keeps_github_expressions: bool,
}

/// A declared variable.
#[derive(Clone, Debug, Default)]
pub(super) struct Variable {
    /// Its value; none when neither the command line nor a default gives one.
    pub(super) value: Option<String>,
    /// Its description in the manifest, shown when it has no value.
    pub(super) description: Option<String>,
}

/// What an interpolation found, collected over many calls.
#[derive(Default)]
pub(super) struct InterpolationResult {
    pub(super) errors: Vec<Diagnostic>,
    /// The keys of the apps that were referred to.
    pub(super) referenced_apps: BTreeSet<String>,
    /// The AWS resources that were referred to.
    pub(super) referenced_aws: BTreeSet<Address>,
    /// The number of bytes inserted for references so far.
    pub(super) expanded_bytes: usize,
}

/// The limit on the bytes inserted for all references together: a long variable that is used in
/// many places would fill the memory.
const MAX_EXPANDED_BYTES: usize = 16 * 1024 * 1024;

impl Scope {
    /// Replaces every reference in a value and everything below it.
    pub(super) fn resolve(&self, node: &mut TomlNode, result: &mut InterpolationResult) {
        if self.verbatim_files.contains(&node.location.file)
            && !matches!(node.value, TomlValue::Table(_))
        {
            return;
        }
        match &mut node.value {
            TomlValue::String(text) if text.contains("${") => {
                *text = self.interpolate_string(text, &node.location, result);
            }
            TomlValue::Array(items) => items.iter_mut().for_each(|item| self.resolve(item, result)),
            TomlValue::Table(table) => {
                table
                    .0
                    .iter_mut()
                    .for_each(|entry| self.resolve(&mut entry.node, result));
            }
            _ => {}
        }
    }

    fn interpolate_string(
        &self,
        text: &str,
        location: &SourceLocation,
        result: &mut InterpolationResult,
    ) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some(start) = rest.find("${") {
            if rest[..start].ends_with('$') {
                out.push_str(&rest[..start - 1]);
                out.push_str("${");
                rest = &rest[start + 2..];
                continue;
            }
            out.push_str(&rest[..start]);
            if self.keeps_github_expressions && rest[start..].starts_with("${{") {
                let length = rest[start..].find("}}").map_or(3, |end| end + 2);
                out.push_str(&rest[start..start + length]);
                rest = &rest[start + length..];
                continue;
            }
            let Some(end) = rest[start..].find('}') else {
                let diagnostic = error_at(location, format!("`{}` has no end", &rest[start..]));
                result.errors.push(
                    diagnostic.with_help("close it with `}`, or write `$${` for a plain `${`"),
                );
                return out;
            };
            let reference = rest[start + 2..start + end].trim();
            match self.lookup(reference, location, result) {
                Ok(value) if result.expanded_bytes + value.len() <= MAX_EXPANDED_BYTES => {
                    result.expanded_bytes += value.len();
                    out.push_str(&value);
                }
                Ok(_) => {
                    if result.expanded_bytes <= MAX_EXPANDED_BYTES {
                        let diagnostic = error_at(
                            location,
                            format!("references expand to more than {MAX_EXPANDED_BYTES} bytes"),
                        );
                        result
                            .errors
                            .push(diagnostic.with_help(
                                "keep long strings in a file, and name it with `files`",
                            ));
                    }
                    // Report this once, and insert nothing from here on.
                    result.expanded_bytes = MAX_EXPANDED_BYTES + 1;
                }
                Err(diagnostic) => result.errors.push(*diagnostic),
            }
            rest = &rest[start + end + 1..];
        }
        out + rest
    }

    fn lookup(
        &self,
        reference: &str,
        location: &SourceLocation,
        result: &mut InterpolationResult,
    ) -> Result<String, Box<Diagnostic>> {
        let parts: Vec<&str> = reference.split('.').collect();
        match parts.as_slice() {
            ["var", name] => self.lookup_variable(name, location),
            ["env", "name"] => self.environment.clone().ok_or_else(|| {
                Box::new(
                    error_at(location, "the environment's name cannot refer to itself")
                        .with_help("use `${var.NAME}`"),
                )
            }),
            ["apps", key, "name"] => {
                let apps = self.app_names.as_ref().ok_or_else(|| {
                    Box::new(
                        error_at(location, "an app's name is not known here")
                            .with_help("names and paths may use `${var.…}` and `${env.name}`"),
                    )
                })?;
                let name = apps.get(*key).ok_or_else(|| {
                    let help = suggest::did_you_mean(key, apps.keys().map(String::as_str));
                    Box::new(
                        error_at(location, format!("there is no app `{key}`"))
                            .with_optional_help(help),
                    )
                })?;
                result.referenced_apps.insert((*key).to_owned());
                Ok(name.clone())
            }
            ["aws" | "buckets" | "identities" | "roles", ..] => {
                self.lookup_aws(reference, location, result)
            }
            _ => {
                let diagnostic =
                    error_at(location, format!("`${{{reference}}}` refers to nothing"));
                Err(Box::new(diagnostic.with_help(
                    "there are `${var.NAME}`, `${env.name}`, `${apps.KEY.name}`, `.name`, `.arn` and `.region` of `${buckets.KEY…}`, \
                     `.name` and `.arn` of `${identities.KEY…}` and `${roles.KEY…}`, `${aws.account}` and `${aws.region}`; write \
                     `$${` for a plain `${`",
                )))
            }
        }
    }

    fn lookup_aws(
        &self,
        reference: &str,
        location: &SourceLocation,
        result: &mut InterpolationResult,
    ) -> Result<String, Box<Diagnostic>> {
        let known = self.aws_references.as_ref().ok_or_else(|| {
            Box::new(
                error_at(location, "names on AWS are not known here")
                    .with_help("names and paths may use `${var.…}` and `${env.name}`"),
            )
        })?;
        let found = known.get(reference).ok_or_else(|| {
            let (message, help) = describe_unknown_reference(reference, known);
            Box::new(error_at(location, message).with_optional_help(help))
        })?;
        result.referenced_aws.extend(found.address.clone());
        Ok(found.value.clone())
    }

    fn lookup_variable(
        &self,
        name: &str,
        location: &SourceLocation,
    ) -> Result<String, Box<Diagnostic>> {
        let Some(variable) = self.vars.get(name) else {
            let declare = format!("declare it: [vars] {name} = {{ description = \"…\" }}");
            let help = suggest::nearest(name, self.vars.keys().map(String::as_str))
                .map_or(declare, |near| format!("did you mean `${{var.{near}}}`?"));
            return Err(Box::new(
                error_at(location, format!("there is no variable `{name}`")).with_help(help),
            ));
        };
        variable.value.clone().ok_or_else(|| {
            let about = variable
                .description
                .as_ref()
                .map(|about| format!(" ({about})"))
                .unwrap_or_default();
            Box::new(
                error_at(location, format!("variable `{name}`{about} has no value"))
                    .with_help(format!("{PASS_VAR_HELP}{name}=VALUE")),
            )
        })
    }
}

/// The message and help for a reference to AWS that does not resolve: the resource that does not
/// exist, or the part that it does not have.
fn describe_unknown_reference(reference: &str, known: &AwsReferences) -> (String, Option<String>) {
    let mut parts = reference.splitn(3, '.');
    let (table, key) = (
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
    );
    let noun = match table {
        "buckets" => "bucket",
        "identities" => "identity",
        "roles" => "role",
        _ => {
            let message = format!("`${{{reference}}}` refers to nothing");
            let help = suggest::did_you_mean(reference, known.keys());
            return (message, help);
        }
    };
    let below = |prefix: String| {
        known
            .keys()
            .filter_map(move |name| name.strip_prefix(&prefix))
    };
    let own: BTreeSet<&str> = below(format!("{table}.{key}.")).collect();
    if own.is_empty() {
        let keys: BTreeSet<&str> = below(format!("{table}."))
            .filter_map(|rest| rest.split('.').next())
            .collect();
        let help = suggest::did_you_mean(key, keys.iter().copied());
        let declare = format!("declare it: [{table}.{key}]");
        (
            format!("there is no {noun} `{key}`"),
            help.or(Some(declare)),
        )
    } else {
        let own: Vec<String> = own
            .iter()
            .map(|part| format!("{table}.{key}.{part}"))
            .collect();
        let help = suggest::did_you_mean(reference, own.iter().map(String::as_str));
        (format!("`${{{reference}}}` refers to nothing"), help)
    }
}

/// The prefix of the help for a variable without a value. `ManifestError::missing_variable`
/// searches for it.
pub(super) const PASS_VAR_HELP: &str = "pass --var ";

fn error_at(location: &SourceLocation, message: impl Into<String>) -> Diagnostic {
    Diagnostic {
        message: message.into(),
        location: Some(location.clone()),
        label: String::new(),
        help: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::syntax::node::SourceFiles;

    fn resolve(text: &str) -> (String, Vec<String>) {
        let mut files = SourceFiles::default();
        let file = files.add("x.toml".into(), String::new());
        let variable = Variable {
            value: Some("42".to_owned()),
            description: None,
        };
        let scope = Scope {
            vars: BTreeMap::from([
                ("pr".to_owned(), variable),
                ("tag".to_owned(), Variable::default()),
            ]),
            environment: Some("review-42".to_owned()),
            app_names: Some(BTreeMap::from([(
                "api".to_owned(),
                "harbor-api".to_owned(),
            )])),
            keeps_github_expressions: false,
            aws_references: None,
            verbatim_files: Vec::new(),
        };
        let mut node = TomlNode {
            location: SourceLocation { file, span: 0..0 },
            value: TomlValue::String(text.to_owned()),
        };
        let mut result = InterpolationResult::default();
        scope.resolve(&mut node, &mut result);
        let diagnostics = result
            .errors
            .into_iter()
            .map(|diagnostic| diagnostic.message)
            .collect();
        (node.as_str().unwrap().to_owned(), diagnostics)
    }

    #[test]
    fn references_are_replaced() {
        assert_eq!(resolve("pr-${var.pr}-${env.name}").0, "pr-42-review-42");
        assert_eq!(
            resolve("http://${apps.api.name}.internal").0,
            "http://harbor-api.internal"
        );
    }

    #[test]
    fn dollar_without_brace_is_no_reference() {
        for (text, out) in [
            ("$HOME and $$", "$HOME and $$"),
            ("$${HOME}", "${HOME}"),
            ("${", ""),
        ] {
            assert_eq!(resolve(text).0, out, "{text}");
        }
    }

    #[test]
    fn undefined_references_are_reported() {
        assert_eq!(resolve("${var.rp}").1, ["there is no variable `rp`"]);
        assert_eq!(resolve("${var.tag}").1, ["variable `tag` has no value"]);
        assert_eq!(resolve("${apps.ap.name}").1, ["there is no app `ap`"]);
        assert_eq!(
            resolve("${secrets.X}").1,
            ["`${secrets.X}` refers to nothing"]
        );
    }
}
