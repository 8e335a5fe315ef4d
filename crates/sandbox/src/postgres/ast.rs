//! Parsed statements.

use super::value::SqlValue;

/// A statement.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum SqlStatement {
    Select(Box<SelectQuery>),
    Set {
        name: String,
        /// `None` for the default.
        value: Option<String>,
    },
    Show(String),
    Begin,
    Commit,
    Rollback,
    CreateRole {
        name: String,
        login: bool,
        options: Vec<RoleOption>,
    },
    AlterRole {
        name: String,
        change: RoleChange,
    },
    DropRole {
        names: Vec<String>,
        if_exists: bool,
    },
    CreateDatabase {
        name: String,
        options: Vec<DatabaseOption>,
    },
    AlterDatabase {
        name: String,
        change: DatabaseChange,
    },
    DropDatabase {
        name: String,
        if_exists: bool,
        force: bool,
    },
    DatabasePrivileges {
        is_grant: bool,
        privileges: Vec<String>,
        databases: Vec<String>,
        roles: Vec<String>,
    },
    Membership {
        is_grant: bool,
        granted: Vec<String>,
        members: Vec<String>,
    },
    Comment {
        on: CommentTarget,
        text: Option<String>,
    },
    CreateExtension {
        name: String,
        version: Option<String>,
        if_not_exists: bool,
    },
    DropExtension {
        names: Vec<String>,
        if_exists: bool,
    },
    ReassignOwned {
        from: Vec<String>,
        to: String,
    },
    DropOwned(Vec<String>),
    CreateTable {
        name: String,
        if_not_exists: bool,
    },
    DropTable {
        name: String,
        if_exists: bool,
    },
    AlterTableOwner {
        name: String,
        owner: String,
    },
    AlterSystem {
        name: String,
        value: Option<String>,
    },
}

/// What a comment is about.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum CommentTarget {
    Database(String),
    Role(String),
}

/// An attribute in `CREATE ROLE` or `ALTER ROLE`.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum RoleOption {
    Superuser(bool),
    CreateDb(bool),
    CreateRole(bool),
    Inherit(bool),
    Login(bool),
    Replication(bool),
    BypassRls(bool),
    ConnectionLimit(i64),
    /// `None` for `PASSWORD NULL`.
    Password(Option<String>),
    ValidUntil(String),
    InRole(Vec<String>),
    /// Members of the new role.
    Role(Vec<String>),
}

/// A form of `ALTER ROLE`.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum RoleChange {
    Options(Vec<RoleOption>),
    Rename(String),
    Set { name: String, value: Option<String> },
}

/// An option of `CREATE DATABASE` or `ALTER DATABASE`.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum DatabaseOption {
    Owner(String),
    Template(String),
    ConnectionLimit(i64),
    AllowConnections(bool),
    IsTemplate(bool),
    /// An option without effect in the model, such as an encoding.
    Ignored,
}

/// A form of `ALTER DATABASE`.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum DatabaseChange {
    Owner(String),
    Rename(String),
    Options(Vec<DatabaseOption>),
    Set { name: String, value: Option<String> },
}

/// A `SELECT`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct SelectQuery {
    pub(super) items: Vec<SelectItem>,
    pub(super) from: Vec<FromItem>,
    pub(super) filter: Option<SqlExpr>,
    pub(super) group_by: Vec<SqlExpr>,
    pub(super) order_by: Vec<OrderBy>,
    pub(super) limit: Option<SqlExpr>,
}

/// An item of a select list.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum SelectItem {
    /// `*`, or `alias.*`.
    All(Option<String>),
    Expression(SqlExpr, Option<String>),
}

/// A table in `FROM`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct FromItem {
    pub(super) source: FromSource,
    pub(super) alias: Option<String>,
    /// The condition of a join; `None` for a cross join.
    pub(super) condition: Option<SqlExpr>,
    pub(super) is_left_join: bool,
}

/// Where the rows of a table come from.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum FromSource {
    Table { name: String, position: usize },
    Query(Box<SelectQuery>),
}

