//! The macro behind the list of kinds: the three types that mention every kind, and how to visit them in order.

/// Generates [`Desired`](super::Desired), [`World`](super::World) and [`AnyOp`](super::AnyOp) from the list.
macro_rules! kinds {
    ($($column:ident: $Variant:ident = $Kind:ty,)+) => {
        /// What the manifest of one environment asks for. Every reference lands; no name stands twice.
        #[derive(Clone, Debug)]
        pub struct Desired {
            /// Which environment this is.
            pub meta: Meta,
            $(#[doc = concat!("Everything of kind `", stringify!($Kind), "`.")]
            pub $column: Table<<$Kind as Kind>::Spec>,)+
        }

        /// What the clouds report, complete within its scope, so that absent means absent.
        #[derive(Clone, Debug, Default)]
        pub struct World {
            /// What was found besides.
            pub found: Found,
            $(#[doc = concat!("Everything of kind `", stringify!($Kind), "`.")]
            pub $column: Table<<$Kind as Kind>::Live>,)+
        }

        /// An operation of any kind: types are erased here, once, and recovered by one `match`.
        #[derive(Clone, Debug)]
        pub enum AnyOp {
            $(#[doc = concat!("An operation on a `", stringify!($Kind), "`.")]
            $Variant(Op<$Kind>),)+
        }

        /// What is there once a step is done: the new live record, or nothing; or what was there before.
        #[derive(Clone, Debug)]
        pub enum Settled {
            /// The records are as they were.
            AsBefore,
            $(#[doc = concat!("The outcome for a `", stringify!($Kind), "`.")]
            $Variant(Option<Box<<$Kind as Kind>::Live>>),)+
        }

        $(impl Listed for $Kind {
            fn any(op: Op<Self>) -> AnyOp { AnyOp::$Variant(op) }
            fn settled(live: Option<Self::Live>) -> Settled { Settled::$Variant(live.map(Box::new)) }
            fn column(world: &mut World) -> &mut Table<Self::Live> { &mut world.$column }
        })+

        /// The names of all kinds, ground up.
        pub const KIND_NAMES: &[&str] = &[$(<$Kind as Named>::NAME,)+];

        /// Calls the visitor once for each kind, ground up, with that kind's two tables.
        pub fn each_kind(desired: &Desired, world: &World, visit: &mut impl Visit) {
            $(visit.kind::<$Kind>(&desired.$column, &world.$column);)+
        }

        impl Desired {
            /// An environment that asks for nothing.
            #[must_use]
            pub fn empty(meta: Meta) -> Self {
                Self { meta, $($column: Table::new(),)+ }
            }
        }

        impl World {
            /// Records the outcome of a step, so that later steps can look it up.
            pub fn settle(&mut self, name: &Name, settled: Settled) {
                match settled {
                    Settled::AsBefore => {}
                    $(Settled::$Variant(Some(live)) => drop(self.$column.insert(name.clone(), *live)),
                    Settled::$Variant(None) => drop(self.$column.remove(name)),)+
                }
            }
        }

        impl AnyOp {
            /// Carries the operation out.
            ///
            /// # Errors
            /// What the cloud answered; the operation may have been done in part, and the next plan will tell.
            pub async fn run(
                &self, name: &Name, clouds: &crate::clouds::Clouds, world: &World,
            ) -> Result<Settled, crate::clouds::CloudError> {
                match self {
                    $(Self::$Variant(op) => drive::run::<$Kind>(op, name, clouds, world).await,)+
                }
            }
        }
    };
}

/// A kind that stands in the list.
pub trait Listed: super::Kind + super::Drive {
    /// Erases the operation's type.
    fn any(op: super::Op<Self>) -> super::AnyOp;
    /// Erases the outcome's type.
    fn settled(live: Option<Self::Live>) -> super::Settled;
    /// This kind's live records.
    fn column(world: &mut super::World) -> &mut crate::model::Table<Self::Live>;
}

/// Something done once for each kind.
pub trait Visit {
    /// Looks at one kind's tables.
    fn kind<K: Listed>(
        &mut self,
        desired: &crate::model::Table<K::Spec>,
        live: &crate::model::Table<K::Live>,
    );
}
