//! What manifests become.
