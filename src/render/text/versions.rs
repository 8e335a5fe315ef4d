//! Which machines run which version, in a few lines: the first question after an apply has failed half-way.

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

/// The minimum width of an image, in columns. Shorter ones are meaningless.
const MIN_IMAGE_WIDTH: usize = 24;
/// The indentation of an image on a line of its own, in columns.
const IMAGE_INDENT: usize = 4;

/// Renders one line for each version that machines of a process group run.
#[must_use]
pub fn versions(fleet: &EnvironmentStatus, options: &TextOptions) -> String {
    let mut writer = TextWriter::new(*options);
    let groups = fleet.versions();
    let rows: Vec<(&GroupVersions, &RunningVersion)> = groups
        .iter()
        .flat_map(|group| group.versions.iter().map(move |version| (group, version)))
        .collect();
    if rows.is_empty() {
        writer.write_line("There are no machines.");
        return writer.finish();
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
    let image_width = writer
        .width
        .saturating_sub(2 + name + 2 + count_width + 2 + release_width + 2);
    let images: Vec<&ImageSummary> = rows
        .iter()
        .filter_map(|(_, version)| version.image.as_ref())
        .collect();
    // On a narrow terminal the image has a line of its own, so that nothing breaks within a digest.
    let image_below = image_width < MIN_IMAGE_WIDTH;
    let image_width = match image_below {
        true => writer.width.saturating_sub(IMAGE_INDENT),
        false => image_width,
    };
    let image_format = ImageFormat::fitting_all(&images, image_width);
    for row in &rows {
        let (group, version) = row;
        let image = version
            .image
            .as_ref()
            .map(|image| image_format.format_image(image, group.versions.len() > 1));
        let first = group.versions.first() == Some(*version);
        let name = pad_to_width(if first { &group.group } else { "" }, name);
        let release = match release_width {
            0 => String::new(),
            width => format!("{}  ", pad_to_width(&release_text(version), width)),
        };
        let head = format!(
            "  {name}  {}  {release}",
            pad_to_width(&counts(row), count_width)
        );
        let line = match image {
            None => head,
            Some(image) if image_below => {
                format!("{}\n{}{image}", head.trim_end(), " ".repeat(IMAGE_INDENT))
            }
            Some(image) => format!("{head}{image}"),
        };
        let style = if group.is_mixed() {
            writer.theme.change
        } else {
            writer.theme.title
        };
        writer.write_line(if group.is_mixed() {
            paint(style, line)
        } else {
            line
        });
    }
    writer.write_mixed_groups(&groups);
    writer.finish()
}

impl TextWriter {
    /// Names the groups that run more than one version.
    fn write_mixed_groups(&mut self, groups: &[GroupVersions]) {
        let mixed: Vec<&str> = groups
            .iter()
            .filter(|group| group.is_mixed())
            .map(|group| group.group.as_str())
            .collect();
        if mixed.is_empty() {
            return;
        }
        let word = paint(self.theme.error, "!");
        let verb = if mixed.len() == 1 { "runs" } else { "run" };
        self.write_line(format!(
            "{word} {} {verb} more than one version",
            mixed.join(", ")
        ));
    }
}

/// `2 of 3 machines`, and how many of them are unhealthy, if any.
fn machine_count_text(group: &GroupVersions, version: &RunningVersion) -> String {
    let running = version.machines.len();
    if version.retired {
        return format!("{running} old, hidden");
    }
    let unhealthy = match version.unhealthy {
        0 => String::new(),
        unhealthy if unhealthy == running => ", not well".to_owned(),
        unhealthy => format!(", {unhealthy} not well"),
    };
    if version.waiting {
        return format!("{running} new, hidden{unhealthy}");
    }
    let serving = group
        .versions
        .iter()
        .filter(|version| version.is_in_service());
    let total: usize = serving.map(|version| version.machines.len()).sum();
    let noun = if total == 1 { "machine" } else { "machines" };
    if running == total {
        format!("{total} {noun}{unhealthy}")
    } else {
        format!("{running} of {total} {noun}{unhealthy}")
    }
}

fn release_text(version: &RunningVersion) -> String {
    version
        .release
        .as_ref()
        .map(|release| format!("release {}", sanitize(release)))
        .unwrap_or_default()
}

/// How image references are abbreviated to fit into a column. All images of an output use the same form, which is easier to
/// read than the longest possible form for each.
#[derive(Clone, Copy, Debug)]
pub(super) struct ImageFormat {
    level: usize,
    width: usize,
}

impl ImageFormat {
    /// The longest form in which each of these images fits into `columns`.
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

    /// Abbreviates an image. If versions differ, the shortest form is the digest, because a tag such as `main` can be the
    /// same for both; otherwise it is the tag, which people know.
    pub(super) fn format_image(self, image: &ImageSummary, differs: bool) -> String {
        truncate_middle(&image_form(image, self.level, differs), self.width)
    }
}

/// The level of the shortest form.
const SHORTEST_FORM: usize = 3;

/// The form of an image at a level, from 0 for the longest to [`SHORTEST_FORM`].
fn image_form(image: &ImageSummary, level: usize, differs: bool) -> String {
    let reference = sanitize(&image.reference);
    let (name, reference_digest) = match reference.split_once('@') {
        Some((name, digest)) => (name, Some(digest.to_owned())),
        None => (reference.as_str(), None),
    };
    let short_name = name.rsplit('/').next().unwrap_or(name);
    let Some(digest) = image
        .digest
        .as_deref()
        .map(sanitize)
        .or(reference_digest)
        .map(|digest| shorten_digests(&digest))
    else {
        return if level == 0 { name } else { short_name }.to_owned();
    };
    let digits = digest.strip_prefix("sha256:").unwrap_or(&digest);
    match level {
        0 => format!("{name} ({digest})"),
        1 => format!("{short_name} ({digest})"),
        2 => format!("{short_name} {digits}"),
        _ if differs => digits.to_owned(),
        _ => short_name.to_owned(),
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
    fn images_are_abbreviated_to_the_width() {
        let render = |columns, differs| {
            ImageFormat::fitting_all(&[&image()], columns).format_image(&image(), differs)
        };
        assert_eq!(
            render(80, false),
            "registry.fly.io/shop-web:main (sha256:0a0a0a0a0a0a…)"
        );
        assert_eq!(render(40, false), "shop-web:main (sha256:0a0a0a0a0a0a…)");
        assert_eq!(render(30, false), "shop-web:main 0a0a0a0a0a0a…");
        assert_eq!(render(14, false), "shop-web:main");
        assert_eq!(render(14, true), "0a0a0a0a0a0a…");
        for columns in 1..60 {
            assert!(render(columns, false).width() <= columns);
        }
    }
}
