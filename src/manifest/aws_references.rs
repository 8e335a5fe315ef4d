//! Resolves `${buckets.KEY.…}`, `${identities.KEY.arn}`, `${roles.KEY.arn}` and `${aws.…}`. Names
//! on AWS follow from the manifest, and ARNs from names, so every value is known before any
//! resource exists.

use std::collections::BTreeMap;

use super::syntax::node::{TomlNode, TomlTable};
use crate::{
    kinds::aws::{Bucket, Role, role},
    model::{Address, Name, OwnershipMark},
};

/// The value of a reference, and the resource it refers to; none for `${aws.…}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AwsReference {
    pub(super) value: String,
    pub(super) address: Option<Address>,
}

/// Every AWS reference of an environment, by its text, such as `buckets.backups.arn`.
#[derive(Clone, Debug, Default)]
pub(super) struct AwsReferences(BTreeMap<String, AwsReference>);

/// The prefix of all default bucket names in an environment.
pub(super) fn bucket_name_prefix(mark: &OwnershipMark) -> String {
    format!("{}-{}-", mark.project, mark.environment)
}

/// The default name of a bucket. Bucket names are unique in all of AWS, so it contains the account.
pub(super) fn default_bucket_name(mark: &OwnershipMark, key: &str, account: &str) -> String {
    format!("{}{key}-{account}", bucket_name_prefix(mark)).replace('_', "-")
}

/// The default name of a role. Role names are unique within an account.
pub(super) fn default_role_name(mark: &OwnershipMark, key: &str) -> String {
    format!("{}-{}-{key}", mark.project, mark.environment)
}

impl AwsReferences {
    /// Collects the references of a document in which the names themselves are already resolved.
    pub(super) fn from_root(root: &TomlNode, mark: &OwnershipMark) -> Self {
        let mut out = Self::default();
        let of_aws = |key| {
            string_value(root.as_table().and_then(|root| root.get("aws")), key).unwrap_or_default()
        };
        let (account, region) = (of_aws("account"), of_aws("region"));
        let mut add = |name: String, value: String, address: Option<&Address>| {
            out.0.insert(
                name,
                AwsReference {
                    value,
                    address: address.cloned(),
                },
            );
        };
        add("aws.account".to_owned(), account.clone(), None);
        add("aws.region".to_owned(), region.clone(), None);
        for (key, node) in subtables(root, "buckets") {
            let Ok(name) = Name::parse(key) else { continue };
            let address = Address::new::<Bucket>(&name);
            let name = string_value(Some(node), "name")
                .unwrap_or_else(|| default_bucket_name(mark, key, &account));
            let bucket_region =
                string_value(Some(node), "region").unwrap_or_else(|| region.clone());
            add(
                format!("buckets.{key}.arn"),
                format!("arn:aws:s3:::{name}"),
                Some(&address),
            );
            add(
                format!("buckets.{key}.region"),
                bucket_region,
                Some(&address),
            );
            add(format!("buckets.{key}.name"), name, Some(&address));
        }
        for table in ["identities", "roles"] {
            for (key, node) in subtables(root, table) {
                let Ok(name) = Name::parse(key) else { continue };
                let address = Address::new::<Role>(&name);
                let name = string_value(Some(node), "name")
                    .unwrap_or_else(|| default_role_name(mark, key));
                let arn = format!("arn:aws:iam::{account}:role{}{name}", role::role_path(mark));
                add(format!("{table}.{key}.arn"), arn, Some(&address));
                add(format!("{table}.{key}.name"), name, Some(&address));
            }
        }
        out
    }

    /// Looks up a reference such as `buckets.backups.name`.
    pub(super) fn get(&self, reference: &str) -> Option<&AwsReference> {
        self.0.get(reference)
    }

    /// The texts of all references, for suggestions.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> + Clone {
        self.0.keys().map(String::as_str)
    }

    /// The value of a reference; empty when it does not exist.
    pub(super) fn value_or_empty(&self, reference: &str) -> String {
        self.get(reference)
            .map(|reference| reference.value.clone())
            .unwrap_or_default()
    }
}

fn string_value(node: Option<&TomlNode>, key: &str) -> Option<String> {
    node?.as_table()?.get(key)?.as_str().map(str::to_owned)
}

fn subtables<'a>(root: &'a TomlNode, key: &str) -> impl Iterator<Item = (&'a str, &'a TomlNode)> {
    let table = root
        .as_table()
        .and_then(|root| root.get(key))
        .and_then(TomlNode::as_table);
    table
        .into_iter()
        .flat_map(|TomlTable(entries)| entries)
        .map(|entry| (entry.key.as_str(), &entry.node))
}
