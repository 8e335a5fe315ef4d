//! The resources of one kind. An apply hands the whole world to every step that it starts, so a copy of the world must be
//! cheap: copies share the resources themselves.

use std::{
    borrow::Borrow,
    collections::{BTreeMap, btree_map},
    ops::{Bound, Index},
    sync::Arc,
};

use super::Name;

/// All resources of one kind, by name. Sorted, so that the same inputs give the same plan. A clone shares every resource until
/// one of the two changes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceMap<T>(BTreeMap<Name, Arc<T>>);

impl<T> ResourceMap<T> {
    /// A map without resources.
    #[must_use]
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Adds a resource, or replaces the one of this name.
    pub fn insert(&mut self, name: Name, resource: T) {
        self.0.insert(name, Arc::new(resource));
    }

    /// Removes a resource, if it exists.
    pub fn remove<Q: Ord + ?Sized>(&mut self, name: &Q)
    where
        Name: Borrow<Q>,
    {
        self.0.remove(name);
    }

    /// Removes all resources.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Removes the resources for which `keep` is false.
    pub fn retain(&mut self, mut keep: impl FnMut(&Name, &T) -> bool) {
        self.0.retain(|name, resource| keep(name, resource));
    }

    /// The resource of this name.
    #[must_use]
    pub fn get<Q: Ord + ?Sized>(&self, name: &Q) -> Option<&T>
    where
        Name: Borrow<Q>,
    {
        self.0.get(name).map(Arc::as_ref)
    }

    /// Whether there is a resource of this name.
    #[must_use]
    pub fn contains_key<Q: Ord + ?Sized>(&self, name: &Q) -> bool
    where
        Name: Borrow<Q>,
    {
        self.0.contains_key(name)
    }

    /// The number of resources.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names, in order.
    pub fn keys(&self) -> btree_map::Keys<'_, Name, Arc<T>> {
        self.0.keys()
    }

    /// The resources, in the order of their names.
    pub fn values(&self) -> Values<'_, T> {
        self.0.values().map(Arc::as_ref)
    }

    /// The first resource by name.
    #[must_use]
    pub fn first_key_value(&self) -> Option<(&Name, &T)> {
        self.0.first_key_value().map(share_entry)
    }

    /// The names and the resources, in the order of the names.
    pub fn iter(&self) -> Iter<'_, T> {
        self.0.iter().map(share_entry)
    }
}

impl<T: Clone> ResourceMap<T> {
    /// The resource of this name, to change it.
    pub fn get_mut<Q: Ord + ?Sized>(&mut self, name: &Q) -> Option<&mut T>
    where
        Name: Borrow<Q>,
    {
        self.0.get_mut(name).map(Arc::make_mut)
    }

    /// The resources, to change them.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.values_mut().map(Arc::make_mut)
    }

    /// The names and the resources, to change the latter.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&Name, &mut T)> {
        self.0
            .iter_mut()
            .map(|(name, resource)| (name, Arc::make_mut(resource)))
    }
}

/// The iterator of [`ResourceMap::values`].
pub(super) type Values<'m, T> =
    std::iter::Map<btree_map::Values<'m, Name, Arc<T>>, fn(&'m Arc<T>) -> &'m T>;

/// The iterator of [`ResourceMap::iter`].
pub(super) type Iter<'m, T> = std::iter::Map<
    btree_map::Iter<'m, Name, Arc<T>>,
    fn((&'m Name, &'m Arc<T>)) -> (&'m Name, &'m T),
>;

/// The resources that belong to `app`. Uses a range query instead of scanning the whole map.
pub fn resources_in_app<'m, T>(
    resources: &'m ResourceMap<T>,
    app: &Name,
) -> impl Iterator<Item = (&'m Name, &'m T)> {
    let prefix = app.child_prefix();
    // `web-api` sorts before `web/…`, so the range begins at the slash.
    let range = resources
        .0
        .range::<str, _>((Bound::Included(prefix.as_str()), Bound::Unbounded));
    range
        .map(share_entry)
        .take_while(move |(name, _)| name.as_str().starts_with(&prefix))
}

fn share_entry<'m, T>((name, resource): (&'m Name, &'m Arc<T>)) -> (&'m Name, &'m T) {
    (name, resource.as_ref())
}

impl<T> Default for ResourceMap<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<Q: Ord + ?Sized, T> Index<&Q> for ResourceMap<T>
where
    Name: Borrow<Q>,
{
    type Output = T;

    fn index(&self, name: &Q) -> &T {
        &self.0[name]
    }
}

impl<'m, T> IntoIterator for &'m ResourceMap<T> {
    type Item = (&'m Name, &'m T);
    type IntoIter = Iter<'m, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T: Clone> IntoIterator for ResourceMap<T> {
    type Item = (Name, T);
    type IntoIter =
        std::iter::Map<btree_map::IntoIter<Name, Arc<T>>, fn((Name, Arc<T>)) -> (Name, T)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0
            .into_iter()
            .map(|(name, resource)| (name, Arc::unwrap_or_clone(resource)))
    }
}

impl<T> Extend<(Name, T)> for ResourceMap<T> {
    fn extend<I: IntoIterator<Item = (Name, T)>>(&mut self, resources: I) {
        self.0.extend(
            resources
                .into_iter()
                .map(|(name, resource)| (name, Arc::new(resource))),
        );
    }
}

impl<T> FromIterator<(Name, T)> for ResourceMap<T> {
    fn from_iter<I: IntoIterator<Item = (Name, T)>>(resources: I) -> Self {
        let mut map = Self::new();
        map.extend(resources);
        map
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_shares_its_resources_and_changes_alone() {
        let name = |text| Name::parse(text).unwrap();
        let first: ResourceMap<String> = [(name("web/a"), "a"), (name("web-api/b"), "b")]
            .map(|(name, text)| (name, text.to_owned()))
            .into_iter()
            .collect();
        let mut second = first.clone();
        assert!(std::ptr::eq(&first["web/a"], &second["web/a"]));
        second.get_mut("web/a").unwrap().push('!');
        assert_eq!((&*first["web/a"], &*second["web/a"]), ("a", "a!"));
        assert!(std::ptr::eq(&first["web-api/b"], &second["web-api/b"]));
        let in_app: Vec<&String> = resources_in_app(&first, &name("web"))
            .map(|(_, text)| text)
            .collect();
        assert_eq!(in_app, ["a"]);
    }
}
