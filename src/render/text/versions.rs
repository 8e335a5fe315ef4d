//! What runs which version, in a few lines: the answer that is wanted first when an apply has failed half-way.

use unicode_width::UnicodeWidthStr as _;

use super::{TextWriter, pad_to_width};
use crate::{
    render::{
        TextOptions,
        theme::paint,
        value::{sanitize, shorten_digests, truncate_middle},
    },
    status::{EnvironmentStatus, GroupVersions, ImageSummary, RunningVersion},
};

/// Below this many columns an image says nothing, so a narrower page has lines that are too long instead.
const MIN_IMAGE_WIDTH: usize = 24;

/// What runs which version, one line for each version of each process group.
#[must_use]
pub fn versions(fleet: &EnvironmentStatus, look: &TextOptions) -> String {
    let mut page = TextWriter::new(*look);
    let groups = fleet.versions();
    let rows: Vec<(&GroupVersions, &RunningVersion)> = groups
        .iter()
        .flat_map(|group| group.versions.iter().map(move |version| (group, version)))
        .collect();
    if rows.is_empty() {
        page.write_line("No machine is there.");
        return page.finish();
    }
    let name = rows
        .iter()
        .map(|(group, _)| group.group.width())
        .max()
        .unwrap_or_default();
    let counts =
        |(group, version): &(&GroupVersions, &RunningVersion)| machine_count_text(group, version);
    let count_width = rows
        .iter()
        .map(|row| counts(row).width())
        .max()
        .unwrap_or_default();
    let release_width = rows
        .iter()
        .map(|(_, version)| release_text(version).width())
        .max()
        .unwrap_or_default();
    let room = page
        .width
        .saturating_sub(2 + name + 2 + count_width + 2 + release_width + 2);
    let images: Vec<&ImageSummary> = rows
        .iter()
        .filter_map(|(_, version)| version.image.as_ref())
        .collect();
    let brevity = ImageFormat::fitting_all(&images, room.max(MIN_IMAGE_WIDTH));
    for row in &rows {
        let (group, version) = row;
        let image = version
            .image
            .as_ref()
            .map(|image| brevity.format_image(image, group.versions.len() > 1));
        let first = group.versions.first() == Some(*version);
        let name = pad_to_width(if first { &group.group } else { "" }, name);
        let release = match release_width {
            0 => String::new(),
            width => format!("{}  ", pad_to_width(&release_text(version), width)),
        };
        let line = format!(
            "  {name}  {}  {release}{}",
            pad_to_width(&counts(row), count_width),
            image.unwrap_or_default()
        );
        let style = if group.is_mixed() {
            page.theme.change
        } else {
            page.theme.title
        };
        page.write_line(if group.is_mixed() {
            paint(style, line)
        } else {
            line
        });
    }
    let mixed: Vec<&str> = groups
        .iter()
        .filter(|group| group.is_mixed())
        .map(|group| group.group.as_str())
        .collect();
    if !mixed.is_empty() {
        let word = paint(page.theme.error, "!");
        let verb = if mixed.len() == 1 { "runs" } else { "run" };
        page.write_line(format!(
            "{word} {} {verb} more than one version",
            mixed.join(", ")
        ));
    }
    page.finish()
}

/// `2 of 3 machines`, and how many of them are well where not all are.
fn machine_count_text(group: &GroupVersions, version: &RunningVersion) -> String {
    let here = version.machines.len();
    if version.retired {
        return format!("{here} old, hidden");
    }
    let serving = group.versions.iter().filter(|version| !version.retired);
    let all: usize = serving.map(|version| version.machines.len()).sum();
    let noun = if all == 1 { "machine" } else { "machines" };
    let ill = match version.unhealthy {
        0 => String::new(),
        ill if ill == here => ", not well".to_owned(),
        ill => format!(", {ill} not well"),
    };
    if here == all {
        format!("{all} {noun}{ill}")
    } else {
        format!("{here} of {all} {noun}{ill}")
    }
}

fn release_text(version: &RunningVersion) -> String {
    version
        .release
        .as_ref()
        .map(|release| format!("release {}", sanitize(release)))
        .unwrap_or_default()
}

/// How much is said of images, so that each fits in so many columns: the same for all of a page, which reads better
/// than as much as possible for each.
#[derive(Clone, Copy, Debug)]
pub(super) struct ImageFormat {
    level: usize,
    width: usize,
}

impl ImageFormat {
    /// The most that fits for each of these images.
    pub(super) fn fitting_all(images: &[&ImageSummary], columns: usize) -> Self {
        let fits = |level: &usize| {
            images
                .iter()
                .all(|image| image_form(image, *level, true).width() <= columns)
        };
        Self {
            level: (0..SHORTEST_FORM).find(fits).unwrap_or(SHORTEST_FORM),
            width: columns,
        }
    }

    /// The image. Where versions differ the digest is kept to the last, because a tag such as `main` is the same on
    /// both; otherwise the tag is, because it is what people know.
    pub(super) fn format_image(self, image: &ImageSummary, differs: bool) -> String {
        truncate_middle(&image_form(image, self.level, differs), self.width)
    }
}

/// The form that says least.
const SHORTEST_FORM: usize = 3;

/// The forms of an image, from the one that says most to the one that says least.
fn image_form(image: &ImageSummary, level: usize, differs: bool) -> String {
    let reference = sanitize(&image.reference);
    let (name, own) = match reference.split_once('@') {
        Some((name, digest)) => (name, Some(digest.to_owned())),
        None => (reference.as_str(), None),
    };
    let last = name.rsplit('/').next().unwrap_or(name);
    let Some(digest) = image
        .digest
        .as_deref()
        .map(sanitize)
        .or(own)
        .map(|digest| shorten_digests(&digest))
    else {
        return if level == 0 { name } else { last }.to_owned();
    };
    let bare = digest.strip_prefix("sha256:").unwrap_or(&digest);
    match level {
        0 => format!("{name} ({digest})"),
        1 => format!("{last} ({digest})"),
        2 => format!("{last} {bare}"),
        _ if differs => bare.to_owned(),
        _ => last.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> ImageSummary {
        let digest = Some(format!("sha256:{}", "0a".repeat(32)));
        ImageSummary {
            reference: "registry.fly.io/shop-web:main".to_owned(),
            digest,
        }
    }

    #[test]
    fn an_image_says_less_where_there_is_less_room() {
        let at = |columns, differs| {
            ImageFormat::fitting_all(&[&image()], columns).format_image(&image(), differs)
        };
        assert_eq!(
            at(80, false),
            "registry.fly.io/shop-web:main (sha256:0a0a0a0a0a0a…)"
        );
        assert_eq!(at(40, false), "shop-web:main (sha256:0a0a0a0a0a0a…)");
        assert_eq!(at(30, false), "shop-web:main 0a0a0a0a0a0a…");
        assert_eq!(at(14, false), "shop-web:main");
        assert_eq!(at(14, true), "0a0a0a0a0a0a…");
        for columns in 1..60 {
            assert!(at(columns, false).width() <= columns);
        }
    }
}