/// An element of `ORDER BY`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct OrderBy {
    pub(super) key: SqlExpr,
    pub(super) descending: bool,
}

/// An expression.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum SqlExpr {
    Literal(SqlValue),
    Column {
        table: Option<String>,
        name: String,
        position: usize,
    },
    Call {
        name: String,
        arguments: Vec<SqlExpr>,
        /// `count(*)`.
        star: bool,
        order_by: Vec<OrderBy>,
        filter: Option<Box<SqlExpr>>,
        position: usize,
    },
    Not(Box<SqlExpr>),
    Negate(Box<SqlExpr>),
    Binary {
        operator: String,
        left: Box<SqlExpr>,
        right: Box<SqlExpr>,
        position: usize,
    },
    IsNull {
        operand: Box<SqlExpr>,
        negated: bool,
    },
    InList {
        operand: Box<SqlExpr>,
        list: Vec<SqlExpr>,
        negated: bool,
    },
    InQuery {
        operand: Box<SqlExpr>,
        query: Box<SelectQuery>,
        negated: bool,
    },
    Exists(Box<SelectQuery>),
    Scalar(Box<SelectQuery>),
    ArrayOf(Box<SelectQuery>),
    Array(Vec<SqlExpr>),
    Case {
        operand: Option<Box<SqlExpr>>,
        branches: Vec<(SqlExpr, SqlExpr)>,
        otherwise: Option<Box<SqlExpr>>,
    },
    Cast {
        operand: Box<SqlExpr>,
        target: String,
    },
}

impl SqlStatement {
    /// The statement's name in messages, if it writes: what a read-only transaction refuses.
    pub(super) fn written(&self) -> Option<&'static str> {
        Some(match self {
            Self::Select(_)
            | Self::Set { .. }
            | Self::Show(_)
            | Self::Begin
            | Self::Commit
            | Self::Rollback => return None,
            Self::CreateRole { .. } => "CREATE ROLE",
            Self::AlterRole { .. } => "ALTER ROLE",
            Self::DropRole { .. } => "DROP ROLE",
            Self::CreateDatabase { .. } => "CREATE DATABASE",
            Self::AlterDatabase { .. } => "ALTER DATABASE",
            Self::DropDatabase { .. } => "DROP DATABASE",
            Self::DatabasePrivileges { is_grant, .. } => {
                if *is_grant {
                    "GRANT"
                } else {
                    "REVOKE"
                }
            }
            Self::Membership { is_grant, .. } => {
                if *is_grant {
                    "GRANT ROLE"
                } else {
                    "REVOKE ROLE"
                }
            }
            Self::Comment { .. } => "COMMENT",
            Self::CreateExtension { .. } => "CREATE EXTENSION",
            Self::DropExtension { .. } => "DROP EXTENSION",
            Self::ReassignOwned { .. } => "REASSIGN OWNED",
            Self::DropOwned(_) => "DROP OWNED",
            Self::CreateTable { .. } => "CREATE TABLE",
            Self::DropTable { .. } => "DROP TABLE",
            Self::AlterTableOwner { .. } => "ALTER TABLE",
            Self::AlterSystem { .. } => "ALTER SYSTEM",
        })
    }

    /// What the server confirms the statement with.
    pub(super) fn tag(&self) -> &'static str {
        match self {
            Self::Select(_) => "SELECT",
            Self::Set { value: Some(_), .. } => "SET",
            Self::Set { value: None, .. } => "RESET",
            Self::Show(_) => "SHOW",
            Self::Begin => "BEGIN",
            Self::Commit => "COMMIT",
            Self::Rollback => "ROLLBACK",
            other => other.written().unwrap_or_default(),
        }
    }

    /// Whether it is refused inside a transaction block.
    pub(super) fn forbids_transaction(&self) -> bool {
        matches!(
            self,
            Self::CreateDatabase { .. } | Self::DropDatabase { .. } | Self::AlterSystem { .. }
        )
    }
}
