# The commands of every day. `just --list` shows them.

# Format, lint, and check that everything compiles.
check:
    cargo fmt --all
    cargo clippy --workspace --all-targets -- --deny warnings

# The tests that need only Rust, in about a minute.
test *args:
    cargo test {{ args }}

# The same with the large crash matrix.
test-full:
    TRIMTAB_MATRIX=large TRIMTAB_PROPTEST=3 cargo test

# Rewrite stored outputs and generated files. Read the difference before you commit it.
bless:
    SNAPSHOTS=overwrite cargo test

# Checks against tools that are not ours: flyctl's client, moto, versitygw, openapi-core, GitHub's parser of workflows.
conformance:
    scripts/conformance

# Everything that must hold before a change lands.
ci:
    .ci/run
