//! The vocabulary that describes fly.toml: what type a key has, and how it is handled. The
//! description itself is in `sections`.

/// The type of a key, as in flyctl's `Config`.
#[derive(Clone, Copy, Debug)]
pub(super) enum ValueType {
    /// A string.
    String,
    /// A string that is split into words.
    Command,
    /// A string that flyctl converts to upper case.
    UppercaseString,
    /// One of a fixed list of strings.
    OneOf(&'static [&'static str]),
    /// An integer.
    Integer,
    /// An integer for which zero is the same as absent.
    NonZeroInteger,
    /// An integer between two bounds, both included.
    IntegerRange(i64, i64),
    /// An integer or float.
    Number,
    /// A boolean.
    Boolean,
    /// A list of strings.
    StringList,
    /// A table of strings.
    StringMap,
    /// A table of any content, which flyctl passes on.
    AnyTable,
    /// Any value: flyctl does not check it.
    Any,
    /// A duration. A bare integer counts nanoseconds, because older spellings have been patched
    /// already.
    Duration,
    /// `off`, `stop` or `suspend`, or a boolean.
    Autostop,
    /// When the root file system persists: a word or its number.
    PersistRootfs,
    /// One table.
    Table(&'static SectionSchema),
    /// A list of tables.
    TableList(&'static SectionSchema),
    /// A table of tables, by name.
    TableMap(&'static SectionSchema),
}

/// How a valid key is handled.
#[derive(Clone, Copy, Debug)]
pub(super) enum KeyHandling {
    /// The key is part of the canonical form.
    Keep,
    /// The key has no effect on machines and is removed silently.
    Ignore,
    /// The key has no effect here, and a warning says why.
    Warn(&'static str),
}

/// A key of a section.
#[derive(Debug)]
pub(super) struct KeySchema {
    /// Its current name.
    pub(super) name: &'static str,
    /// The type of its value.
    pub(super) value_type: ValueType,
    /// How it is handled when it is valid.
    pub(super) handling: KeyHandling,
}

/// A section with its keys.
#[derive(Debug)]
pub(super) struct SectionSchema {
    /// Its name in messages; empty for the top level.
    pub(super) name: &'static str,
    /// The keys that flyctl knows in it.
    pub(super) keys: &'static [KeySchema],
}

/// A key of the canonical form.
pub(super) const fn keep(name: &'static str, value_type: ValueType) -> KeySchema {
    KeySchema {
        name,
        value_type,
        handling: KeyHandling::Keep,
    }
}

/// A key without effect on machines.
pub(super) const fn ignore(name: &'static str, value_type: ValueType) -> KeySchema {
    KeySchema {
        name,
        value_type,
        handling: KeyHandling::Ignore,
    }
}

/// A key without effect here, and the reason.
pub(super) const fn warn(
    name: &'static str,
    value_type: ValueType,
    reason: &'static str,
) -> KeySchema {
    KeySchema {
        name,
        value_type,
        handling: KeyHandling::Warn(reason),
    }
}

impl SectionSchema {
    /// Finds a key by name; like flyctl's JSON decoder it also accepts other capitals.
    pub(super) fn find_key(&self, name: &str) -> Option<&'static KeySchema> {
        let exact = self.keys.iter().find(|key| key.name == name);
        exact.or_else(|| {
            self.keys
                .iter()
                .find(|key| key.name.eq_ignore_ascii_case(name))
        })
    }

    /// The key nearest to an unknown one, if it is near enough.
    pub(super) fn nearest_key(&self, name: &str) -> Option<&'static str> {
        let name = name.to_ascii_lowercase();
        let distance = |key: &&KeySchema| strsim::damerau_levenshtein(key.name, &name);
        let nearest = self.keys.iter().min_by_key(distance)?;
        // Up to a third of the letters wrong is a typo; more is another word.
        (distance(&nearest) <= name.len() / 3).then_some(nearest.name)
    }
}
