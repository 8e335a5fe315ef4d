//! Aggregate functions.

use std::cmp::Ordering;

use serde_json::Value;

use super::ast::SqlExpr;
use super::error::SqlError;
use super::eval::{SqlScope, eval};
use super::select::sort_rows;
use super::session::SqlSession;
use super::value::SqlValue;

const AGGREGATES: [&str; 13] = [
    "array_agg",
    "bool_and",
    "bool_or",
    "count",
    "json_agg",
    "json_object_agg",
    "jsonb_agg",
    "jsonb_object_agg",
    "max",
    "min",
    "string_agg",
    "sum",
    "every",
];

/// Whether a function is an aggregate.
pub(super) fn is_aggregate(name: &str) -> bool {
    AGGREGATES.contains(&name)
}

/// Whether an expression contains an aggregate outside of subqueries.
pub(super) fn has_aggregate(expression: &SqlExpr) -> bool {
    match expression {
        SqlExpr::Call {
            name, arguments, ..
        } => is_aggregate(name) || arguments.iter().any(has_aggregate),
        SqlExpr::Not(operand)
        | SqlExpr::Negate(operand)
        | SqlExpr::IsNull { operand, .. }
        | SqlExpr::InQuery { operand, .. }
        | SqlExpr::Cast { operand, .. } => has_aggregate(operand),
        SqlExpr::Binary { left, right, .. } => has_aggregate(left) || has_aggregate(right),
        SqlExpr::InList { operand, list, .. } => {
            has_aggregate(operand) || list.iter().any(has_aggregate)
        }
        SqlExpr::Array(items) => items.iter().any(has_aggregate),
        SqlExpr::Case {
            operand,
            branches,
            otherwise,
        } => {
            let parts = operand.iter().chain(otherwise).map(AsRef::as_ref);
            let branches = branches.iter().flat_map(|(when, then)| [when, then]);
            parts.chain(branches).any(has_aggregate)
        }
        SqlExpr::Literal(_)
        | SqlExpr::Column { .. }
        | SqlExpr::Exists(_)
        | SqlExpr::Scalar(_)
        | SqlExpr::ArrayOf(_) => false,
    }
}

/// Evaluates an aggregate over the rows of the group.
///
/// # Errors
/// The server's error.
pub(super) fn eval_aggregate(
    session: &mut SqlSession<'_>,
    scope: &SqlScope<'_>,
    call: &SqlExpr,
) -> Result<SqlValue, SqlError> {
    let SqlExpr::Call {
        name,
        arguments,
        star,
        order_by,
        filter,
        position,
    } = call
    else {
        return Ok(SqlValue::Null);
    };
    let Some(group) = scope.group else {
        let message = "aggregate functions are not allowed in WHERE";
        return Err(SqlError::new("42803", message).at(*position));
    };
    let mut rows = Vec::new();
    for row in group {
        let scope = SqlScope::new(scope.tables, row, scope.parent);
        if let Some(filter) = filter
            && !eval(session, &scope, filter)?.is_true()
        {
            continue;
        }
        let mut values = Vec::new();
        for argument in arguments {
            values.push(eval(session, &scope, argument)?);
        }
        let mut keys = Vec::new();
        for order in order_by {
            keys.push(eval(session, &scope, &order.key)?);
        }
        rows.push((values, keys));
    }
    sort_rows(&mut rows, order_by);
    let rows: Vec<Vec<SqlValue>> = rows.into_iter().map(|(values, _)| values).collect();
    if *star {
        return Ok(SqlValue::Int(rows.len() as i64));
    }
    if arguments.is_empty() {
        let message = format!("{name}(*) must be used to call a parameterless aggregate function");
        return Err(SqlError::new("42809", message).at(*position));
    }
    Ok(combine(name, &rows))
}

fn combine(name: &str, rows: &[Vec<SqlValue>]) -> SqlValue {
    let first = || rows.iter().filter_map(|row| row.first());
    let present: Vec<&SqlValue> = first().filter(|value| !value.is_null()).collect();
    if name == "count" {
        return SqlValue::Int(present.len() as i64);
    }
    let keeps_null = matches!(
        name,
        "array_agg" | "json_agg" | "jsonb_agg" | "json_object_agg" | "jsonb_object_agg"
    );
    if rows.is_empty() || (present.is_empty() && !keeps_null) {
        return SqlValue::Null;
    }
    let order =
        |left: &&SqlValue, right: &&SqlValue| left.compare(right).unwrap_or(Ordering::Equal);
    match name {
        "array_agg" => SqlValue::Array(first().cloned().collect()),
        "json_agg" | "jsonb_agg" => SqlValue::Json(first().map(SqlValue::to_json).collect()),
        "json_object_agg" | "jsonb_object_agg" => {
            let member = |row: &Vec<SqlValue>| {
                Some((row.first()?.print()?, row.get(1).map(SqlValue::to_json)?))
            };
            SqlValue::Json(Value::Object(rows.iter().filter_map(member).collect()))
        }
        "bool_and" | "every" => SqlValue::Bool(present.iter().all(|value| value.is_true())),
        "bool_or" => SqlValue::Bool(present.iter().any(|value| value.is_true())),
        "max" => present
            .into_iter()
            .max_by(order)
            .cloned()
            .unwrap_or(SqlValue::Null),
        "min" => present
            .into_iter()
            .min_by(order)
            .cloned()
            .unwrap_or(SqlValue::Null),
        "string_agg" => {
            let separator = rows[0].get(1).and_then(SqlValue::print).unwrap_or_default();
            let texts: Vec<String> = present.into_iter().filter_map(SqlValue::print).collect();
            SqlValue::Text(texts.join(&separator))
        }
        _ => {
            let integers: Option<Vec<i64>> = present
                .iter()
                .map(|value| match value {
                    SqlValue::Int(number) => Some(*number),
                    _ => None,
                })
                .collect();
            integers.map_or(SqlValue::Null, |all| SqlValue::Int(all.iter().sum()))
        }
    }
}
