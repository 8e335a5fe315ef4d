//! Evaluates expressions.

use std::cmp::Ordering;

use serde_json::Value;

use super::aggregates::{eval_aggregate, is_aggregate};
use super::ast::SqlExpr;
use super::error::SqlError;
use super::functions::call_function;
use super::operators::{apply_operator, cast, matches_like, matches_regex};
use super::select::{JoinedRow, SqlRows, run_select};
use super::session::SqlSession;
use super::state::truncate_name;
use super::value::SqlValue;

/// A table in `FROM`.
#[derive(Clone, Debug)]
pub(super) struct SqlTable {
    pub(super) alias: String,
    pub(super) rows: SqlRows,
}

/// The columns that an expression can name: those of a row of the joined tables, then those of the
/// query around it.
#[derive(Clone, Copy, Debug)]
pub(super) struct SqlScope<'a> {
    pub(super) tables: &'a [SqlTable],
    row: &'a [Option<usize>],
    pub(super) parent: Option<&'a SqlScope<'a>>,
    /// The rows that aggregates are computed of.
    pub(super) group: Option<&'a [JoinedRow]>,
}

impl<'a> SqlScope<'a> {
    pub(super) fn new(
        tables: &'a [SqlTable],
        row: &'a [Option<usize>],
        parent: Option<&'a SqlScope<'a>>,
    ) -> Self {
        Self {
            tables,
            row,
            parent,
            group: None,
        }
    }

    pub(super) fn with_group(self, group: &'a [JoinedRow]) -> Self {
        Self {
            group: Some(group),
            ..self
        }
    }

    /// The values of all columns, or of those of one table.
    pub(super) fn all_columns(&self, table: Option<&str>) -> Vec<SqlValue> {
        let tables = self.tables.iter().zip(self.row);
        let wanted = tables.filter(|(found, _)| table.is_none_or(|table| found.alias == table));
        wanted
            .flat_map(|(found, index)| match index {
                Some(index) => found.rows.rows[*index].clone(),
                None => vec![SqlValue::Null; found.rows.columns.len()],
            })
            .collect()
    }

    fn find(&self, table: Option<&str>, name: &str) -> Result<Option<SqlValue>, SqlError> {
        let mut found = None;
        for (candidate, index) in self.tables.iter().zip(self.row) {
            if table.is_some_and(|table| table != candidate.alias) {
                continue;
            }
            let Some(column) = candidate.rows.columns.iter().position(|c| c == name) else {
                continue;
            };
            if found.is_some() {
                let message = format!("column reference \"{name}\" is ambiguous");
                return Err(SqlError::new("42702", message));
            }
            found = Some(index.map_or(SqlValue::Null, |index| {
                candidate.rows.rows[index][column].clone()
            }));
        }
        match (found, self.parent) {
            (None, Some(parent)) => parent.find(table, name),
            (found, _) => Ok(found),
        }
    }

    /// A whole row as JSON, for the name of a table in place of a column.
    fn whole_row(&self, name: &str) -> Option<SqlValue> {
        let mut tables = self.tables.iter().zip(self.row);
        match tables.find(|(table, _)| table.alias == name) {
            Some((table, index)) => {
                let row = &table.rows.rows[(*index)?];
                let names = table.rows.columns.iter().cloned();
                let members = names.zip(row.iter().map(SqlValue::to_json));
                Some(SqlValue::Json(Value::Object(members.collect())))
            }
            None => self.parent?.whole_row(name),
        }
    }
}

/// The name of a column without an alias.
pub(super) fn output_name(expression: &SqlExpr) -> String {
    match expression {
        SqlExpr::Column { name, .. } | SqlExpr::Call { name, .. } => name.clone(),
        SqlExpr::Cast { operand, target } => match output_name(operand).as_str() {
            "?column?" => target.clone(),
            name => name.to_owned(),
        },
        SqlExpr::Exists(_) => "exists".to_owned(),
        SqlExpr::Array(_) | SqlExpr::ArrayOf(_) => "array".to_owned(),
        SqlExpr::Case { .. } => "case".to_owned(),
        SqlExpr::Scalar(query) => match query.items.first() {
            Some(super::ast::SelectItem::Expression(_, Some(alias))) => alias.clone(),
            Some(super::ast::SelectItem::Expression(inner, None)) => output_name(inner),
            _ => "?column?".to_owned(),
        },
        _ => "?column?".to_owned(),
    }
}

