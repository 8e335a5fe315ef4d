//! The inputs of a manifest on the command line: variables, and images, of which one option may name several, as `build` prints
//! them.

use clap::Args;

/// The inputs of a manifest.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct InputArgs {
    /// Set a variable of the manifest; repeatable
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = parse_name_value)]
    pub(super) vars: Vec<(String, String)>,
    /// Use this image for an app; repeatable, and several with commas or line breaks between them, as `build` prints them
    #[arg(long = "image", value_name = "APP=REFERENCE", value_parser = ImageList::parse)]
    pub(super) images: Vec<ImageList>,
    /// See [`crate::manifest::Inputs::multiple_environments`].
    #[arg(skip)]
    pub(super) multiple_environments: bool,
}

impl InputArgs {
    /// The images by app, in the order in which they were given.
    pub(super) fn images(&self) -> impl Iterator<Item = &(String, String)> {
        self.images.iter().flat_map(|list| &list.0)
    }
}

/// Images by app, as one `--image` gives them.
#[derive(Clone, Debug, Default)]
pub(super) struct ImageList(pub(super) Vec<(String, String)>);

impl ImageList {
    /// Parses them. No reference holds a comma or a space.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let words = text.split(|c: char| c == ',' || c.is_whitespace());
        let images: Result<Vec<_>, _> = words
            .filter(|word| !word.is_empty())
            .map(parse_name_value)
            .collect();
        match images {
            Ok(images) if !images.is_empty() => Ok(Self(images)),
            _ => Err(
                "there is no `APP=` before the reference: write --image APP=REFERENCE, with the app's key in the manifest"
                    .to_owned(),
            ),
        }
    }
}

/// Splits `NAME=VALUE`.
pub(super) fn parse_name_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        // The text is not repeated: it may be a secret whose name was forgotten.
        _ => Err("there is no `NAME=` before the value".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_may_name_several_images() {
        let parse = |text: &str| {
            let images = ImageList::parse(text).ok()?.0;
            let texts = images.iter().map(|(app, image)| format!("{app} {image}"));
            Some(texts.collect::<Vec<_>>().join("; "))
        };
        for (text, expected) in [
            ("web=nginx:1", Some("web nginx:1")),
            (
                "web=a:1,worker=b@sha256:0",
                Some("web a:1; worker b@sha256:0"),
            ),
            ("web=a:1\nworker=b:2\n", Some("web a:1; worker b:2")),
            (" web=a:1, worker=b:2 ", Some("web a:1; worker b:2")),
            ("", None),
            (",", None),
            ("nginx:1", None),
            ("web=a:1,nginx", None),
            ("=a:1", None),
        ] {
            assert_eq!(parse(text).as_deref(), expected, "{text}");
        }
    }
}
