//! Checks the codes of AWS regions.

use crate::manifest::{
    lower::Diagnostics,
    syntax::{cursor::Cursor, suggest},
};

/// The regions of AWS, without its partitions for China and for governments. AWS opens new ones, so
/// another code of the right form is only a warning.
const KNOWN_REGIONS: [&str; 34] = [
    "af-south-1",
    "ap-east-1",
    "ap-east-2",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-south-2",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-southeast-3",
    "ap-southeast-4",
    "ap-southeast-5",
    "ap-southeast-6",
    "ap-southeast-7",
    "ca-central-1",
    "ca-west-1",
    "eu-central-1",
    "eu-central-2",
    "eu-north-1",
    "eu-south-1",
    "eu-south-2",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "il-central-1",
    "me-central-1",
    "me-south-1",
    "mx-central-1",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
];

/// Checks a region's code, such as `eu-central-1`.
pub(super) fn check_region_code(region: &str, cursor: Cursor<'_>, diagnostics: &mut Diagnostics) {
    if !cursor.is_present() || KNOWN_REGIONS.contains(&region) {
        return;
    }
    if region.starts_with("cn-") || region.starts_with("us-gov-") {
        let diagnostic = cursor.diagnostic(format!("`{region}` is in another partition of AWS"));
        diagnostics.error(
            diagnostic.with_help(
                "trimtab knows the accounts of AWS itself, not those of China or GovCloud",
            ),
        );
        return;
    }
    let nearest =
        suggest::nearest(region, KNOWN_REGIONS).map(|near| format!("did you mean `{near}`?"));
    if has_region_form(region) {
        let diagnostic = cursor.diagnostic(format!("`{region}` is not a known region of AWS"));
        let help = nearest.unwrap_or_else(|| "correct it, unless the region is new".to_owned());
        diagnostics.warn(diagnostic.with_help(help));
    } else {
        let diagnostic = cursor.diagnostic(format!("`{region}` is not an AWS region"));
        let help = nearest.unwrap_or_else(|| "write its code, such as `eu-central-1`".to_owned());
        diagnostics.error(diagnostic.with_help(help));
    }
}

/// Whether a text is two letters, one or more words, and a number, joined by dashes.
fn has_region_form(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let is_word = |part: &&str| !part.is_empty() && part.bytes().all(|c| c.is_ascii_lowercase());
    match parts.as_slice() {
        [area, words @ .., number] if !words.is_empty() => {
            area.len() == 2
                && is_word(area)
                && words.iter().all(is_word)
                && !number.is_empty()
                && number.bytes().all(|c| c.is_ascii_digit())
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_of_a_region() {
        for region in KNOWN_REGIONS
            .into_iter()
            .chain(["xx-nowhere-12", "us-iso-east-1"])
        {
            assert!(has_region_form(region), "{region}");
        }
        for text in [
            "eu-central-,1",
            "eu-central-",
            "eu1",
            "Eu-central-1",
            "eu-central-1a",
            "",
        ] {
            assert!(!has_region_form(text), "{text}");
        }
    }
}