/// Evaluates an expression.
///
/// # Errors
/// The server's error.
pub(super) fn eval(
    session: &mut SqlSession<'_>,
    scope: &SqlScope<'_>,
    expression: &SqlExpr,
) -> Result<SqlValue, SqlError> {
    match expression {
        SqlExpr::Literal(value) => Ok(value.clone()),
        SqlExpr::Column {
            table,
            name,
            position,
        } => eval_column(scope, table.as_deref(), name, *position),
        SqlExpr::Call { name, .. } if is_aggregate(name) => {
            eval_aggregate(session, scope, expression)
        }
        SqlExpr::Call {
            name,
            arguments,
            position,
            ..
        } => {
            let mut values = Vec::new();
            for argument in arguments {
                values.push(eval(session, scope, argument)?);
            }
            call_function(session, name, &values).map_err(|error| match error.code {
                "42883" => error.at(*position),
                _ => error,
            })
        }
        SqlExpr::Not(operand) => Ok(match eval(session, scope, operand)? {
            SqlValue::Bool(flag) => SqlValue::Bool(!flag),
            _ => SqlValue::Null,
        }),
        SqlExpr::Negate(operand) => Ok(match eval(session, scope, operand)? {
            SqlValue::Int(number) => SqlValue::Int(-number),
            SqlValue::Float(number) => SqlValue::Float(-number),
            _ => SqlValue::Null,
        }),
        SqlExpr::Binary { .. } => eval_binary(session, scope, expression),
        SqlExpr::IsNull { operand, negated } => {
            let is_null = eval(session, scope, operand)?.is_null();
            Ok(SqlValue::Bool(is_null != *negated))
        }
        SqlExpr::InList { .. } | SqlExpr::InQuery { .. } => eval_in(session, scope, expression),
        SqlExpr::Exists(query) => {
            let rows = run_select(session, Some(scope), query)?.rows;
            Ok(SqlValue::Bool(!rows.is_empty()))
        }
        SqlExpr::Scalar(query) => scalar(run_select(session, Some(scope), query)?),
        SqlExpr::ArrayOf(query) => {
            let rows = run_select(session, Some(scope), query)?.rows;
            Ok(SqlValue::Array(rows.into_iter().flatten().collect()))
        }
        SqlExpr::Array(items) => {
            let mut values = Vec::new();
            for item in items {
                values.push(eval(session, scope, item)?);
            }
            Ok(SqlValue::Array(values))
        }
        SqlExpr::Case { .. } => eval_case(session, scope, expression),
        SqlExpr::Cast { operand, target } => {
            let value = eval(session, scope, operand)?;
            cast(session, value, target)
        }
    }
}

/// `IN`, with a list or with a subquery.
fn eval_in(
    session: &mut SqlSession<'_>,
    scope: &SqlScope<'_>,
    expression: &SqlExpr,
) -> Result<SqlValue, SqlError> {
    match expression {
        SqlExpr::InList {
            operand,
            list,
            negated,
        } => {
            let value = eval(session, scope, operand)?;
            let mut candidates = Vec::new();
            for item in list {
                candidates.push(eval(session, scope, item)?);
            }
            Ok(contains(&value, &candidates, *negated))
        }
        SqlExpr::InQuery {
            operand,
            query,
            negated,
        } => {
            let value = eval(session, scope, operand)?;
            let rows = run_select(session, Some(scope), query)?.rows;
            let candidates: Vec<SqlValue> = rows.into_iter().flatten().collect();
            Ok(contains(&value, &candidates, *negated))
        }
        _ => Ok(SqlValue::Null),
    }
}

fn eval_column(
    scope: &SqlScope<'_>,
    table: Option<&str>,
    name: &str,
    position: usize,
) -> Result<SqlValue, SqlError> {
    let found = scope
        .find(table, name)
        .map_err(|error| error.at(position))?;
    if let Some(value) = found {
        return Ok(value);
    }
    if table.is_none()
        && let Some(row) = scope.whole_row(name)
    {
        return Ok(row);
    }
    let full = table.map_or_else(|| format!("\"{name}\""), |table| format!("{table}.{name}"));
    Err(SqlError::new("42703", format!("column {full} does not exist")).at(position))
}

