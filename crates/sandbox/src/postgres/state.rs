//! The stored state of a server: what lies in its data directory, and the sessions of its clients.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use super::scram;
use crate::clock;

/// How many lines of the server's log are kept.
const MAX_LOG_LINES: usize = 500;
/// The size of an empty database: what `template1` of PostgreSQL 17 takes.
const EMPTY_DATABASE_BYTES: u64 = 7_672_323;
/// Where the WAL of a new server begins, and how much of it a change writes.
const FIRST_LSN: u64 = 0x154_0000;
const CHANGE_BYTES: u64 = 0x200;
/// The first object id that PostgreSQL assigns to an object of a user.
const FIRST_OID: u32 = 16_384;
/// The longest name; longer ones are cut.
pub(crate) const MAX_NAME_BYTES: usize = 63;
/// The roles that every server has, with the object ids that PostgreSQL gives them.
pub(super) const PREDEFINED_ROLES: [(&str, u32); 9] = [
    ("pg_monitor", 3373),
    ("pg_read_all_settings", 3374),
    ("pg_read_all_stats", 3375),
    ("pg_signal_backend", 4200),
    ("pg_checkpoint", 4544),
    ("pg_database_owner", 6171),
    ("pg_read_all_data", 6181),
    ("pg_write_all_data", 6182),
    ("pg_create_subscription", 6304),
];

/// A PostgreSQL server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct PgServer {
    pub(crate) major: u32,
    /// The same for all nodes of a cluster, because a standby is a copy of its primary.
    pub(crate) system_id: u64,
    /// Whether it follows another server and rejects writes.
    pub(crate) standby: bool,
    pub(crate) roles: BTreeMap<String, PgRole>,
    pub(crate) databases: BTreeMap<String, PgDatabase>,
    pub(crate) slots: BTreeMap<String, ReplicationSlot>,
    /// Set by `ALTER SYSTEM`.
    pub(crate) settings: BTreeMap<String, String>,
    pub(crate) sessions: Vec<ClientSession>,
    /// Oldest first.
    pub(crate) log: VecDeque<String>,
    /// The lines that were appended to the log since they were last taken.
    #[serde(skip)]
    pub(crate) new_log_lines: Vec<String>,
    pub(crate) lsn: u64,
    pub(super) next_oid: u32,
    pub(super) next_pid: u32,
}

/// A role.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct PgRole {
    pub(crate) oid: u32,
    pub(crate) superuser: bool,
    pub(crate) login: bool,
    pub(crate) createdb: bool,
    pub(crate) createrole: bool,
    pub(crate) replication: bool,
    pub(crate) inherit: bool,
    pub(crate) bypassrls: bool,
    /// -1 for no limit.
    pub(crate) connection_limit: i64,
    /// What `pg_authid.rolpassword` holds: a SCRAM verifier, or an MD5 hash.
    pub(crate) verifier: Option<String>,
    pub(crate) valid_until: Option<String>,
    pub(crate) comment: Option<String>,
    pub(crate) member_of: BTreeSet<String>,
    pub(crate) settings: BTreeMap<String, String>,
}

/// A database.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct PgDatabase {
    pub(crate) oid: u32,
    pub(crate) owner: String,
    pub(crate) is_template: bool,
    pub(crate) allow_connections: bool,
    /// -1 for no limit.
    pub(crate) connection_limit: i64,
    pub(crate) size_bytes: u64,
    pub(crate) comment: Option<String>,
    /// What every role may do.
    pub(crate) public: DatabasePrivileges,
    /// What single roles may do besides; the owner may do everything.
    pub(crate) grants: BTreeMap<String, DatabasePrivileges>,
    /// Names and versions.
    pub(crate) extensions: BTreeMap<String, String>,
    /// Set by `ALTER DATABASE … SET`.
    pub(crate) settings: BTreeMap<String, String>,
    /// Tables with their owners.
    pub(crate) tables: BTreeMap<String, String>,
}

