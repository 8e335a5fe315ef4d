//! Expressions, by operator precedence.

use super::{Parsed, SqlParser};
use crate::postgres::ast::SqlExpr;
use crate::postgres::error::SqlError;
use crate::postgres::lexer::SqlTokenKind;
use crate::postgres::value::SqlValue;

/// How deep expressions may be nested; a much deeper one could overflow the stack.
const MAX_DEPTH: usize = 100;
/// The functions that are written without parentheses.
const BARE_FUNCTIONS: [&str; 6] = [
    "current_catalog",
    "current_date",
    "current_role",
    "current_timestamp",
    "current_user",
    "session_user",
];
const COMPARISONS: [&str; 7] = ["=", "<>", "!=", "<", ">", "<=", ">="];

impl SqlParser<'_> {
    pub(super) fn expression(&mut self) -> Parsed<SqlExpr> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(SqlError::new("54001", "stack depth limit exceeded"));
        }
        let mut left = self.conjunction()?;
        while self.is_word("or") {
            left = self.binary("or", left, Self::conjunction)?;
        }
        self.depth -= 1;
        Ok(left)
    }

    fn conjunction(&mut self) -> Parsed<SqlExpr> {
        let mut left = self.negation()?;
        while self.is_word("and") {
            left = self.binary("and", left, Self::negation)?;
        }
        Ok(left)
    }

    fn negation(&mut self) -> Parsed<SqlExpr> {
        let mut negations = 0;
        while self.take_word("not") {
            negations += 1;
        }
        let mut operand = self.comparison()?;
        for _ in 0..negations {
            operand = SqlExpr::Not(Box::new(operand));
        }
        Ok(operand)
    }

    /// Parses the operator, which is the next token, and its right side.
    fn binary(
        &mut self,
        operator: &str,
        left: SqlExpr,
        right: fn(&mut Self) -> Parsed<SqlExpr>,
    ) -> Parsed<SqlExpr> {
        let position = self.position();
        self.advance();
        Ok(SqlExpr::Binary {
            operator: operator.to_owned(),
            left: Box::new(left),
            right: Box::new(right(self)?),
            position,
        })
    }

    fn comparison(&mut self) -> Parsed<SqlExpr> {
        let mut left = self.other_operators()?;
        loop {
            let operator = match self.peek() {
                SqlTokenKind::Operator(found) if COMPARISONS.contains(&found.as_str()) => {
                    found.clone()
                }
                _ => break,
            };
            left = self.binary(&operator, left, Self::other_operators)?;
        }
        if self.take_word("is") {
            let negated = self.take_word("not");
            let operand = Box::new(left);
            if self.take_word("null") {
                return Ok(SqlExpr::IsNull { operand, negated });
            }
            return Err(SqlError::unsupported("IS with anything but NULL"));
        }
        let negated = self.is_word("not")
            && ["in", "like", "ilike"]
                .iter()
                .any(|word| self.is_word_at(1, word));
        self.at += usize::from(negated);
        if self.take_word("in") {
            return self.in_list(left, negated);
        }
        if self.is_word("like") {
            let like = self.binary("like", left, Self::other_operators)?;
            return Ok(if negated {
                SqlExpr::Not(Box::new(like))
            } else {
                like
            });
        }
        Ok(left)
    }

    fn in_list(&mut self, operand: SqlExpr, negated: bool) -> Parsed<SqlExpr> {
        let operand = Box::new(operand);
        self.expect_operator("(")?;
        let expression = if self.is_word("select") {
            let query = Box::new(self.select()?);
            SqlExpr::InQuery {
                operand,
                query,
                negated,
            }
        } else {
            let list = self.list(Self::expression)?;
            SqlExpr::InList {
                operand,
                list,
                negated,
            }
        };
        self.expect_operator(")")?;
        Ok(expression)
    }

    /// `||`, `~`, `->>` and other operators between comparison and addition.
    fn other_operators(&mut self) -> Parsed<SqlExpr> {
        let mut left = self.sum()?;
        while let SqlTokenKind::Operator(found) = self.peek() {
            let known = ["||", "~", "!~", "~*", "!~*", "->", "->>"];
            if !known.contains(&found.as_str()) {
                break;
            }
            let operator = found.clone();
            left = self.binary(&operator, left, Self::sum)?;
        }
        Ok(left)
    }

    fn sum(&mut self) -> Parsed<SqlExpr> {
        let mut left = self.product()?;
        while let SqlTokenKind::Operator(found) = self.peek() {
            if !matches!(found.as_str(), "+" | "-") {
                break;
            }
            let operator = found.clone();
            left = self.binary(&operator, left, Self::product)?;
        }
        Ok(left)
    }

    fn product(&mut self) -> Parsed<SqlExpr> {
        let mut left = self.cast()?;
        while let SqlTokenKind::Operator(found) = self.peek() {
            if !matches!(found.as_str(), "*" | "/" | "%") {
                break;
            }
            let operator = found.clone();
            left = self.binary(&operator, left, Self::cast)?;
        }
        Ok(left)
    }

    fn cast(&mut self) -> Parsed<SqlExpr> {
        let mut operand = self.primary()?;
        while self.take_operator("::") {
            operand = SqlExpr::Cast {
                operand: Box::new(operand),
                target: self.type_name()?,
            };
        }
        Ok(operand)
    }

    fn type_name(&mut self) -> Parsed<String> {
        let mut name = self.qualified_name()?;
        if let Some(plain) = name.strip_prefix("pg_catalog.") {
            name = plain.to_owned();
        }
        if self.take_operator("[") {
            self.expect_operator("]")?;
            name.push_str("[]");
        }
        Ok(name)
    }

    fn primary(&mut self) -> Parsed<SqlExpr> {
        let position = self.position();
        match self.peek().clone() {
            SqlTokenKind::Text(text) => {
                self.advance();
                Ok(SqlExpr::Literal(SqlValue::Text(text)))
            }
            SqlTokenKind::Number(number) => {
                let value = number_value(&number).ok_or_else(|| self.unexpected())?;
                self.advance();
                // `16e6` is a number with an exponent.
                if let (SqlTokenKind::Word(word), SqlValue::Int(base)) = (self.peek(), &value)
                    && let Some(power) = word.strip_prefix('e').and_then(|p| p.parse::<i32>().ok())
                {
                    let value = SqlValue::Float(*base as f64 * 10f64.powi(power));
                    self.advance();
                    return Ok(SqlExpr::Literal(value));
                }
                Ok(SqlExpr::Literal(value))
            }
            SqlTokenKind::Operator(operator) if operator == "-" => {
                self.advance();
                Ok(SqlExpr::Negate(Box::new(self.cast()?)))
            }
            SqlTokenKind::Operator(operator) if operator == "(" => {
                self.advance();
                let inner = if self.is_word("select") {
                    SqlExpr::Scalar(Box::new(self.select()?))
                } else {
                    self.expression()?
                };
                self.expect_operator(")")?;
                Ok(inner)
            }
            SqlTokenKind::Word(word) => self.word_expression(&word, position),
            SqlTokenKind::Quoted(_) => self.column_or_call(position),
            _ => Err(self.unexpected()),
        }
    }

    fn word_expression(&mut self, word: &str, position: usize) -> Parsed<SqlExpr> {
        let literal = match word {
            "true" => Some(SqlValue::Bool(true)),
            "false" => Some(SqlValue::Bool(false)),
            "null" => Some(SqlValue::Null),
            _ => None,
        };
        if let Some(value) = literal {
            self.advance();
            return Ok(SqlExpr::Literal(value));
        }
        match word {
            "exists" => {
                self.advance();
                self.expect_operator("(")?;
                let query = self.select()?;
                self.expect_operator(")")?;
                Ok(SqlExpr::Exists(Box::new(query)))
            }
            "case" => self.case(),
            "array" => self.array(),
            "cast" => {
                self.advance();
                self.expect_operator("(")?;
                let operand = Box::new(self.expression()?);
                self.expect_word("as")?;
                let target = self.type_name()?;
                self.expect_operator(")")?;
                Ok(SqlExpr::Cast { operand, target })
            }
            _ if BARE_FUNCTIONS.contains(&word) => {
                self.advance();
                Ok(SqlExpr::Call {
                    name: word.to_owned(),
                    arguments: Vec::new(),
                    star: false,
                    order_by: Vec::new(),
                    filter: None,
                    position,
                })
            }
            _ => self.column_or_call(position),
        }
    }

    fn case(&mut self) -> Parsed<SqlExpr> {
        self.expect_word("case")?;
        let operand = if self.is_word("when") {
            None
        } else {
            Some(Box::new(self.expression()?))
        };
        let mut branches = Vec::new();
        while self.take_word("when") {
            let condition = self.expression()?;
            self.expect_word("then")?;
            branches.push((condition, self.expression()?));
        }
        let otherwise = if self.take_word("else") {
            Some(Box::new(self.expression()?))
        } else {
            None
        };
        self.expect_word("end")?;
        Ok(SqlExpr::Case {
            operand,
            branches,
            otherwise,
        })
    }

    fn array(&mut self) -> Parsed<SqlExpr> {
        self.expect_word("array")?;
        if self.take_operator("(") {
            let query = self.select()?;
            self.expect_operator(")")?;
            return Ok(SqlExpr::ArrayOf(Box::new(query)));
        }
        self.expect_operator("[")?;
        let items = if self.is_operator("]") {
            Vec::new()
        } else {
            self.list(Self::expression)?
        };
        self.expect_operator("]")?;
        Ok(SqlExpr::Array(items))
    }

    fn column_or_call(&mut self, position: usize) -> Parsed<SqlExpr> {
        let mut name = self.name()?;
        let mut table = None;
        if self.take_operator(".") {
            table = Some(std::mem::replace(&mut name, self.name()?));
        }
        if !self.take_operator("(") {
            return Ok(SqlExpr::Column {
                table,
                name,
                position,
            });
        }
        let star = self.take_operator("*");
        let mut arguments = Vec::new();
        let mut order_by = Vec::new();
        if !star && !self.is_operator(")") {
            if self.is_word("distinct") {
                return Err(SqlError::unsupported("DISTINCT in an aggregate"));
            }
            arguments = self.list(Self::expression)?;
            if self.take_words(&["order", "by"]) {
                order_by = self.list(Self::order_by)?;
            }
        }
        self.expect_operator(")")?;
        let mut filter = None;
        if self.take_word("filter") {
            self.expect_operator("(")?;
            self.expect_word("where")?;
            filter = Some(Box::new(self.expression()?));
            self.expect_operator(")")?;
        }
        Ok(SqlExpr::Call {
            name,
            arguments,
            star,
            order_by,
            filter,
            position,
        })
    }
}

fn number_value(number: &str) -> Option<SqlValue> {
    match number.parse() {
        Ok(integer) => Some(SqlValue::Int(integer)),
        Err(_) => number.parse().ok().map(SqlValue::Float),
    }
}
