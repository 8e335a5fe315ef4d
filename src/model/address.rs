//! Addresses and typed references: how one resource points at another.

use std::{collections::BTreeMap, fmt, marker::PhantomData, ops::Bound};

use serde::{Serialize, Serializer};

use super::{Name, ParseNameError};

/// A type that stands for a kind of resource.
pub trait KindName {
    /// The kind's name in addresses and output, such as `fly.volume`.
    const NAME: &'static str;
}

/// Where a resource lives in an environment, such as `fly.volume/web/data/ewr/0`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    kind: String,
    name: Name,
}

/// Text that is not an address.
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

    /// Reads an address as a user writes it.
    ///
    /// # Errors
    /// When the kind is missing or the name is not a name. Whether the kind exists is not checked.
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

/// A pointer from one resource to another. It is also an edge of the graph.
pub struct ResourceRef<K> {
    name: Name,
    kind: PhantomData<fn() -> K>,
}

impl<K: KindName> ResourceRef<K> {
    /// Points at the resource of this name.
    #[must_use]
    pub fn new(name: Name) -> Self {
        Self {
            name,
            kind: PhantomData,
        }
    }

    /// The address pointed at.
    #[must_use]
    pub fn address(&self) -> Address {
        Address::new::<K>(&self.name)
    }

    /// The name pointed at.
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

/// All resources of one kind, by name. Ordered, so that plans are deterministic.
pub type ResourceMap<T> = BTreeMap<Name, T>;

/// The part of a table that lies in one app, without a look at the rest.
pub fn resources_in_app<'t, T>(
    table: &'t ResourceMap<T>,
    app: &Name,
) -> impl Iterator<Item = (&'t Name, &'t T)> {
    let inside = app.child_prefix();
    // `web-api` sorts before `web/…`, so the range begins at the slash.
    let from = table.range::<str, _>((Bound::Included(inside.as_str()), Bound::Unbounded));
    from.take_while(move |(name, _)| name.as_str().starts_with(&inside))
}
