//! Environment variables that take precedence over the role of an app's identity. Fly's init sets
//! `AWS_WEB_IDENTITY_TOKEN_FILE` for the role in `AWS_ROLE_ARN`, but AWS's SDKs look at other
//! things first: static keys in the environment, then a profile, then the role. `fly storage
//! create` sets several of these variables as secrets of the app.

/// What a variable overrides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CredentialOverride {
    /// Static access keys.
    StaticKeys,
    /// A profile of a configuration file.
    Profile,
    /// Another role or another token.
    Role,
    /// Another endpoint.
    Endpoint,
    /// Another region.
    Region,
}

/// The variables, in the order in which the SDKs read them.
const OVERRIDING_VARIABLES: [(&str, CredentialOverride); 11] = [
    ("AWS_ACCESS_KEY_ID", CredentialOverride::StaticKeys),
    ("AWS_SECRET_ACCESS_KEY", CredentialOverride::StaticKeys),
    ("AWS_SESSION_TOKEN", CredentialOverride::StaticKeys),
    ("AWS_PROFILE", CredentialOverride::Profile),
    ("AWS_ROLE_ARN", CredentialOverride::Role),
    ("AWS_WEB_IDENTITY_TOKEN_FILE", CredentialOverride::Role),
    ("AWS_ENDPOINT_URL", CredentialOverride::Endpoint),
    ("AWS_ENDPOINT_URL_S3", CredentialOverride::Endpoint),
    ("AWS_ENDPOINT_URL_STS", CredentialOverride::Endpoint),
    ("AWS_REGION", CredentialOverride::Region),
    ("AWS_DEFAULT_REGION", CredentialOverride::Region),
];

impl CredentialOverride {
    /// What the variable of this name overrides, if anything.
    #[must_use]
    pub fn from_variable_name(name: &str) -> Option<Self> {
        OVERRIDING_VARIABLES
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, shadow)| *shadow)
    }

    /// All variables, in the order in which the SDKs read them.
    pub fn variables() -> impl Iterator<Item = (&'static str, Self)> {
        OVERRIDING_VARIABLES.into_iter()
    }

    /// Why the variable is a problem.
    #[must_use]
    pub fn explain(self) -> &'static str {
        match self {
            Self::StaticKeys => "AWS's SDKs take static keys first and never ask for the role",
            Self::Profile => "a profile is asked before the role",
            Self::Role => "another role or token is taken in its place",
            Self::Endpoint => {
                "requests go there and not to AWS, with the session that they are signed by"
            }
            Self::Region => "it wins over the identity's region",
        }
    }

    /// Whether a known value is harmless: an endpoint of AWS itself, or the region that is set
    /// anyway.
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
            Self::StaticKeys | Self::Profile | Self::Role => value.is_empty(),
        }
    }
}
