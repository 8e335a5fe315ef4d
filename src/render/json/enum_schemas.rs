//! The enum values of the plan document's schema. They are serialized from the planner's types, so they cannot diverge.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde::Serialize;

use crate::{
    kinds::{Cause, DataLoss, Impact},
    model::RolloutStrategy,
    plan::{Action, DeferralReason, EdgeReason, Verb},
};

/// A schema that allows exactly the serialized forms of these values.
fn enum_schema<T: Serialize>(values: &[T]) -> Schema {
    let values = serde_json::to_value(values).unwrap_or_default();
    json_schema!({ "enum": values })
}

pub(super) fn verb_schema(_: &mut SchemaGenerator) -> Schema {
    enum_schema(&[
        Verb::Destroy,
        Verb::Replace,
        Verb::Run,
        Verb::Succeed,
        Verb::Restart,
        Verb::Update,
        Verb::Create,
    ])
}

pub(super) fn cause_schema(_: &mut SchemaGenerator) -> Schema {
    enum_schema(&[
        Cause::Manifest,
        Cause::Outside,
        Cause::Moved,
        Cause::Follows,
        Cause::Unknown,
    ])
}

pub(super) fn deferral_reason_schema(_: &mut SchemaGenerator) -> Schema {
    enum_schema(&[DeferralReason::Unavailable, DeferralReason::Manual])
}

pub(super) fn impact_schema(_: &mut SchemaGenerator) -> Schema {
    enum_schema(&[Impact::Quiet, Impact::Asleep, Impact::Restart])
}

pub(super) fn data_loss_schema(_: &mut SchemaGenerator) -> Schema {
    enum_schema(&[
        Some(DataLoss::Data),
        Some(DataLoss::App),
        Some(DataLoss::Address),
        Some(DataLoss::Secret),
        None,
    ])
}

pub(super) fn action_schema(_: &mut SchemaGenerator) -> Schema {
    enum_schema(&[
        Action::Create,
        Action::Update,
        Action::ReplaceDelete,
        Action::ReplaceCreate,
        Action::Delete,
        Action::CreateSuccessor,
        Action::HandOver,
        Action::Retire,
        Action::Run,
        Action::Verify,
    ])
}

pub(super) fn strategy_schema(_: &mut SchemaGenerator) -> Schema {
    enum_schema(&[
        RolloutStrategy::Rolling,
        RolloutStrategy::Canary,
        RolloutStrategy::BlueGreen,
        RolloutStrategy::Immediate,
    ])
}

pub(super) fn edge_reason_schema(_: &mut SchemaGenerator) -> Schema {
    enum_schema(&[
        EdgeReason::Needs,
        EdgeReason::StillHeld,
        EdgeReason::SameName,
        EdgeReason::InTurn,
        EdgeReason::Healthy,
        EdgeReason::TakesOver,
    ])
}
