//! The macro behind the list of kinds: the three types that mention every kind, and how to visit them in order.

/// Generates [`Desired`](super::Desired), [`World`](super::World) and [`AnyOp`](super::AnyOp) from the list.
macro_rules! define_kinds {
    ($($column:ident: $Variant:ident = $Kind:ty,)+) => {
        /// What the manifest of one environment asks for. Every reference lands; no name stands twice.
        #[derive(Clone, Debug)]
        pub struct Desired {
            /// Which environment this is.
            pub meta: EnvironmentMeta,
            $(#[doc = concat!("Everything of kind `", stringify!($Kind), "`.")]
            pub $column: ResourceMap<<$Kind as Kind>::Spec>,)+
        }

        /// What the clouds report, complete within its scope, so that absent means absent.
        #[derive(Clone, Debug, Default)]
        pub struct World {
            /// What was found besides.
            pub findings: Findings,
            $(#[doc = concat!("Everything of kind `", stringify!($Kind), "`.")]
            pub $column: ResourceMap<<$Kind as Kind>::Live>,)+
        }

        /// An operation of any kind: types are erased here, once, and recovered by one `match`.
        #[derive(Clone, Debug)]
        pub enum AnyOp {
            $(#[doc = concat!("An operation on a `", stringify!($Kind), "`.")]
            $Variant(Op<$Kind>),)+
        }

        /// What is there once a step is done: the new live record, or nothing; or what was there before.
        #[derive(Clone, Debug)]
        pub enum StepResult {
            /// The records are as they were.
            Unchanged,
            $(#[doc = concat!("The outcome for a `", stringify!($Kind), "`.")]
            $Variant(Option<Box<<$Kind as Kind>::Live>>),)+
        }

        $(impl RegisteredKind for $Kind {
            fn into_any_op(op: Op<Self>) -> AnyOp { AnyOp::$Variant(op) }
            fn into_step_result(live: Option<Self::Live>) -> StepResult { StepResult::$Variant(live.map(Box::new)) }
            fn table_mut(world: &mut World) -> &mut ResourceMap<Self::Live> { &mut world.$column }
        })+

        /// The names of all kinds, ground up.
        pub const KIND_NAMES: &[&str] = &[$(<$Kind as KindName>::NAME,)+];

        /// Calls the visitor once for each kind, ground up, with that kind's two tables.
        pub fn visit_kinds(desired: &Desired, world: &World, visit: &mut impl KindVisitor) {
            $(visit.visit_kind::<$Kind>(&desired.$column, &world.$column);)+
        }

        impl Desired {
            /// An environment that asks for nothing.
            #[must_use]
            pub fn empty(meta: EnvironmentMeta) -> Self {
                Self { meta, $($column: ResourceMap::new(),)+ }
            }
        }

        impl World {
            /// Records the outcome of a step, so that later steps can look it up.
            pub fn record_result(&mut self, name: &Name, settled: StepResult) {
                match settled {
                    StepResult::Unchanged => {}
                    $(StepResult::$Variant(Some(live)) => drop(self.$column.insert(name.clone(), *live)),
                    StepResult::$Variant(None) => drop(self.$column.remove(name)),)+
                }
            }
        }

        impl AnyOp {
            /// Carries the operation out.
            ///
            /// # Errors
            /// What the cloud answered; the operation may have been done in part, and the next plan will tell.
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

/// A kind that stands in the list.
pub trait RegisteredKind: super::Kind + super::Drive {
    /// Erases the operation's type.
    fn into_any_op(op: super::Op<Self>) -> super::AnyOp;
    /// Erases the outcome's type.
    fn into_step_result(live: Option<Self::Live>) -> super::StepResult;
    /// This kind's live records.
    fn table_mut(world: &mut super::World) -> &mut crate::model::ResourceMap<Self::Live>;
}

/// Something done once for each kind.
pub trait KindVisitor {
    /// Looks at one kind's tables.
    fn visit_kind<K: RegisteredKind>(
        &mut self,
        desired: &crate::model::ResourceMap<K::Spec>,
        live: &crate::model::ResourceMap<K::Live>,
    );
}
