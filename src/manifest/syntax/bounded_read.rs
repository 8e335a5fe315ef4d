//! The files that a manifest or a user names, read within bounds. A path in a manifest may come from a branch that nobody
//! has reviewed: a pipe would be waited for, a device never ends, and what is no manifest must not be quoted in an error.

use std::{
    ffi::OsStr,
    fs::File,
    io::{Error, ErrorKind, Read as _, Result},
    path::Path,
};

/// The most that a file of text may hold that a manifest names, in bytes. A manifest with a hundred apps has about 100 kB.
pub(crate) const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;
/// The most that a file may hold that is named on the command line, in bytes: a saved plan of 100 000 machines is long.
const MAX_USER_FILE_BYTES: u64 = 512 * 1024 * 1024;

/// The text of a plain file that a manifest names.
///
/// # Errors
/// When it cannot be read, is no plain file, is too large, or is no text.
pub(crate) fn read_text(path: &Path) -> Result<String> {
    parse_utf8(read_bytes(path, MAX_FILE_BYTES)?)
}

/// The same of a file of manifests: its real name must end in one of these, wherever a link leads, because an error quotes
/// the lines of such a file.
///
/// # Errors
/// As [`text`], and when it has another name.
pub(crate) fn read_document(path: &Path, endings: &[&str]) -> Result<String> {
    // Whether it is there and plain is said first.
    check_regular_file(path)?;
    let ending = |path: &Path| {
        path.extension()
            .and_then(OsStr::to_str)
            .map(str::to_ascii_lowercase)
    };
    let known = |path: &Path| ending(path).is_some_and(|ending| endings.contains(&&*ending));
    if known(path) && known(&std::fs::canonicalize(path)?) {
        return read_text(path);
    }
    let endings: Vec<String> = endings.iter().map(|ending| format!(".{ending}")).collect();
    let what = format!(
        "neither its name nor where a link leads may end in anything but {}",
        endings.join(" or ")
    );
    Err(Error::new(ErrorKind::InvalidInput, what))
}

/// The text of a file that the user named, which may be a pipe: `--env-file <(decrypt …)`.
///
/// # Errors
/// When it cannot be read, is too large, or is no text.
pub fn read_user_file(path: &Path) -> Result<String> {
    parse_utf8(read_limited(path, MAX_USER_FILE_BYTES)?)
}

/// The content of a plain file.
///
/// # Errors
/// When it cannot be read, is no plain file, or has more bytes than `most`.
pub(crate) fn read_bytes(path: &Path, most: u64) -> Result<Vec<u8>> {
    check_regular_file(path)?;
    read_limited(path, most)
}

/// Where the kernel tells of processes and devices: /proc/self/environ is our own tokens, which would go into a machine,
/// or into a plan that others read.
const KERNEL_FILE_SYSTEMS: [&str; 2] = ["/proc", "/sys"];

/// Before a file is opened: opening a pipe waits for its other end.
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
    let what = if meta.is_dir() {
        "it is a folder"
    } else {
        "it is no plain file"
    };
    Err(Error::new(ErrorKind::InvalidInput, what))
}

/// A file may grow, and those of /proc say nothing of their size: what is read is what counts.
fn read_limited(path: &Path, most: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > most) {
        return Err(Error::new(
            ErrorKind::FileTooLarge,
            format!("it has more than {most} bytes, which is the most"),
        ));
    }
    Ok(bytes)
}

fn parse_utf8(bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).map_err(|_| Error::new(ErrorKind::InvalidData, "it is not UTF-8"))
}