/// Privileges on a database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DatabasePrivileges {
    pub(crate) connect: bool,
    pub(crate) temporary: bool,
    pub(crate) create: bool,
}

/// A replication slot, in which the primary keeps the WAL that a standby still needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ReplicationSlot {
    /// The name of the standby.
    pub(crate) standby: String,
    pub(crate) active: bool,
    pub(crate) restart_lsn: u64,
}

/// A client's session that stays open.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ClientSession {
    pub(crate) pid: u32,
    pub(crate) role: String,
    pub(crate) database: String,
    pub(crate) application: String,
    /// The advisory locks that it holds.
    pub(crate) locks: BTreeSet<i64>,
    pub(crate) opened_ms: i64,
}

impl PgServer {
    /// A server after `initdb`: the superuser `postgres` with this password, and the databases that
    /// every server has.
    pub(crate) fn initialized(major: u32, system_id: u64, password: &str) -> Self {
        let mut server = Self {
            major,
            system_id,
            standby: false,
            roles: BTreeMap::new(),
            databases: BTreeMap::new(),
            slots: BTreeMap::new(),
            settings: BTreeMap::new(),
            sessions: Vec::new(),
            log: VecDeque::new(),
            new_log_lines: Vec::new(),
            lsn: FIRST_LSN,
            next_oid: FIRST_OID,
            next_pid: 700,
        };
        server.ensure_superuser("postgres", password);
        server.next_oid = FIRST_OID;
        let databases = [
            ("template1", 1, "default template for new databases"),
            ("template0", 4, "unmodifiable empty database"),
            ("postgres", 5, "default administrative connection database"),
        ];
        for (name, oid, comment) in databases {
            let mut database = PgDatabase::new(oid, "postgres");
            database.comment = Some(comment.to_owned());
            database.is_template = name != "postgres";
            database.allow_connections = name != "template0";
            server.databases.insert(name.to_owned(), database);
        }
        server
    }

    /// Prepares the server for the cluster manager: its database with its extension.
    pub(crate) fn ensure_repmgr_database(&mut self) {
        if self.databases.contains_key("repmgr") {
            return;
        }
        let mut database = PgDatabase::new(self.take_oid(), "repmgr");
        let extension = ("repmgr".to_owned(), "5.5".to_owned());
        database.extensions.extend([extension]);
        self.databases.insert("repmgr".to_owned(), database);
    }

    /// Takes over everything that a standby receives from its primary.
    pub(crate) fn replicate(&mut self, primary: &Self) {
        self.roles.clone_from(&primary.roles);
        self.databases.clone_from(&primary.databases);
        self.lsn = primary.lsn;
        self.next_oid = primary.next_oid;
    }

    /// A standby of this server, with a copy of its data.
    pub(crate) fn clone_standby(&self) -> Self {
        Self {
            standby: true,
            slots: BTreeMap::new(),
            sessions: Vec::new(),
            log: VecDeque::new(),
            new_log_lines: Vec::new(),
            ..self.clone()
        }
    }

    /// Creates the slot of a standby, or marks it as used or unused.
    pub(crate) fn set_slot(&mut self, name: &str, standby: &str, active: bool) {
        let lsn = self.lsn;
        let slot = self
            .slots
            .entry(name.to_owned())
            .or_insert(ReplicationSlot {
                standby: standby.to_owned(),
                active,
                restart_lsn: lsn,
            });
        slot.active = active;
        if active {
            slot.restart_lsn = lsn;
        }
    }

    /// Gives a superuser this password; the role is created if it does not exist.
    pub(crate) fn ensure_superuser(&mut self, name: &str, password: &str) {
        let oid = if name == "postgres" {
            10
        } else {
            self.take_oid()
        };
        let verifier = scram::make_verifier(password, &[&self.system_id.to_string(), name]);
        let role = self.roles.entry(name.to_owned()).or_insert(PgRole {
            oid,
            replication: true,
            createdb: true,
            createrole: true,
            bypassrls: name == "postgres",
            ..PgRole::new(0)
        });
        role.superuser = true;
        role.login = true;
        role.verifier = Some(verifier);
    }

