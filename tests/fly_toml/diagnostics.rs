//! Errors and warnings about a fly.toml: each with its position, all of them at once, and with a
//! suggestion.

use crate::fly_toml::common::parse_and_modernise;

#[track_caller]
fn assert_errors(text: &str, expected: &[&str]) {
    assert_eq!(
        parse_and_modernise("fly.toml", text).errors(),
        expected,
        "{text}"
    );
}

#[track_caller]
fn assert_warnings(text: &str, expected: &[&str]) {
    let read = parse_and_modernise("fly.toml", text);
    assert_eq!(read.errors(), [""; 0], "errors in {text}");
    assert_eq!(read.warnings(), expected, "{text}");
}

#[test]
fn value_of_wrong_type_is_rejected() {
    assert_errors(
        "app = 3\nswap_size_mb = \"512\"\n[http_service]\ninternal_port = \"8080\"\nforce_https = \"true\"\n\
         auto_stop_machines = \"yes\"\nprocesses = \"web\"",
        &[
            "1:7: `app` must be a string (this is an integer); write \"3\", in quotes",
            "2:16: `swap_size_mb` must be an integer (this is a string); write 512, without quotes",
            "4:17: `internal_port` in `http_service` must be an integer (this is a string); write 8080, without quotes",
            "5:15: `force_https` in `http_service` must be true or false (this is a string); write true, without quotes",
            "6:22: `auto_stop_machines` in `http_service` must be one of `off`, `stop`, `suspend` (this is a string)",
            "7:13: `processes` in `http_service` must be a list of strings (this is a string); write [\"web\"]",
        ],
    );
}

#[test]
fn table_and_list_brackets_are_checked() {
    assert_errors(
        "[restart]\npolicy = \"always\"\n[[http_service]]\ninternal_port = 1\n[statics]\nguest_path = \"/\"",
        &[
            "1:1: `restart` must be a list of tables (this is a table); write double brackets: `[[restart]]`",
            "3:1: `http_service` must be one table (this is a list); write it once, with single brackets",
            "5:1: `statics` must be a list of tables (this is a table); write double brackets: `[[statics]]`",
        ],
    );
}

#[test]
fn spellings_rejected_by_flyctl_are_rejected() {
    let help = "write `[services.concurrency]` with `type`, `soft_limit` and `hard_limit`";
    let refused = |position: &str, kind: &str| {
        format!("{position}: `concurrency` in `services` must be one table ({kind}); {help}")
    };
    let ports = "\n[[services.ports]]\nport = 80";
    assert_errors(
        &format!("[[services]]\nconcurrency = 20{ports}"),
        &[&refused("2:15", "this is an integer")],
    );
    assert_errors(
        &format!("[[services]]\nconcurrency = \"20\"{ports}"),
        &[&refused("2:15", "this is a string")],
    );
    assert_errors(
        &format!("[[services]]\n[[services.concurrency]]\nsoft_limit = 20{ports}"),
        &[&refused("2:1", "this is a list")],
    );
    assert_errors(
        "[[services]]\n[[services.ports]]\nport = \"http\"",
        &["3:8: `port` in `services.ports` must be an integer (this is a string)"],
    );
    assert_errors(
        "env = 3\nprocesses = \"web\"\nvm = [1]\n",
        &[
            "1:7: `env` must be a table (this is an integer)",
            "2:13: `processes` must be a table (this is a string)",
            "3:7: an item of `vm` must be a table (this is an integer)",
        ],
    );
    assert_errors(
        "[[checks]]\ntype = \"tcp\"\n[http_service]\n[[http_service.checks]]\nheaders = [{ name = \"a\" }]",
        &[
            "1:1: a check needs a `name` (this one has none); write `[checks.NAME]`",
            "5:11: `headers` in `http_service.checks` must be a table of strings (this is a list)",
        ],
    );
}

