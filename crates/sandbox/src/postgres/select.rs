//! Executes `SELECT`.

use std::cmp::Ordering;

use super::aggregates::has_aggregate;
use super::ast::{FromItem, FromSource, OrderBy, SelectItem, SelectQuery, SqlExpr};
use super::catalog;
use super::error::SqlError;
use super::eval::{SqlScope, SqlTable, eval, output_name};
use super::session::SqlSession;
use super::value::SqlValue;

/// The rows of a query.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct SqlRows {
    pub(super) columns: Vec<String>,
    pub(super) rows: Vec<Vec<SqlValue>>,
}

/// A row of the joined tables: the index of the row of each, `None` where a left join found none.
pub(super) type JoinedRow = Vec<Option<usize>>;

/// A row of the result, and what it is sorted by.
type SortableRow = (Vec<SqlValue>, Vec<SqlValue>);

/// Executes a query inside of another one's row, if there is one.
///
/// # Errors
/// The server's error.
pub(super) fn run_select(
    session: &mut SqlSession<'_>,
    parent: Option<&SqlScope<'_>>,
    query: &SelectQuery,
) -> Result<SqlRows, SqlError> {
    let mut tables: Vec<SqlTable> = Vec::new();
    let mut joined: Vec<JoinedRow> = vec![Vec::new()];
    for item in &query.from {
        tables.push(load_table(session, parent, item)?);
        joined = join(session, parent, &tables, joined, item)?;
    }
    let mut rows = Vec::new();
    for row in joined {
        let scope = SqlScope::new(&tables, &row, parent);
        let holds = match &query.filter {
            Some(filter) => eval(session, &scope, filter)?.is_true(),
            None => true,
        };
        if holds {
            rows.push(row);
        }
    }
    let mut sortable: Vec<SortableRow> = Vec::new();
    if is_grouped(query) {
        for group in group_rows(session, parent, &tables, query, rows)? {
            let first = group
                .first()
                .cloned()
                .unwrap_or_else(|| vec![None; tables.len()]);
            let scope = SqlScope::new(&tables, &first, parent).with_group(&group);
            sortable.push(output_row(session, &scope, query)?);
        }
    } else {
        for row in &rows {
            let scope = SqlScope::new(&tables, row, parent);
            sortable.push(output_row(session, &scope, query)?);
        }
    }
    sort_rows(&mut sortable, &query.order_by);
    let mut rows: Vec<Vec<SqlValue>> = sortable.into_iter().map(|(row, _)| row).collect();
    if let Some(limit) = &query.limit {
        let scope = SqlScope::new(&[], &[], parent);
        if let SqlValue::Int(limit) = eval(session, &scope, limit)? {
            rows.truncate(usize::try_from(limit).unwrap_or(0));
        }
    }
    let columns = column_names(query, &tables)?;
    Ok(SqlRows { columns, rows })
}

fn load_table(
    session: &mut SqlSession<'_>,
    parent: Option<&SqlScope<'_>>,
    item: &FromItem,
) -> Result<SqlTable, SqlError> {
    let (default_alias, rows) = match &item.source {
        FromSource::Table { name, position } => {
            let plain = name.strip_prefix("pg_catalog.").unwrap_or(name);
            let rows = catalog::read_table(session, plain).ok_or_else(|| {
                let message = format!("relation \"{name}\" does not exist");
                SqlError::new("42P01", message).at(*position)
            })?;
            (plain.to_owned(), rows)
        }
        FromSource::Query(query) => (String::new(), run_select(session, parent, query)?),
    };
    Ok(SqlTable {
        alias: item.alias.clone().unwrap_or(default_alias),
        rows,
    })
}

/// Joins the rows so far with the last one of the tables.
fn join(
    session: &mut SqlSession<'_>,
    parent: Option<&SqlScope<'_>>,
    tables: &[SqlTable],
    left: Vec<JoinedRow>,
    item: &FromItem,
) -> Result<Vec<JoinedRow>, SqlError> {
    let count = tables.last().map_or(0, |table| table.rows.rows.len());
    let mut joined = Vec::new();
    for row in left {
        let mut found = false;
        for index in 0..count {
            let candidate: JoinedRow = row.iter().copied().chain([Some(index)]).collect();
            let holds = match &item.condition {
                Some(condition) => {
                    let scope = SqlScope::new(tables, &candidate, parent);
                    eval(session, &scope, condition)?.is_true()
                }
                None => true,
            };
            if holds {
                found = true;
                joined.push(candidate);
            }
        }
        if !found && item.is_left_join {
            joined.push(row.into_iter().chain([None]).collect());
        }
    }
    Ok(joined)
}