    /// The next object id.
    pub(super) fn take_oid(&mut self) -> u32 {
        let oid = self.next_oid;
        self.next_oid += 1;
        oid
    }

    /// The process id of the next session.
    pub(crate) fn take_pid(&mut self) -> u32 {
        self.next_pid += 1;
        self.next_pid
    }

    /// The full version: the newest minor release of each major version in the package repository
    /// that the images are built from, whatever their tags say.
    pub(crate) fn minor(&self) -> u32 {
        match self.major {
            15 => 15,
            16 => 11,
            17 => 7,
            18 => 3,
            _ => 0,
        }
    }

    /// Appends lines to the server's log, in the format of the default `log_line_prefix`.
    pub(crate) fn append_log(&mut self, now_ms: i64, pid: u32, lines: &[String]) {
        let time = clock::format_millis(now_ms)
            .replace('T', " ")
            .replace('Z', " UTC");
        for line in lines {
            if self.log.len() == MAX_LOG_LINES {
                self.log.pop_front();
            }
            let line = format!("{time} [{pid}] {line}");
            self.log.push_back(line.clone());
            self.new_log_lines.push(line);
        }
    }

    /// Records that a change was written to the WAL, which active standbys have received at once.
    pub(super) fn record_change(&mut self) {
        self.lsn += CHANGE_BYTES;
        let lsn = self.lsn;
        for slot in self.slots.values_mut().filter(|slot| slot.active) {
            slot.restart_lsn = lsn;
        }
    }

    /// Ends all sessions, as a stop does.
    pub(crate) fn close_sessions(&mut self) {
        self.sessions.clear();
    }

    /// Makes all databases read-only by default, or writable again, as the image does when its disk
    /// fills up.
    pub(crate) fn set_read_only(&mut self, read_only: bool) {
        const NAME: &str = "default_transaction_read_only";
        for database in self.databases.values_mut().filter(|db| !db.is_template) {
            let is_set = database.settings.get(NAME).is_some_and(|v| v == "true");
            if read_only {
                database.settings.insert(NAME.to_owned(), "true".to_owned());
            } else if is_set {
                database.settings.remove(NAME);
            }
        }
    }

    /// Whether the role is a member of the other one, or the same, also through further roles.
    pub(super) fn is_member(&self, role: &str, of: &str) -> bool {
        let mut seen = BTreeSet::new();
        let mut pending = vec![role];
        while let Some(name) = pending.pop() {
            if name == of {
                return true;
            }
            if let Some(role) = self.roles.get(name).filter(|_| seen.insert(name)) {
                pending.extend(role.member_of.iter().map(String::as_str));
            }
        }
        false
    }
}

impl PgRole {
    /// A role without attributes, as `CREATE ROLE` makes it.
    pub(super) fn new(oid: u32) -> Self {
        Self {
            oid,
            inherit: true,
            connection_limit: -1,
            ..Self::default()
        }
    }
}

impl PgDatabase {
    /// An empty database.
    pub(super) fn new(oid: u32, owner: &str) -> Self {
        Self {
            oid,
            owner: owner.to_owned(),
            is_template: false,
            allow_connections: true,
            connection_limit: -1,
            size_bytes: EMPTY_DATABASE_BYTES,
            comment: None,
            public: DatabasePrivileges {
                connect: true,
                temporary: true,
                create: false,
            },
            grants: BTreeMap::new(),
            extensions: BTreeMap::from([("plpgsql".to_owned(), "1.0".to_owned())]),
            settings: BTreeMap::new(),
            tables: BTreeMap::new(),
        }
    }
}

/// A log sequence number as PostgreSQL writes it, such as `0/1540200`.
pub(super) fn format_lsn(lsn: u64) -> String {
    format!("{:X}/{:X}", lsn >> 32, lsn & 0xffff_ffff)
}

/// Cuts a name to what PostgreSQL stores.
pub(super) fn truncate_name(name: &str) -> &str {
    let mut end = name.len().min(MAX_NAME_BYTES);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    &name[..end]
}
