//! How a fly.toml is described: what a key holds and what becomes of it. The description itself is in `sections`.

/// What a key holds, as the types of flyctl's `Config` say it.
#[derive(Clone, Copy, Debug)]
pub(super) enum ValueType {
    /// A text.
    String,
    /// A text that is split into words.
    Command,
    /// A text that flyctl writes in capitals.
    UppercaseString,
    /// One of several words.
    OneOf(&'static [&'static str]),
    /// A whole number.
    Integer,
    /// A whole number where zero says nothing.
    NonZeroInteger,
    /// A whole number between two others.
    IntegerRange(i64, i64),
    /// A number.
    Number,
    /// True or false.
    Boolean,
    /// A list of texts.
    StringList,
    /// A table of texts.
    StringMap,
    /// A table of whatever: flyctl passes it on.
    AnyTable,
    /// Whatever: flyctl does not look.
    Any,
    /// A duration. A bare integer counts nanoseconds: older spellings have been patched before.
    Duration,
    /// `off`, `stop` or `suspend`, or whether.
    Autostop,
    /// When the root file system persists: a word or its number.
    PersistRootfs,
    /// One table.
    Table(&'static SectionSchema),
    /// A list of tables.
    TableList(&'static SectionSchema),
    /// A table of tables by name.
    TableMap(&'static SectionSchema),
}

/// What becomes of a key that is right.
#[derive(Clone, Copy, Debug)]
pub(super) enum KeyHandling {
    /// It is part of the canonical form.
    Keep,
    /// It has no effect on machines.
    Ignore,
    /// It has none here, and the user should know why.
    Warn(&'static str),
}

/// A key of a section.
#[derive(Debug)]
pub(super) struct KeySchema {
    /// Its modern name.
    pub(super) name: &'static str,
    /// What it holds.
    pub(super) value_type: ValueType,
    /// What becomes of it.
    pub(super) handling: KeyHandling,
}

/// A section with its keys.
#[derive(Debug)]
pub(super) struct SectionSchema {
    /// How messages name it; empty for the top level.
    pub(super) name: &'static str,
    /// Its keys.
    pub(super) keys: &'static [KeySchema],
}

/// A key of the canonical form.
pub(super) const fn keep(name: &'static str, shape: ValueType) -> KeySchema {
    KeySchema {
        name,
        value_type: shape,
        handling: KeyHandling::Keep,
    }
}

/// A key without effect on machines.
pub(super) const fn ignore(name: &'static str, shape: ValueType) -> KeySchema {
    KeySchema {
        name,
        value_type: shape,
        handling: KeyHandling::Ignore,
    }
}

/// A key without effect here, and why.
pub(super) const fn warn(name: &'static str, shape: ValueType, why: &'static str) -> KeySchema {
    KeySchema {
        name,
        value_type: shape,
        handling: KeyHandling::Warn(why),
    }
}

impl SectionSchema {
    /// The key of that name; flyctl's JSON decoder also takes it in other capitals.
    pub(super) fn find_key(&self, name: &str) -> Option<&'static KeySchema> {
        let exact = self.keys.iter().find(|key| key.name == name);
        exact.or_else(|| {
            self.keys
                .iter()
                .find(|key| key.name.eq_ignore_ascii_case(name))
        })
    }

    /// The key that was probably meant.
    pub(super) fn nearest_key(&self, name: &str) -> Option<&'static str> {
        let name = name.to_ascii_lowercase();
        let distance = |key: &&KeySchema| strsim::damerau_levenshtein(key.name, &name);
        let nearest = self.keys.iter().min_by_key(distance)?;
        // A third of the letters wrong is a slip; more is another word.
        (distance(&nearest) <= name.len() / 3).then_some(nearest.name)
    }
}