fn is_grouped(query: &SelectQuery) -> bool {
    !query.group_by.is_empty()
        || query.items.iter().any(|item| match item {
            SelectItem::Expression(expression, _) => has_aggregate(expression),
            SelectItem::All(_) => false,
        })
}

/// The groups of rows; without `GROUP BY` all of them are one, even if there is none.
fn group_rows(
    session: &mut SqlSession<'_>,
    parent: Option<&SqlScope<'_>>,
    tables: &[SqlTable],
    query: &SelectQuery,
    rows: Vec<JoinedRow>,
) -> Result<Vec<Vec<JoinedRow>>, SqlError> {
    if query.group_by.is_empty() {
        return Ok(vec![rows]);
    }
    let mut groups: Vec<(Vec<SqlValue>, Vec<JoinedRow>)> = Vec::new();
    for row in rows {
        let scope = SqlScope::new(tables, &row, parent);
        let mut key = Vec::new();
        for expression in &query.group_by {
            key.push(eval(session, &scope, group_key(query, expression))?);
        }
        match groups.iter_mut().find(|(known, _)| *known == key) {
            Some((_, members)) => members.push(row),
            None => groups.push((key, vec![row])),
        }
    }
    Ok(groups.into_iter().map(|(_, members)| members).collect())
}

/// A number in `GROUP BY` or `ORDER BY` stands for an item of the select list, and so does its alias.
fn group_key<'a>(query: &'a SelectQuery, expression: &'a SqlExpr) -> &'a SqlExpr {
    let by_number = match expression {
        SqlExpr::Literal(SqlValue::Int(number)) => usize::try_from(*number)
            .ok()
            .and_then(|number| query.items.get(number.checked_sub(1)?)),
        _ => None,
    };
    let is_alias = |item: &&SelectItem| match (item, expression) {
        (
            SelectItem::Expression(_, Some(alias)),
            SqlExpr::Column {
                table: None, name, ..
            },
        ) => alias == name,
        _ => false,
    };
    match by_number.or_else(|| query.items.iter().find(is_alias)) {
        Some(SelectItem::Expression(item, _)) => item,
        _ => expression,
    }
}

fn output_row(
    session: &mut SqlSession<'_>,
    scope: &SqlScope<'_>,
    query: &SelectQuery,
) -> Result<SortableRow, SqlError> {
    let mut row = Vec::new();
    for item in &query.items {
        match item {
            SelectItem::All(table) => row.extend(scope.all_columns(table.as_deref())),
            SelectItem::Expression(expression, _) => {
                row.push(eval(session, scope, expression)?);
            }
        }
    }
    let mut keys = Vec::new();
    for order in &query.order_by {
        keys.push(eval(session, scope, group_key(query, &order.key))?);
    }
    Ok((row, keys))
}

/// Sorts rows by their keys.
pub(super) fn sort_rows(rows: &mut [SortableRow], order_by: &[OrderBy]) {
    rows.sort_by(|(_, left), (_, right)| {
        let compare = |(order, (left, right)): (&OrderBy, (&SqlValue, &SqlValue))| {
            let ordering = left
                .compare(right)
                // Null is greater than every other value.
                .unwrap_or_else(|| left.is_null().cmp(&right.is_null()));
            if order.descending {
                ordering.reverse()
            } else {
                ordering
            }
        };
        order_by
            .iter()
            .zip(left.iter().zip(right))
            .map(compare)
            .find(|ordering| *ordering != Ordering::Equal)
            .unwrap_or(Ordering::Equal)
    });
}

fn column_names(query: &SelectQuery, tables: &[SqlTable]) -> Result<Vec<String>, SqlError> {
    let mut names = Vec::new();
    for item in &query.items {
        match item {
            SelectItem::Expression(expression, alias) => {
                names.push(alias.clone().unwrap_or_else(|| output_name(expression)));
            }
            SelectItem::All(wanted) => {
                let matches =
                    |table: &&SqlTable| wanted.as_ref().is_none_or(|wanted| table.alias == *wanted);
                let before = names.len();
                let matching = tables.iter().filter(matches);
                names.extend(matching.flat_map(|table| table.rows.columns.clone()));
                if let Some(wanted) = wanted
                    && names.len() == before
                {
                    let message = format!("missing FROM-clause entry for table \"{wanted}\"");
                    return Err(SqlError::new("42P01", message));
                }
            }
        }
    }
    Ok(names)
}
