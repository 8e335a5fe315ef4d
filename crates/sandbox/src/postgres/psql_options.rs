//! The command line of `psql`.

use std::collections::BTreeMap;

/// What a command line of `psql` asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PsqlInvocation {
    pub(crate) user: Option<String>,
    pub(crate) database: Option<String>,
    pub(crate) host: Option<String>,
    pub(crate) port: Option<String>,
    pub(crate) variables: BTreeMap<String, String>,
    pub(crate) quiet: bool,
    pub(crate) unaligned: bool,
    pub(crate) tuples_only: bool,
    pub(crate) separator: Option<String>,
    pub(crate) single_transaction: bool,
    /// `-f -`: the script comes from standard input. `psql` without it names no lines in messages.
    pub(crate) names_input: bool,
    /// `-c`: statements in place of a script.
    pub(crate) commands: Vec<String>,
}

/// The options that take a value: short, long.
const VALUED: [(char, &str); 8] = [
    ('U', "username"),
    ('d', "dbname"),
    ('h', "host"),
    ('p', "port"),
    ('v', "set"),
    ('F', "field-separator"),
    ('f', "file"),
    ('c', "command"),
];
/// The options without one.
const FLAGS: [(char, &str); 7] = [
    ('X', "no-psqlrc"),
    ('q', "quiet"),
    ('A', "no-align"),
    ('t', "tuples-only"),
    ('1', "single-transaction"),
    ('w', "no-password"),
    ('b', "echo-errors"),
];

/// Parses the arguments of `psql`.
///
/// # Errors
/// What `psql` prints about them, or what the sandbox does not support.
pub(crate) fn parse_arguments(arguments: &[String]) -> Result<PsqlInvocation, String> {
    let mut invocation = PsqlInvocation::default();
    let mut positional = Vec::new();
    let mut rest = arguments.iter().map(String::as_str);
    while let Some(argument) = rest.next() {
        if let Some(long) = argument.strip_prefix("--") {
            let (name, inline) = match long.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (long, None),
            };
            if let Some((short, _)) = VALUED.iter().find(|(_, known)| *known == name) {
                let value = inline.or_else(|| rest.next());
                set_value(&mut invocation, *short, value)?;
            } else if let Some((short, _)) = FLAGS.iter().find(|(_, known)| *known == name) {
                set_flag(&mut invocation, *short);
            } else {
                return Err(format!("unrecognized option '{argument}'"));
            }
        } else if let Some(letters) = argument.strip_prefix('-').filter(|l| !l.is_empty()) {
            set_letters(&mut invocation, letters, &mut rest)?;
        } else {
            positional.push(argument.to_owned());
        }
    }
    let mut positional = positional.into_iter();
    if invocation.database.is_none() {
        invocation.database = positional.next();
    }
    if invocation.user.is_none() {
        invocation.user = positional.next();
    }
    Ok(invocation)
}

/// Several options in one argument, such as `-XqAt`, of which the last may take a value.
fn set_letters<'a>(
    invocation: &mut PsqlInvocation,
    letters: &'a str,
    rest: &mut impl Iterator<Item = &'a str>,
) -> Result<(), String> {
    for (index, letter) in letters.char_indices() {
        if VALUED.iter().any(|(known, _)| *known == letter) {
            let inline = Some(&letters[index + letter.len_utf8()..]).filter(|v| !v.is_empty());
            return set_value(invocation, letter, inline.or_else(|| rest.next()));
        }
        if !FLAGS.iter().any(|(known, _)| *known == letter) {
            return Err(format!("invalid option -- '{letter}'"));
        }
        set_flag(invocation, letter);
    }
    Ok(())
}

fn set_flag(invocation: &mut PsqlInvocation, letter: char) {
    match letter {
        'q' => invocation.quiet = true,
        'A' => invocation.unaligned = true,
        't' => invocation.tuples_only = true,
        '1' => invocation.single_transaction = true,
        // There is no psqlrc, and no terminal to ask for a password.
        _ => {}
    }
}

fn set_value(
    invocation: &mut PsqlInvocation,
    letter: char,
    value: Option<&str>,
) -> Result<(), String> {
    let value = value.ok_or_else(|| format!("option requires an argument -- '{letter}'"))?;
    match letter {
        'U' => invocation.user = Some(value.to_owned()),
        'd' => invocation.database = Some(value.to_owned()),
        'h' => invocation.host = Some(value.to_owned()),
        'p' => invocation.port = Some(value.to_owned()),
        'F' => invocation.separator = Some(value.to_owned()),
        'v' => {
            let (name, text) = value.split_once('=').unwrap_or((value, ""));
            invocation
                .variables
                .insert(name.to_owned(), text.to_owned());
        }
        'c' => invocation.commands.push(value.to_owned()),
        _ if value == "-" => invocation.names_input = true,
        _ => return Err(format!("{value}: No such file or directory")),
    }
    Ok(())
}
