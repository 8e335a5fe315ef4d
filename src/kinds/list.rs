//! The macro behind the list of kinds. It generates the types that mention every kind, so that all other code can be generic
//! over kinds.

/// Generates [`Desired`](super::Desired), [`World`](super::World), [`AnyOp`](super::AnyOp) and
/// [`StepResult`](super::StepResult) from the list. Each line is
/// `table: Variant = path::to::Kind [traits that the kind implements with all their defaults],`.
macro_rules! define_kinds {
    ($($column:ident: $Variant:ident = $Kind:ty [$($Default:ident)*],)+) => {
        /// What the manifest of one environment asks for. Every reference has a target, and names are unique within a kind.
        #[derive(Clone, Debug)]
        pub struct Desired {
            /// The settings of the environment as a whole.
            pub meta: EnvironmentMeta,
            $(#[doc = concat!("Everything of kind `", stringify!($Kind), "`.")]
            pub $column: ResourceMap<<$Kind as Kind>::Spec>,)+
        }

        /// What the clouds report. It is complete: what is absent here does not exist.
        #[derive(Clone, Debug, Default)]
        pub struct World {
            /// Unmanaged objects, conflicts and warnings.
            pub findings: Findings,
            $(#[doc = concat!("Everything of kind `", stringify!($Kind), "`.")]
            pub $column: ResourceMap<<$Kind as Kind>::Live>,)+
        }

        /// An operation of any kind.
        #[derive(Clone, Debug)]
        pub enum AnyOp {
            $(#[doc = concat!("An operation on a `", stringify!($Kind), "`.")]
            $Variant(Op<$Kind>),)+
        }

        /// The live object after a step.
        #[derive(Clone, Debug)]
        pub enum StepResult {
            /// The step has changed no record.
            Unchanged,
            $(#[doc = concat!("The new record; `None` after a deletion. For a `", stringify!($Kind), "`.")]
            $Variant(Option<Box<<$Kind as Kind>::Live>>),)+
        }

        $($(impl $Default for $Kind {})*)+

        $(impl RegisteredKind for $Kind {
            fn into_any_op(op: Op<Self>) -> AnyOp { AnyOp::$Variant(op) }
            fn into_step_result(live: Option<Self::Live>) -> StepResult { StepResult::$Variant(live.map(Box::new)) }
            fn table_mut(world: &mut World) -> &mut ResourceMap<Self::Live> { &mut world.$column }
        })+

        /// All kinds, in the order in which they refer to each other.
        pub const KINDS: &[KindInfo] = &[$(KindInfo::new::<$Kind>(),)+];

        /// The names of all kinds, in the same order.
        pub const KIND_NAMES: &[&str] = &[$(<$Kind as KindName>::NAME,)+];

        /// Calls the visitor once for each kind, in the order of the list.
        pub fn visit_kinds(desired: &Desired, world: &World, visitor: &mut impl KindVisitor) {
            $(visitor.visit_kind::<$Kind>(&desired.$column, &world.$column);)+
        }

        impl Desired {
            /// A manifest without resources.
            #[must_use]
            pub fn empty(meta: EnvironmentMeta) -> Self {
                Self { meta, $($column: ResourceMap::new(),)+ }
            }
        }

        impl World {
            /// Records the result of a step, so that later steps can use it: a machine needs the id of its new volume.
            pub fn record_result(&mut self, name: &Name, result: StepResult) {
                match result {
                    StepResult::Unchanged => {}
                    $(StepResult::$Variant(Some(live)) => drop(self.$column.insert(name.clone(), *live)),
                    StepResult::$Variant(None) => drop(self.$column.remove(name)),)+
                }
            }
        }

        impl AnyOp {
            /// Runs the operation.
            ///
            /// # Errors
            /// What the cloud responded. The operation may have taken effect in part; the next plan finds out.
            pub async fn run(
                &self, name: &Name, clouds: &crate::kinds::CloudWriters, world: &World,
            ) -> Result<StepResult, crate::clouds::CloudError> {
                match self {
                    $(Self::$Variant(op) => drive::run_op::<$Kind>(op, name, clouds, world).await,)+
                }
            }
        }
    };
}

/// A kind in the list, with everything that a plan and an apply ask of it.
pub trait RegisteredKind:
    super::Kind
    + super::RolloutRules
    + super::DeletionRules
    + super::OperationRules
    + super::Drive
    + super::DriveRollout
{
    /// Wraps an operation.
    fn into_any_op(op: super::Op<Self>) -> super::AnyOp;
    /// Wraps a live object after a step.
    fn into_step_result(live: Option<Self::Live>) -> super::StepResult;
    /// The live objects of this kind.
    fn table_mut(world: &mut super::World) -> &mut crate::model::ResourceMap<Self::Live>;
}

/// Code that runs once for each kind, generically.
pub trait KindVisitor {
    /// Visits one kind, with what the manifest asks for and what exists.
    fn visit_kind<K: RegisteredKind>(
        &mut self,
        desired: &crate::model::ResourceMap<K::Spec>,
        live: &crate::model::ResourceMap<K::Live>,
    );
}
