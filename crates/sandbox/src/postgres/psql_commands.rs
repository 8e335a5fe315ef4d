//! The backslash commands of `psql`.

use super::psql::{EXIT_BAD_CONNECTION, ScriptEnd, ScriptRun, connection_failure, quoted_length};
use super::select::SqlRows;
use super::value::SqlValue;

impl ScriptRun<'_, '_> {
    /// Carries out a backslash command; `text` is the rest of its line.
    pub(super) fn backslash(&mut self, text: &str) -> Result<(), ScriptEnd> {
        let end = text.find(char::is_whitespace).unwrap_or(text.len());
        let (command, rest) = text.split_at(end);
        let arguments = self.arguments(rest);
        let first = arguments.first().map(String::as_str);
        match command {
            "gset" => self.gset(first.unwrap_or_default()),
            "gexec" => self.gexec(),
            "g" => self.send_buffer(),
            "set" => {
                if let Some((name, values)) = arguments.split_first() {
                    self.set(name, &values.concat());
                }
                Ok(())
            }
            "unset" => {
                if let Some(name) = first {
                    self.variables.remove(name);
                }
                Ok(())
            }
            "connect" | "c" => self.reconnect(&arguments),
            "echo" | "qecho" => {
                self.output.stdout += &format!("{}\n", arguments.join(" "));
                Ok(())
            }
            "warn" => {
                self.output.stderr += &format!("{}\n", arguments.join(" "));
                Ok(())
            }
            "q" | "quit" => Err(ScriptEnd::Exit(0)),
            _ => {
                self.buffer.clear();
                self.client_error(&format!("invalid command \\{command}"))
            }
        }
    }

    /// The arguments of a backslash command: words, quoted text and variables.
    fn arguments(&self, text: &str) -> Vec<String> {
        let mut arguments = Vec::new();
        let mut current: Option<String> = None;
        let mut at = 0;
        while let Some(c) = text[at..].chars().next() {
            let rest = &text[at..];
            if c.is_whitespace() {
                arguments.extend(current.take());
                at += c.len_utf8();
                continue;
            }
            let word = current.get_or_insert_default();
            match c {
                '\'' => {
                    let length = quoted_length(rest, '\'');
                    word.push_str(&unescape(rest[..length].trim_matches('\'')));
                    at += length;
                }
                ':' => match self.variable_at(rest) {
                    Some((value, length)) => {
                        word.push_str(&value);
                        at += length;
                    }
                    None => {
                        word.push(':');
                        at += 1;
                    }
                },
                c => {
                    word.push(c);
                    at += c.len_utf8();
                }
            }
        }
        arguments.extend(current);
        arguments
    }

    /// Sends the statement so far; `None` when there is none or it failed.
    fn take_rows(&mut self) -> Result<Option<SqlRows>, ScriptEnd> {
        let statement = std::mem::take(&mut self.buffer);
        match statement.trim() {
            "" => Ok(None),
            statement => self.send(statement),
        }
    }

    /// Stores the only row in variables.
    fn gset(&mut self, prefix: &str) -> Result<(), ScriptEnd> {
        let Some(rows) = self.take_rows()? else {
            return Ok(());
        };
        let row = match rows.rows.as_slice() {
            [row] => row,
            [] => return self.client_error("no rows returned for \\gset"),
            _ => return self.client_error("more than one row returned for \\gset"),
        };
        for (name, value) in rows.columns.iter().zip(row) {
            let name = format!("{prefix}{name}");
            match value.print() {
                Some(text) => self.set(&name, &text),
                None => drop(self.variables.remove(&name)),
            }
        }
        Ok(())
    }

    /// Sends every field of the result as a statement.
    fn gexec(&mut self) -> Result<(), ScriptEnd> {
        let Some(rows) = self.take_rows()? else {
            return Ok(());
        };
        for statement in rows.rows.iter().flatten().filter_map(SqlValue::print) {
            if let Some(rows) = self.send(&statement)? {
                self.print_rows(&rows);
            }
        }
        Ok(())
    }

    /// Connects to another database, maybe as another role; `-` keeps what is connected to.
    fn reconnect(&mut self, arguments: &[String]) -> Result<(), ScriptEnd> {
        let Some(session) = self.session.take() else {
            return Err(ScriptEnd::Exit(EXIT_BAD_CONNECTION));
        };
        let chosen = |index: usize, current: &str| {
            let argument = arguments.get(index).filter(|argument| *argument != "-");
            argument.map_or_else(|| current.to_owned(), Clone::clone)
        };
        let (database, role) = (chosen(0, &session.database), chosen(1, &session.role));
        match session.reconnect(&role, &database) {
            Ok(session) => {
                self.session = Some(session);
                Ok(())
            }
            Err(error) => {
                let failure = connection_failure(&error);
                self.client_error(&format!("\\connect: {failure}"))?;
                // A script has nobody to ask for another connection.
                Err(ScriptEnd::Exit(EXIT_BAD_CONNECTION))
            }
        }
    }
}

/// The escapes in a quoted argument of a backslash command.
fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match characters.next() {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some(other) => out.push(other),
            None => {}
        }
    }
    out
}
