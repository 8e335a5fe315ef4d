//! The guarantees of a rollout, checked against the sandbox's own history of its machines: how many
//! machines are unavailable at once, that two versions never serve side by side, that stopped machines
//! stay stopped, and that a run that crashes anywhere can be repeated.

mod crashes;
mod fleet;
mod history;
mod ordering;
mod random_rollouts;
