//! Reads files that a manifest or a user names, with limits. A path in a manifest may come from a
//! branch that nobody has reviewed: reading a pipe would block, reading a device never ends, and
//! the content of a file that is not a manifest must not be quoted in an error.

use std::{
    ffi::OsStr,
    fs::File,
    io::{Error, ErrorKind, Read as _, Result},
    path::Path,
};

/// The maximum size of a text file that a manifest names, in bytes. A manifest with a hundred apps
/// has about 100 kB.
pub(crate) const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;
/// The maximum size of a file named on the command line, in bytes: a saved plan of 100 000 machines
/// is large.
const MAX_USER_FILE_BYTES: u64 = 512 * 1024 * 1024;

/// Reads a regular text file that a manifest names.
///
/// # Errors
/// When it cannot be read, is not a regular file, is too large, or is not UTF-8.
pub(crate) fn read_text(path: &Path) -> Result<String> {
    parse_utf8(read_bytes(path, MAX_FILE_BYTES)?)
}

/// Reads a manifest. Its name, and the name of the file that a link leads to, must have one of the
/// extensions, because errors quote lines of the file.
///
/// # Errors
/// As [`read_text`], and when it has another extension.
pub(crate) fn read_document(path: &Path, extensions: &[&str]) -> Result<String> {
    // A missing file or a folder gets its own error first.
    check_regular_file(path)?;
    let extension = |path: &Path| {
        path.extension()
            .and_then(OsStr::to_str)
            .map(str::to_ascii_lowercase)
    };
    let known =
        |path: &Path| extension(path).is_some_and(|extension| extensions.contains(&&*extension));
    if known(path) && known(&std::fs::canonicalize(path)?) {
        return read_text(path);
    }
    let extensions: Vec<String> = extensions
        .iter()
        .map(|extension| format!(".{extension}"))
        .collect();
    let reason = format!(
        "its name, and the file that a link leads to, must end in {}",
        extensions.join(" or ")
    );
    Err(Error::new(ErrorKind::InvalidInput, reason))
}

/// Reads a file that the user named, which may be a pipe: `--env-file <(decrypt …)`.
///
/// # Errors
/// When it cannot be read, is too large, or is not UTF-8.
pub fn read_user_file(path: &Path) -> Result<String> {
    parse_utf8(read_limited(path, MAX_USER_FILE_BYTES)?)
}

/// Reads a regular file.
///
/// # Errors
/// When it cannot be read, is not a regular file, or has more than `max_bytes`.
pub(crate) fn read_bytes(path: &Path, max_bytes: u64) -> Result<Vec<u8>> {
    check_regular_file(path)?;
    read_limited(path, max_bytes)
}

/// The kernel's own file systems: /proc/self/environ contains our tokens, which would end up in a
/// machine, or in a plan that others read.
const KERNEL_FILE_SYSTEMS: [&str; 2] = ["/proc", "/sys"];

/// Checks the type of a file before it is opened, because opening a pipe blocks.
fn check_regular_file(path: &Path) -> Result<()> {
    let meta = std::fs::metadata(path)?;
    let real = std::fs::canonicalize(path)?;
    if meta.is_file()
        && !KERNEL_FILE_SYSTEMS
            .iter()
            .any(|folder| real.starts_with(folder))
    {
        return Ok(());
    }
    let reason = if meta.is_dir() {
        "it is a folder"
    } else {
        "it is not a regular file"
    };
    Err(Error::new(ErrorKind::InvalidInput, reason))
}

/// Reads at most `max_bytes`. The reported size is not trusted: a file may grow, and files in /proc
/// report none.
fn read_limited(path: &Path, max_bytes: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(max_bytes + 1)
        .read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > max_bytes) {
        return Err(Error::new(
            ErrorKind::FileTooLarge,
            format!("it has more than {max_bytes} bytes, the maximum"),
        ));
    }
    Ok(bytes)
}

fn parse_utf8(bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).map_err(|_| Error::new(ErrorKind::InvalidData, "it is not UTF-8"))
}