#[test]
fn durations_need_units() {
    assert_errors(
        "kill_timeout = \"5\"\n[deploy]\nwait_timeout = \"soon\"",
        &[
            "1:16: `kill_timeout` must be a duration such as \"15s\" or \"1m30s\" (this is a string); write the unit: \"5s\"",
            "3:16: `wait_timeout` in `deploy` must be a duration such as \"15s\" or \"1m30s\" (this is a string)",
        ],
    );
    assert_warnings(
        "[deploy]\nwait_timeout = 300",
        &[
            "2:16: `wait_timeout` in `deploy` is 300 nanoseconds (flyctl reads a bare number here as nanoseconds); \
           write \"300s\" if seconds are meant",
        ],
    );
    assert_warnings(
        "[http_service]\n[[http_service.checks]]\ninterval = 30000000000",
        &[
            "3:12: `interval` in `http_service.checks` is 30000000000 nanoseconds (flyctl reads a bare number here as \
           nanoseconds); write \"30s\"",
        ],
    );
    assert_warnings(
        "[http_service]\n[[http_service.checks]]\ninterval = 10000",
        &[
            "3:12: `interval` in `http_service.checks` is 10000 nanoseconds (flyctl reads a bare number here as \
           nanoseconds); write \"10000ms\" if milliseconds are meant",
        ],
    );
    assert_warnings(
        "kill_timeout = true",
        &["1:16: `kill_timeout` is not a duration (flyctl ignores it); this is true or false"],
    );
}

#[test]
fn process_groups_are_checked() {
    assert_errors(
        "[processes]\nweb = \"run\"\n[http_service]\ninternal_port = 1\n[[services]]\nprocesses = [\"wep\"]\nports = [{}]\n\
         [[restart]]\npolicy = \"no\"\nprocesses = [\"app\"]",
        &[
            "3:1: `http_service` must set `processes` (flyctl does not choose a group); add `processes = [\"GROUP\"]` \
             with a name of `[processes]`",
            "6:14: `services` names a process group that does not exist (no such group); add it to `[processes]`, or \
             correct the name",
            "9:10: `policy` in `restart` must be one of `always`, `never`, `on-failure` (flyctl refuses this); fly.toml \
             says \"never\"",
            "10:14: `restart` names a process group that does not exist (no such group); add it to `[processes]`, or \
             correct the name",
        ],
    );
    // Groups are not checked when their own section is invalid.
    assert_errors(
        "processes = 3\n[http_service]\nprocesses = [\"web\"]",
        &["1:13: `processes` must be a table (this is an integer)"],
    );
}

#[test]
fn semantic_rules_are_checked() {
    assert_errors(
        "[deploy]\nstrategy = \"canary\"\nrelease_command = \"sh -c 'x\"\n[[mounts]]\nsource = \"a\"\n\
         initial_size = \"512mb\"\nsnapshot_retention = 90\nauto_extend_size_threshold = 20",
        &[
            "2:12: the strategy `canary` does not work with mounts (a canary would need the volume); `rolling` works \
             with volumes",
            "3:19: `release_command` in `deploy` must be a command whose quotes are closed (this is a string)",
            "4:1: `auto_extend_size_increment` in `mounts` must be between 1 GB and 100 GB (flyctl refuses this); a \
             volume that grows needs a threshold in percent and an increment",
            "6:16: `initial_size` in `mounts` must be at least 1 GB (this is 0 GB)",
            "7:22: `snapshot_retention` in `mounts` must be between 1 and 60 (this is an integer)",
            "8:30: `auto_extend_size_threshold` in `mounts` must be between 50 and 99 (flyctl refuses this); a volume \
             that grows needs a threshold in percent and an increment",
        ],
    );
    assert_errors(
        "[deploy]\nstrategy = \"blue-green\"\n[checks.up]\ninterval = 1000\ntimeout = \"2m\"",
        &[
            "2:12: `strategy` in `deploy` must be one of `canary`, `rolling`, `immediate`, `bluegreen`, not `blue-green` \
             (this is a string)",
            "3:9: the check `up` needs a `type` (neither `http` nor `tcp`)",
            "4:12: `interval` in `checks` must be at least 2 seconds (Fly refuses this)",
            "5:11: `timeout` in `checks` must be at most 60 seconds (Fly refuses this)",
        ],
    );
}

