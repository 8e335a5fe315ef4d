//! The region that an app gets with its identity. AWS's SDKs have one region for all clients that state
//! none, and S3 answers requests for a bucket of another region with a redirect that most do not follow.

use std::collections::BTreeMap;

use crate::manifest::{lower::Diagnostics, syntax::cursor::Cursor};

/// What decides the region of an app.
pub(super) struct RegionChoice<'a> {
    /// The regions of the buckets that the identity may use, by the buckets' keys.
    pub(super) buckets: &'a BTreeMap<String, String>,
    /// `AWS_REGION` of the app's own variables.
    pub(super) stated: Option<String>,
    /// The region of `[aws]`.
    pub(super) default: &'a str,
}

impl RegionChoice<'_> {
    /// The region of the buckets. Where they are in several regions: the one that the app states, or
    /// else that of `[aws]`. It never follows from the order of keys, or one more bucket would change it.
    pub(super) fn choose(self, cursor: Cursor<'_>, diagnostics: &mut Diagnostics) -> String {
        let Self {
            buckets,
            stated,
            default,
        } = self;
        let is_used = |region: &str| buckets.values().any(|used| used == region);
        let Some(only) = buckets.values().next() else {
            return default.to_owned();
        };
        if buckets.values().all(|region| region == only) {
            return only.clone();
        }
        let stated = stated.filter(|region| is_used(region));
        let Some(chosen) = stated.or_else(|| is_used(default).then(|| default.to_owned())) else {
            let diagnostic = cursor.diagnostic(format!(
                "these buckets are in several regions, {}, and none is in {default}, so the app's AWS_REGION is unclear",
                list_regions(buckets, "")
            ));
            diagnostics
                .error(diagnostic.with_help("set AWS_REGION in the app's `env` to one of them"));
            return default.to_owned();
        };
        let diagnostic = cursor.diagnostic(format!(
            "the app gets AWS_REGION = \"{chosen}\", and not all of these buckets are there: {}",
            list_regions(buckets, &chosen)
        ));
        diagnostics.warn(diagnostic.with_help(
            "give the app's client for each of those the region of its bucket: S3 answers others with a redirect (301)",
        ));
        chosen
    }
}

/// The buckets that are not in `chosen`, with their regions.
fn list_regions(buckets: &BTreeMap<String, String>, chosen: &str) -> String {
    let elsewhere = buckets.iter().filter(|(_, region)| *region != chosen);
    let listed: Vec<String> = elsewhere
        .map(|(key, region)| format!("{key} in {region}"))
        .collect();
    listed.join(", ")
}
