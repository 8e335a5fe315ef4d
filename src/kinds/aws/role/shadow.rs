//! Variables that stand before the role of an app's identity. Fly's init leaves `AWS_WEB_IDENTITY_TOKEN_FILE` for the role in
//! `AWS_ROLE_ARN`, and AWS's SDKs look at other things first: the environment, then a profile, then the role. `fly storage
//! create` sets several of these as secrets of the app.

/// Why a variable matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shadow {
    /// Static keys.
    Keys,
    /// A profile of a file.
    Profile,
    /// Another role, or another token.
    Role,
    /// Another address.
    Endpoint,
    /// Another region.
    Region,
}

/// The variables, in the order in which the SDKs ask for them.
const SHADOWS: [(&str, Shadow); 11] = [
    ("AWS_ACCESS_KEY_ID", Shadow::Keys),
    ("AWS_SECRET_ACCESS_KEY", Shadow::Keys),
    ("AWS_SESSION_TOKEN", Shadow::Keys),
    ("AWS_PROFILE", Shadow::Profile),
    ("AWS_ROLE_ARN", Shadow::Role),
    ("AWS_WEB_IDENTITY_TOKEN_FILE", Shadow::Role),
    ("AWS_ENDPOINT_URL", Shadow::Endpoint),
    ("AWS_ENDPOINT_URL_S3", Shadow::Endpoint),
    ("AWS_ENDPOINT_URL_STS", Shadow::Endpoint),
    ("AWS_REGION", Shadow::Region),
    ("AWS_DEFAULT_REGION", Shadow::Region),
];

impl Shadow {
    /// What a variable of this name does to an identity.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        SHADOWS
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, shadow)| *shadow)
    }

    /// Every name, in the order in which the SDKs ask for them.
    pub fn names() -> impl Iterator<Item = (&'static str, Self)> {
        SHADOWS.into_iter()
    }

    /// Why it matters.
    #[must_use]
    pub fn why(self) -> &'static str {
        match self {
            Self::Keys => "AWS's SDKs take static keys first and never ask for the role",
            Self::Profile => "a profile is asked before the role",
            Self::Role => "another role or token is taken in its place",
            Self::Endpoint => {
                "requests go there and not to AWS, with the session that they are signed by"
            }
            Self::Region => "it wins over the identity's region",
        }
    }

    /// Whether a value that is known does no harm: an address of AWS itself, or the region that is set anyway.
    #[must_use]
    pub fn is_harmless(self, value: &str, region: &str) -> bool {
        match self {
            Self::Region => value == region,
            Self::Endpoint => {
                let host = value
                    .split("://")
                    .nth(1)
                    .unwrap_or(value)
                    .split(['/', ':'])
                    .next()
                    .unwrap_or_default();
                host.ends_with(".amazonaws.com")
            }
            Self::Keys | Self::Profile | Self::Role => value.is_empty(),
        }
    }
}
