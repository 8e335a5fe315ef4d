//! The crash and fault matrix: every manifest in the repository is made, released anew and removed, and at every request
//! of each of these runs everything that can go wrong does. Then the run is repeated without faults, and must end where
//! an undisturbed one does.
//!
//! What must hold in each case:
//! - the second run converges: the world is the same as after an undisturbed run, and a new plan is empty;
//! - nothing is there twice, and no two machines ever hold one volume;
//! - whatever is ours bears its mark, also after the first run;
//! - what belongs to others in the same organization is untouched;
//! - no value of a secret stands in anything that was said, in any address, or in the clouds' state beside the secrets.
//!
//! `cargo test matrix` takes a part of the cases: each sort at each manifest, striking at requests that lie apart.
//! `TRIMTAB_MATRIX=full` takes all. A case that fails is named; `TRIMTAB_MATRIX='its name'` runs it alone.

mod baselines;
mod case_runner;
mod disruptions;
pub(crate) mod normalized_state;
mod outside_changes;
mod sigkill;

use std::{collections::BTreeSet, io::Write as _, sync::Arc, time::Instant};

use futures_util::{StreamExt as _, stream};

use trimtab_sandbox::RequestSelector;

use baselines::BaselineRun;
use disruptions::Disruption;

/// How many cases run side by side: they wait for booting machines most of the time.
const PARALLEL_CASES: usize = 12;
/// What the ordinary run must reach, so that a matrix that shrinks is noticed.
const MIN_CASES_RUN: usize = 5_000;
/// So many are chosen. Every twelfth or so of them does not come to its request: a run may end before it, and a process does
/// not die around the requests to registries, which are sent by another client.
const MIN_CASES_CHOSEN: usize = 5_450;

/// Which cases run.
enum CaseSelection {
    /// So many that a developer waits for them.
    Sample,
    All,
    /// Those with this text in their name.
    Named(String),
}

impl CaseSelection {
    #[expect(
        clippy::disallowed_methods,
        reason = "a person chooses the cases by a variable"
    )]
    fn from_env() -> Self {
        match std::env::var("TRIMTAB_MATRIX") {
            Err(_) => Self::Sample,
            Ok(text) if text == "full" => Self::All,
            Ok(text) => Self::Named(text),
        }
    }

    /// The cases of each scene.
    fn select(&self, scenes: &[Arc<BaselineRun>]) -> Vec<Vec<Disruption>> {
        match self {
            Self::Sample => {
                let mut shares = (1..).map(|share| sample_cases(scenes, share * 2));
                shares
                    .find(|cases| cases.iter().map(Vec::len).sum::<usize>() >= MIN_CASES_CHOSEN)
                    .unwrap()
            }
            Self::All => scenes
                .iter()
                .map(|scene| disruptions::all_disruptions(scene.requests, scene.writes))
                .collect(),
            Self::Named(text) => scenes
                .iter()
                .map(|scene| cases_named(scene, text))
                .collect(),
        }
    }
}

/// The cases of each scene that strike at every n-th request. Cases cost by their requests, and their number grows with
/// them too, so n is the square of the requests, divided by a share: small environments are struck at each. It is no more
/// than half of what a sort can strike at, so that none is left out.
fn sample_cases(scenes: &[Arc<BaselineRun>], share: u64) -> Vec<Vec<Disruption>> {
    let of_scene = |scene: &Arc<BaselineRun>| {
        let stride = (scene.requests * scene.requests / share).max(1);
        let chosen = |blow: &Disruption| {
            let RequestSelector {
                ordinal: n,
                writes_only: writes,
            } = blow.request();
            let most = if writes { scene.writes } else { scene.requests };
            n.is_multiple_of(stride.min((most / 2).max(1)))
        };
        disruptions::all_disruptions(scene.requests, scene.writes)
            .into_iter()
            .filter(chosen)
            .collect()
    };
    scenes.iter().map(of_scene).collect()
}

fn cases_named(scene: &BaselineRun, text: &str) -> Vec<Disruption> {
    let all = disruptions::all_disruptions(scene.requests, scene.writes).into_iter();
    all.filter(|blow| format!("{}: {blow}", scene.name).contains(text))
        .collect()
}

/// What came of all cases.
#[derive(Default)]
struct CaseTally {
    ran: usize,
    /// Those that struck at a request which this run did not come to.
    missed: usize,
    failures: Vec<String>,
}

async fn run_cases(choice: &CaseSelection) -> CaseTally {
    let mut tally = CaseTally::default();
    let scenes: Vec<Arc<BaselineRun>> = baselines::all_baselines()
        .await
        .into_iter()
        .map(Arc::new)
        .collect();
    for (scene, cases) in scenes.iter().zip(choice.select(&scenes)) {
        let mut sorts: BTreeSet<String> = match choice {
            CaseSelection::Named(_) => cases.iter().map(Disruption::category).collect(),
            CaseSelection::Sample | CaseSelection::All => {
                disruptions::all_categories(scene.requests, scene.writes)
            }
        };
        // Tasks of their own, so that they use all cores.
        let cases = stream::iter(cases).map(|blow| {
            let scene = Arc::clone(scene);
            let case = tokio::spawn(async move { case_runner::run_case(&scene, blow).await });
            async move { (blow, case.await.unwrap()) }
        });
        let mut cases = cases.buffer_unordered(PARALLEL_CASES);
        while let Some((blow, result)) = cases.next().await {
            if result != Ok(false) {
                sorts.remove(&blow.category());
            }
            match result {
                Ok(true) => tally.ran += 1,
                Ok(false) => tally.missed += 1,
                Err(why) => {
                    tally.ran += 1;
                    let why = format!("{}: {blow}: {why}", scene.name);
                    print_line(&format!("matrix: {why}"));
                    tally.failures.push(why);
                }
            }
        }
        let without = |sort| format!("{}: {sort} never came to its request", scene.name);
        tally.failures.extend(sorts.into_iter().map(without));
    }
    tally
}

/// Not by a macro, whose words are kept back while a test passes.
fn print_line(line: &str) {
    std::io::stderr()
        .lock()
        .write_all(format!("{line}\n").as_bytes())
        .unwrap();
}

#[test]
fn next_apply_converges_after_any_fault() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let (choice, began) = (CaseSelection::from_env(), Instant::now());
    let tally = runtime.block_on(run_cases(&choice));
    let (
        CaseTally {
            ran,
            missed,
            failures: wrong,
        },
        seconds,
    ) = (&tally, began.elapsed().as_secs());
    print_line(&format!(
        "matrix: {ran} cases in {seconds} s, {} of them wrong; {missed} more did not come to their request",
        wrong.len()
    ));
    assert!(
        wrong.is_empty(),
        "{} cases are wrong, such as {}",
        wrong.len(),
        wrong[0]
    );
    match choice {
        CaseSelection::Named(name) => assert!(tally.ran > 0, "no case is called {name}"),
        CaseSelection::Sample | CaseSelection::All => {
            assert!(tally.ran >= MIN_CASES_RUN, "only {} cases ran", tally.ran);
        }
    }
}