/// The only value of a subquery.
fn scalar(rows: SqlRows) -> Result<SqlValue, SqlError> {
    if rows.columns.len() != 1 {
        return Err(SqlError::new(
            "42601",
            "subquery must return only one column",
        ));
    }
    if rows.rows.len() > 1 {
        return Err(SqlError::new(
            "21000",
            "more than one row returned by a subquery used as an expression",
        ));
    }
    let first = rows.rows.into_iter().flatten().next();
    Ok(first.unwrap_or(SqlValue::Null))
}

fn contains(value: &SqlValue, candidates: &[SqlValue], negated: bool) -> SqlValue {
    let found = candidates
        .iter()
        .any(|candidate| compare(value, candidate) == Some(Ordering::Equal));
    let unknown = value.is_null() || candidates.iter().any(SqlValue::is_null);
    if !found && unknown {
        SqlValue::Null
    } else {
        SqlValue::Bool(found != negated)
    }
}

/// Compares two values. Text that is compared with a name is cut like one.
fn compare(left: &SqlValue, right: &SqlValue) -> Option<Ordering> {
    match (left, right) {
        (SqlValue::Name(name), SqlValue::Text(text)) => {
            Some(name.as_str().cmp(truncate_name(text)))
        }
        (SqlValue::Text(text), SqlValue::Name(name)) => Some(truncate_name(text).cmp(name)),
        _ => left.compare(right),
    }
}

fn eval_binary(
    session: &mut SqlSession<'_>,
    scope: &SqlScope<'_>,
    expression: &SqlExpr,
) -> Result<SqlValue, SqlError> {
    let SqlExpr::Binary {
        operator,
        left,
        right,
        position,
    } = expression
    else {
        return Ok(SqlValue::Null);
    };
    let left = eval(session, scope, left)?;
    // The logical operators need their right side only where it decides.
    match (operator.as_str(), &left) {
        ("and", SqlValue::Bool(false)) => return Ok(SqlValue::Bool(false)),
        ("or", SqlValue::Bool(true)) => return Ok(SqlValue::Bool(true)),
        _ => {}
    }
    let right = eval(session, scope, right)?;
    match operator.as_str() {
        "and" => {
            return Ok(match (left.is_true(), &right) {
                (_, SqlValue::Bool(false)) => SqlValue::Bool(false),
                (true, SqlValue::Bool(true)) => SqlValue::Bool(true),
                _ => SqlValue::Null,
            });
        }
        "or" => {
            return Ok(match (&left, &right) {
                (_, SqlValue::Bool(true)) => SqlValue::Bool(true),
                (SqlValue::Bool(false), SqlValue::Bool(false)) => SqlValue::Bool(false),
                _ => SqlValue::Null,
            });
        }
        _ => {}
    }
    if left.is_null() || right.is_null() {
        return Ok(SqlValue::Null);
    }
    let ordering = || compare(&left, &right);
    let result = match operator.as_str() {
        "=" => ordering().map(Ordering::is_eq),
        "<>" | "!=" => ordering().map(Ordering::is_ne),
        "<" => ordering().map(Ordering::is_lt),
        ">" => ordering().map(Ordering::is_gt),
        "<=" => ordering().map(Ordering::is_le),
        ">=" => ordering().map(Ordering::is_ge),
        "~" | "~*" | "!~" | "!~*" => Some(matches_regex(operator, &left, &right)?),
        "like" => Some(matches_like(&left, &right)?),
        _ => return apply_operator(operator, &left, &right, *position),
    };
    Ok(result.map_or(SqlValue::Null, SqlValue::Bool))
}

fn eval_case(
    session: &mut SqlSession<'_>,
    scope: &SqlScope<'_>,
    expression: &SqlExpr,
) -> Result<SqlValue, SqlError> {
    let SqlExpr::Case {
        operand,
        branches,
        otherwise,
    } = expression
    else {
        return Ok(SqlValue::Null);
    };
    let operand = match operand {
        Some(operand) => Some(eval(session, scope, operand)?),
        None => None,
    };
    for (condition, result) in branches {
        let condition = eval(session, scope, condition)?;
        let holds = match &operand {
            Some(operand) => compare(operand, &condition) == Some(Ordering::Equal),
            None => condition.is_true(),
        };
        if holds {
            return eval(session, scope, result);
        }
    }
    match otherwise {
        Some(otherwise) => eval(session, scope, otherwise),
        None => Ok(SqlValue::Null),
    }
}
