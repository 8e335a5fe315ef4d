//! How a fly.toml is described: what a key holds and what becomes of it. The description itself is in `sections`.

/// What a key holds, as the types of flyctl's `Config` say it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    /// A text.
    Text,
    /// A text that is split into words.
    Command,
    /// A text that flyctl writes in capitals.
    Capitals,
    /// One of several words.
    OneOf(&'static [&'static str]),
    /// A whole number.
    Whole,
    /// A whole number where zero says nothing.
    Count,
    /// A whole number between two others.
    Between(i64, i64),
    /// A number.
    Number,
    /// True or false.
    Truth,
    /// A list of texts.
    Texts,
    /// A table of texts.
    TextMap,
    /// A table of whatever: flyctl passes it on.
    Free,
    /// Whatever: flyctl does not look.
    Anything,
    /// A duration. A bare integer counts nanoseconds: older spellings have been patched before.
    Duration,
    /// `off`, `stop` or `suspend`, or whether.
    Autostop,
    /// When the root file system persists: a word or its number.
    Persist,
    /// One table.
    One(&'static Section),
    /// A list of tables.
    Many(&'static Section),
    /// A table of tables by name.
    Named(&'static Section),
}

/// What becomes of a key that is right.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fate {
    /// It is part of the canonical form.
    Keep,
    /// It has no effect on machines.
    Drop,
    /// It has none here, and the user should know why.
    Note(&'static str),
}

/// A key of a section.
#[derive(Debug)]
pub(super) struct Key {
    /// Its modern name.
    pub(super) name: &'static str,
    /// What it holds.
    pub(super) shape: Shape,
    /// What becomes of it.
    pub(super) fate: Fate,
}

/// A section with its keys.
#[derive(Debug)]
pub(super) struct Section {
    /// How messages name it; empty for the top level.
    pub(super) name: &'static str,
    /// Its keys.
    pub(super) keys: &'static [Key],
}

/// A key of the canonical form.
pub(super) const fn keep(name: &'static str, shape: Shape) -> Key {
    Key {
        name,
        shape,
        fate: Fate::Keep,
    }
}

/// A key without effect on machines.
pub(super) const fn drop(name: &'static str, shape: Shape) -> Key {
    Key {
        name,
        shape,
        fate: Fate::Drop,
    }
}

/// A key without effect here, and why.
pub(super) const fn note(name: &'static str, shape: Shape, why: &'static str) -> Key {
    Key {
        name,
        shape,
        fate: Fate::Note(why),
    }
}

impl Section {
    /// The key of that name; flyctl's JSON decoder also takes it in other capitals.
    pub(super) fn key(&self, name: &str) -> Option<&'static Key> {
        let exact = self.keys.iter().find(|key| key.name == name);
        exact.or_else(|| {
            self.keys
                .iter()
                .find(|key| key.name.eq_ignore_ascii_case(name))
        })
    }

    /// The key that was probably meant.
    pub(super) fn nearest(&self, name: &str) -> Option<&'static str> {
        let name = name.to_ascii_lowercase();
        let distance = |key: &&Key| strsim::damerau_levenshtein(key.name, &name);
        let nearest = self.keys.iter().min_by_key(distance)?;
        // A third of the letters wrong is a slip; more is another word.
        (distance(&nearest) <= name.len() / 3).then_some(nearest.name)
    }
}
