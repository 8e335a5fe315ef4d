//! Checks what lists say: one id is one object. A list that names an object twice would otherwise make a machine look like a
//! surplus copy of itself, which is deleted.

use std::collections::BTreeMap;

use super::wire;
use crate::clouds::{CloudError, ErrorKind};

/// An entry of a list.
pub(super) trait Listed: PartialEq {
    /// What identifies the object.
    fn id(&self) -> &str;
}

impl Listed for wire::MachineResponse {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Listed for wire::VolumeResponse {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Listed for wire::IpAssignment {
    fn id(&self) -> &str {
        &self.ip
    }
}

impl Listed for wire::AppSecret {
    fn id(&self) -> &str {
        &self.name
    }
}

impl Listed for wire::CertificateSummary {
    fn id(&self) -> &str {
        &self.hostname
    }
}

/// The entries of a list without repetitions.
///
/// # Errors
/// When an entry has no id, or two with the same id differ: it is not known then which one is true.
pub(super) fn distinct<T: Listed>(operation: &str, list: Vec<T>) -> Result<Vec<T>, CloudError> {
    let invalid = |message: String| CloudError::new(operation, ErrorKind::InvalidResponse, message);
    let mut indices: BTreeMap<String, usize> = BTreeMap::new();
    let mut entries: Vec<T> = Vec::with_capacity(list.len());
    for entry in list {
        let id = entry.id();
        if id.is_empty() {
            return Err(invalid("an entry of the list has no id".to_owned()));
        }
        match indices.get(id) {
            None => {
                indices.insert(id.to_owned(), entries.len());
                entries.push(entry);
            }
            Some(&index) if entries[index] == entry => {}
            Some(_) => {
                return Err(invalid(format!(
                    "the list has {id} twice, with different content; run the same command again, and if this stays, ask Fly"
                )));
            }
        }
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(name: &str, digest: &str) -> wire::AppSecret {
        wire::AppSecret {
            name: name.to_owned(),
            digest: digest.to_owned(),
        }
    }

    #[test]
    fn repetitions_count_once_and_contradictions_are_errors() {
        let list = vec![secret("A", "1"), secret("B", "2"), secret("A", "1")];
        let names: Vec<String> = distinct("list", list)
            .unwrap()
            .into_iter()
            .map(|secret| secret.name)
            .collect();
        assert_eq!(names, ["A", "B"]);
        let error = distinct("list", vec![secret("A", "1"), secret("A", "2")]).unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidResponse);
        assert!(error.message.contains("has A twice"), "{error}");
        assert!(distinct("list", vec![secret("", "1")]).is_err());
    }
}
