//! `SELECT`.

use super::{Parsed, RESERVED, SqlParser};
use crate::postgres::ast::{FromItem, FromSource, OrderBy, SelectItem, SelectQuery, SqlExpr};
use crate::postgres::error::SqlError;
use crate::postgres::lexer::SqlTokenKind;

/// The words that may follow an empty select list.
const AFTER_SELECT_LIST: [&str; 5] = ["from", "where", "order", "limit", "group"];

impl SqlParser<'_> {
    pub(super) fn select(&mut self) -> Parsed<SelectQuery> {
        self.expect_word("select")?;
        if self.is_word("distinct") {
            return Err(SqlError::unsupported("SELECT DISTINCT"));
        }
        let mut query = SelectQuery::default();
        // `SELECT FROM table` is what `EXISTS` needs.
        let is_empty = self.at_end()
            || self.is_operator(")")
            || self.is_operator(";")
            || AFTER_SELECT_LIST.iter().any(|word| self.is_word(word));
        if !is_empty {
            query.items = self.list(Self::select_item)?;
        }
        if self.take_word("from") {
            query.from = self.table_list()?;
        }
        if self.take_word("where") {
            query.filter = Some(self.expression()?);
        }
        if self.take_words(&["group", "by"]) {
            query.group_by = self.list(Self::expression)?;
        }
        if self.take_words(&["order", "by"]) {
            query.order_by = self.list(Self::order_by)?;
        }
        if self.take_word("limit") {
            query.limit = Some(self.expression()?);
        }
        for word in ["having", "union", "except", "intersect", "offset"] {
            if self.is_word(word) {
                return Err(SqlError::unsupported(&word.to_uppercase()));
            }
        }
        Ok(query)
    }

    fn select_item(&mut self) -> Parsed<SelectItem> {
        if self.take_operator("*") {
            return Ok(SelectItem::All(None));
        }
        let is_table_star = matches!(self.peek_at(1), SqlTokenKind::Operator(dot) if dot == ".")
            && matches!(self.peek_at(2), SqlTokenKind::Operator(star) if star == "*");
        if is_table_star {
            let table = self.name()?;
            self.expect_operator(".")?;
            self.expect_operator("*")?;
            return Ok(SelectItem::All(Some(table)));
        }
        let expression = self.expression()?;
        // After AS, a keyword is a name as well.
        let alias = if self.take_word("as") {
            Some(self.label()?)
        } else {
            self.optional_alias()
        };
        Ok(SelectItem::Expression(expression, alias))
    }

    fn label(&mut self) -> Parsed<String> {
        let label = match self.peek() {
            SqlTokenKind::Word(name) | SqlTokenKind::Quoted(name) => name.clone(),
            _ => return Err(self.unexpected()),
        };
        self.advance();
        Ok(label)
    }

    fn optional_alias(&mut self) -> Option<String> {
        let alias = match self.peek() {
            SqlTokenKind::Word(word) if !RESERVED.contains(&word.as_str()) => word.clone(),
            SqlTokenKind::Quoted(name) => name.clone(),
            _ => return None,
        };
        self.advance();
        Some(alias)
    }

    fn table_list(&mut self) -> Parsed<Vec<FromItem>> {
        let mut items = vec![self.table_item()?];
        loop {
            if self.take_operator(",") || self.take_words(&["cross", "join"]) {
                items.push(self.table_item()?);
                continue;
            }
            let is_left_join =
                self.take_words(&["left", "outer", "join"]) || self.take_words(&["left", "join"]);
            if !is_left_join && !self.take_words(&["inner", "join"]) && !self.take_word("join") {
                return Ok(items);
            }
            let mut item = self.table_item()?;
            self.expect_word("on")?;
            item.condition = Some(self.expression()?);
            item.is_left_join = is_left_join;
            items.push(item);
        }
    }

    fn table_item(&mut self) -> Parsed<FromItem> {
        self.take_word("lateral");
        let position = self.position();
        let source = if self.take_operator("(") {
            let query = self.select()?;
            self.expect_operator(")")?;
            FromSource::Query(Box::new(query))
        } else {
            let name = self.qualified_name()?;
            if self.is_operator("(") {
                return Err(SqlError::unsupported("functions in FROM"));
            }
            FromSource::Table { name, position }
        };
        let alias = if self.take_word("as") {
            Some(self.label()?)
        } else {
            self.optional_alias()
        };
        Ok(FromItem {
            source,
            alias,
            condition: None,
            is_left_join: false,
        })
    }

    pub(super) fn order_by(&mut self) -> Parsed<OrderBy> {
        let key: SqlExpr = self.expression()?;
        let descending = self.take_word("desc");
        if !descending {
            self.take_word("asc");
        }
        let _ = self.take_words(&["nulls", "last"]) || self.take_words(&["nulls", "first"]);
        Ok(OrderBy { key, descending })
    }
}
