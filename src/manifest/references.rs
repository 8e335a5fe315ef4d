//! What `${buckets.KEY.…}`, `${identities.KEY.arn}`, `${roles.KEY.arn}` and `${aws.…}` mean. Names on AWS follow from the
//! manifest, and ARNs from names, so all of them are known before anything exists.

use std::collections::BTreeMap;

use super::node::{Node, Table};
use crate::{
    kinds::aws::{Bucket, Role, role},
    model::{Address, Mark, Name},
};

/// A reference's value, and the resource that it points at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reference {
    pub(super) value: String,
    pub(super) address: Option<Address>,
}

/// Names and ARNs on AWS, as the manifest says them or by default.
#[derive(Clone, Debug, Default)]
pub(super) struct References(BTreeMap<String, Reference>);

/// What the names of an environment's buckets begin with, unless the manifest says names.
pub(super) fn bucket_prefix(mark: &Mark) -> String {
    format!("{}-{}-", mark.project, mark.environment)
}

/// The name of a bucket that states none. Names are unique in all of AWS, so the account is in it.
pub(super) fn bucket_name(mark: &Mark, key: &str, account: &str) -> String {
    format!("{}{key}-{account}", bucket_prefix(mark)).replace('_', "-")
}

/// The name of a role that states none. Names are unique in an account.
pub(super) fn role_name(mark: &Mark, key: &str) -> String {
    format!("{}-{}-{key}", mark.project, mark.environment)
}

impl References {
    /// Collects them from a document whose names are resolved.
    pub(super) fn of(root: &Node, mark: &Mark) -> Self {
        let mut out = Self::default();
        let of_aws =
            |key| text(root.as_table().and_then(|root| root.get("aws")), key).unwrap_or_default();
        let (account, region) = (of_aws("account"), of_aws("region"));
        let mut add = |name: String, value: String, address: Option<&Address>| {
            out.0.insert(
                name,
                Reference {
                    value,
                    address: address.cloned(),
                },
            );
        };
        add("aws.account".to_owned(), account.clone(), None);
        add("aws.region".to_owned(), region.clone(), None);
        for (key, node) in tables(root, "buckets") {
            let Ok(name) = Name::parse(key) else { continue };
            let address = Address::of::<Bucket>(&name);
            let name = text(Some(node), "name").unwrap_or_else(|| bucket_name(mark, key, &account));
            let place = text(Some(node), "region").unwrap_or_else(|| region.clone());
            add(
                format!("buckets.{key}.arn"),
                format!("arn:aws:s3:::{name}"),
                Some(&address),
            );
            add(format!("buckets.{key}.region"), place, Some(&address));
            add(format!("buckets.{key}.name"), name, Some(&address));
        }
        for table in ["identities", "roles"] {
            for (key, node) in tables(root, table) {
                let Ok(name) = Name::parse(key) else { continue };
                let address = Address::of::<Role>(&name);
                let name = text(Some(node), "name").unwrap_or_else(|| role_name(mark, key));
                let arn = format!("arn:aws:iam::{account}:role{}{name}", role::path(mark));
                add(format!("{table}.{key}.arn"), arn, Some(&address));
                add(format!("{table}.{key}.name"), name, Some(&address));
            }
        }
        out
    }

    /// What a reference such as `buckets.backups.name` means.
    pub(super) fn get(&self, reference: &str) -> Option<&Reference> {
        self.0.get(reference)
    }

    /// All that can be referred to.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.0.keys().map(String::as_str)
    }

    /// The value of a reference that is known to be there.
    pub(super) fn value(&self, reference: &str) -> String {
        self.get(reference)
            .map(|there| there.value.clone())
            .unwrap_or_default()
    }
}

fn text(node: Option<&Node>, key: &str) -> Option<String> {
    node?.as_table()?.get(key)?.as_str().map(str::to_owned)
}

fn tables<'a>(root: &'a Node, key: &str) -> impl Iterator<Item = (&'a str, &'a Node)> {
    let table = root
        .as_table()
        .and_then(|root| root.get(key))
        .and_then(Node::as_table);
    table
        .into_iter()
        .flat_map(|Table(entries)| entries)
        .map(|entry| (entry.key.as_str(), &entry.node))
}
