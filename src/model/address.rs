//! Resource addresses and the typed references by which one resource points at another.

use std::{fmt, marker::PhantomData};

use serde::{Serialize, Serializer};

use super::{Name, ParseNameError};

/// Implemented by the marker type of each resource kind.
pub trait KindName {
    /// The kind's name in addresses and output, such as `fly.volume`.
    const NAME: &'static str;
}

/// The address of a resource within an environment, such as `fly.volume/web/data/ewr/0`. Written
/// `KIND/NAME`, as users pass it to `--only` and `--allow-destroy`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    kind: String,
    name: Name,
}

/// The text is not a valid [`Address`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseAddressError {
    /// No `/` between kind and name.
    #[error("`{0}` is not an address: write KIND/NAME, such as fly.app/web")]
    MissingKind(String),
    /// The part after the kind is not a name.
    #[error(transparent)]
    InvalidName(#[from] ParseNameError),
}

impl Address {
    /// The address of a resource of kind `K`.
    #[must_use]
    pub fn new<K: KindName>(name: &Name) -> Self {
        Self {
            kind: K::NAME.to_owned(),
            name: name.clone(),
        }
    }

    /// Parses `KIND/NAME`, the form that users write.
    ///
    /// # Errors
    /// When the kind is missing or the name is invalid. The kind is not checked against the known
    /// kinds.
    pub fn parse(text: &str) -> Result<Self, ParseAddressError> {
        let (kind, name) = text
            .split_once('/')
            .ok_or_else(|| ParseAddressError::MissingKind(text.to_owned()))?;
        Ok(Self {
            kind: kind.to_owned(),
            name: Name::parse(name)?,
        })
    }

    /// The kind, such as `fly.app`.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The name within the kind.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.name
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.name)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A reference to a resource of kind `K`. Each reference is also an edge of the dependency graph.
pub struct ResourceRef<K> {
    name: Name,
    kind: PhantomData<fn() -> K>,
}

impl<K: KindName> ResourceRef<K> {
    /// A reference to the resource with this name.
    #[must_use]
    pub fn new(name: Name) -> Self {
        Self {
            name,
            kind: PhantomData,
        }
    }

    /// The address of the referenced resource.
    #[must_use]
    pub fn address(&self) -> Address {
        Address::new::<K>(&self.name)
    }

    /// The name of the referenced resource.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.name
    }
}

impl<K> Clone for ResourceRef<K> {
    fn clone(&self) -> Self {
        Self {
            name: self.name.clone(),
            kind: PhantomData,
        }
    }
}

impl<K> PartialEq for ResourceRef<K> {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl<K: KindName> fmt::Debug for ResourceRef<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", K::NAME, self.name)
    }
}

impl<K: KindName> Serialize for ResourceRef<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.address())
    }
}