#[test]
fn unknown_key_is_a_warning_with_suggestion() {
    assert_warnings(
        "primary_regoin = \"ams\"\nimage = \"a\"\nwhatever = 1\n[http_service]\nmax_machines_running = 2\n\
         [[vm]]\nmemroy = \"1gb\"\nCpus = 2",
        &[
            "1:1: there is no key `primary_regoin` at the top of a fly.toml (flyctl ignores it); did you mean \
             `primary_region`?",
            "2:1: there is no key `image` at the top of a fly.toml (flyctl ignores it); write it into `[build]` as `image`",
            "3:1: there is no key `whatever` at the top of a fly.toml (flyctl ignores it)",
            "5:1: there is no key `max_machines_running` in `http_service` (flyctl ignores it); no more machines run \
             than exist; set their number in the manifest",
            "7:1: there is no key `memroy` in `vm` (flyctl ignores it); did you mean `memory`?",
            "8:1: `Cpus` in `vm` is spelled with other capitals (flyctl accepts it anyway); write `cpus`",
        ],
    );
    // flyctl always knows the key `vm`, and ignores other capitalizations.
    assert_warnings(
        "[[VM]]\ncpus = 2",
        &[
            "1:3: there is no key `VM` at the top of a fly.toml (flyctl ignores it); did you mean `vm`?",
        ],
    );
}

#[test]
fn ineffective_setting_is_a_warning() {
    let tests = "tests of a deployment are flyctl's; trimtab starts no machine for them";
    assert_warnings(
        "machine_checks = [{ command = [\"x\"] }]\n[build.compose]\nfile = \"c.yaml\"\n[http_service]\n\
         machine_checks = [{ image = \"x\" }]",
        &[
            &format!("1:1: `machine_checks` has no effect here (left out); {tests}"),
            "2:8: `compose` in `build` has no effect here (left out); trimtab reads no compose file; write the containers \
             into `machine_config`",
            &format!(
                "5:1: `machine_checks` in `http_service` has no effect here (left out); {tests}"
            ),
        ],
    );
    assert_warnings(
        "[[services]]\ninternal_port = 1\nscript_checks = []\n[[services.ports]]\nport = 1\n\
         [[services]]\ninternal_port = 2\nscript_checks = [{ command = \"x\" }]\n[[services.ports]]\nport = 2",
        &[
            "8:1: `script_checks` in `services` has no effect here (left out); Fly runs no scripts as checks any more; use \
           `http_checks` or `tcp_checks`",
        ],
    );
    assert_warnings(
        "[env]\nA = { from_secret = \"A\" }",
        &[
            "2:5: the variable `A` becomes the text `map[from_secret:A]` (this is a table); a variable is one text; \
           secrets are not named in fly.toml",
        ],
    );
    assert_warnings(
        "[[processes]]\nname = \"web\"\ncmd = \"run\"\n[[processes]]\ncommand = \"x\"",
        &[
            "3:1: there is no key `cmd` in `processes` (flyctl ignores it); did you mean `command`?",
            "4:1: a process group has no `name` (flyctl ignores it)",
        ],
    );
    assert_warnings(
        "primary_region = \"{REGION}\"\n[[services]]\ninternal_port = 1\ntcp_checks = { timeout = 500, interval = \"2m\" }",
        &[
            "1:18: `primary_region` looks like a placeholder of a template (flyctl takes it literally)",
            "2:1: a service has no ports (nothing reaches it); add `[[services.ports]]`",
            "4:26: `timeout` of a service's check is outside of 1 second to 1 minute (Fly raises it to 1 second)",
            "4:42: `interval` of a service's check is outside of 1 second to 1 minute (Fly lowers it to 1 minute)",
        ],
    );
}
