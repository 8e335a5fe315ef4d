//! The crash and fault matrix. For every manifest in the repository, three runs are recorded without
//! faults: the first apply, a second release, and the removal. Then each of them is repeated, and one
//! request of the run is disrupted: the process crashes, the answer is lost, somebody changes
//! something by hand, and so on. After that the run is repeated once more without faults.
//!
//! What must hold in each case:
//! - the second run converges: the state of the clouds is that of the undisturbed run, and a new plan
//!   is empty;
//! - nothing exists twice, and no two machines ever hold one volume;
//! - every object of ours carries its ownership mark, also after the disrupted run;
//! - objects of others in the same organization are untouched;
//! - no secret value appears in the output, in a URL, or in the clouds' state outside the secrets.
//!
//! `TRIMTAB_MATRIX` selects the cases:
//! - unset: every third category of disruption at each recorded run, so that each category comes at several runs, for a developer
//!   who waits;
//! - `large`: some 5 000 cases, spread over the requests of each run, for CI;
//! - `full`: every disruption at every request;
//! - anything else: the cases whose name contains this text. A failing case is printed by its name.

mod baselines;
mod case_runner;
mod disruptions;
pub(crate) mod normalized_state;
mod operations;
mod outside_changes;
mod sigkill;
mod signals;
mod workflow_cancel;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    io::Write as _,
    sync::Arc,
    time::Instant,
};

use futures_util::{StreamExt as _, stream};

use trimtab_sandbox::RequestSelector;

use baselines::BaselineRun;
use disruptions::Disruption;

/// How many cases run concurrently. More than there are cores: most of the time a case waits for
/// machines that boot.
const PARALLEL_CASES: usize = 12;
/// How many cases `large` selects at least. About one in twelve of them does not reach its request:
/// a run may end before it, and a simulated crash does not apply to requests to registries, which
/// another client sends.
const LARGE_CASES: usize = 5_450;

/// Which cases run.
enum CaseSelection {
    /// Every sixth category at each baseline, so that together the baselines have each category several times.
    Sample,
    /// About [`LARGE_CASES`].
    Large,
    /// All of them.
    Full,
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
            Ok(text) if text == "large" => Self::Large,
            Ok(text) if text == "full" => Self::Full,
            Ok(text) => Self::Named(text),
        }
    }

    /// The cases of each baseline.
    fn select(&self, baselines: &[Arc<BaselineRun>]) -> Vec<Vec<Disruption>> {
        match self {
            Self::Sample => baselines
                .iter()
                .enumerate()
                .map(|(nth, baseline)| one_per_category(baseline, nth))
                .collect(),
            Self::Large => (1..)
                .map(|share| spread_cases(baselines, share * 2))
                .find(|cases| cases.iter().map(Vec::len).sum::<usize>() >= LARGE_CASES)
                .unwrap(),
            Self::Full => baselines
                .iter()
                .map(|baseline| all_cases(baseline))
                .collect(),
            Self::Named(text) => baselines
                .iter()
                .map(|baseline| cases_named(baseline, text))
                .collect(),
        }
    }

    /// How many cases must run at least, so that nobody notices too late that a mode has become empty.
    fn min_cases_run(&self) -> usize {
        match self {
            Self::Sample => 80,
            Self::Large | Self::Full => 5_000,
            Self::Named(_) => 1,
        }
    }
}

fn all_cases(baseline: &BaselineRun) -> Vec<Disruption> {
    disruptions::all_disruptions(baseline.requests, baseline.writes)
}

/// The cases of a baseline by category, each category in the order of its requests.
fn cases_by_category(baseline: &BaselineRun) -> BTreeMap<String, Vec<Disruption>> {
    let mut by_category: BTreeMap<String, Vec<Disruption>> = BTreeMap::new();
    for case in all_cases(baseline) {
        by_category.entry(case.category()).or_default().push(case);
    }
    by_category
}

/// One case of every sixth category. Baselines and categories begin at different requests, so that
/// together the sample covers early and late ones.
fn one_per_category(baseline: &BaselineRun, nth: usize) -> Vec<Disruption> {
    cases_by_category(baseline)
        .values()
        .enumerate()
        .filter(|(category, _)| (category + nth).is_multiple_of(6))
        .map(|(category, cases)| cases[(nth * 7 + category * 3) % cases.len()])
        .collect()
}

/// The cases of each baseline that disrupt every n-th request. A case costs as much as the run has
/// requests, and a run has as many cases as requests, so n grows with the square of the requests:
/// small environments are disrupted at every request. n is at most half of a category's cases, so
/// that no category is left out.
fn spread_cases(baselines: &[Arc<BaselineRun>], share: u64) -> Vec<Vec<Disruption>> {
    let of_baseline = |baseline: &Arc<BaselineRun>| {
        let stride = (baseline.requests * baseline.requests / share).max(1);
        let is_selected = |case: &Disruption| {
            let RequestSelector {
                ordinal,
                writes_only,
            } = case.request();
            let count = if writes_only {
                baseline.writes
            } else {
                baseline.requests
            };
            ordinal.is_multiple_of(stride.min((count / 2).max(1)))
        };
        all_cases(baseline)
            .into_iter()
            .filter(is_selected)
            .collect()
    };
    baselines.iter().map(of_baseline).collect()
}

fn cases_named(baseline: &BaselineRun, text: &str) -> Vec<Disruption> {
    all_cases(baseline)
        .into_iter()
        .filter(|case| format!("{}: {case}", baseline.name).contains(text))
        .collect()
}

/// The results of all cases.
#[derive(Default)]
struct CaseTally {
    ran: usize,
    /// Cases whose run ended before the request that they disrupt.
    missed: usize,
    failures: Vec<String>,
}

impl CaseTally {
    /// Counts a result and says whether the disruption took place.
    fn record(&mut self, name: &str, case: Disruption, result: Result<bool, String>) -> bool {
        match result {
            Ok(true) => self.ran += 1,
            Ok(false) => {
                self.missed += 1;
                return false;
            }
            Err(error) => {
                self.ran += 1;
                let failure = format!("{name}: {case}: {error}");
                print_line(&format!("matrix: {failure}"));
                self.failures.push(failure);
            }
        }
        true
    }
}

async fn run_cases(selection: &CaseSelection) -> CaseTally {
    let mut tally = CaseTally::default();
    let baselines: Vec<Arc<BaselineRun>> = baselines::all_baselines()
        .await
        .into_iter()
        .map(Arc::new)
        .collect();
    let mut missing: Vec<BTreeSet<String>> = Vec::new();
    let mut cases: Vec<(usize, Disruption)> = Vec::new();
    for (nth, (baseline, selected)) in baselines
        .iter()
        .zip(selection.select(&baselines))
        .enumerate()
    {
        missing.push(match selection {
            CaseSelection::Named(_) => BTreeSet::new(),
            CaseSelection::Sample => selected.iter().map(Disruption::category).collect(),
            _ => disruptions::all_categories(baseline.requests, baseline.writes),
        });
        cases.extend(selected.into_iter().map(|case| (nth, case)));
    }
    // Where the one case of a category does not reach its request, its other cases follow one by one.
    let mut alternatives: Vec<BTreeMap<String, VecDeque<Disruption>>> = baselines
        .iter()
        .map(|baseline| match selection {
            CaseSelection::Sample => {
                let all = cases_by_category(baseline).into_iter();
                all.map(|(category, cases)| (category, cases.into()))
                    .collect()
            }
            _ => BTreeMap::new(),
        })
        .collect();
    while !cases.is_empty() {
        // Tasks of their own, so that they use all cores.
        let running = stream::iter(cases).map(|(nth, case)| {
            let baseline = Arc::clone(&baselines[nth]);
            let task = tokio::spawn(async move { case_runner::run_case(&baseline, case).await });
            async move { (nth, case, task.await.unwrap()) }
        });
        let mut running = running.buffer_unordered(PARALLEL_CASES);
        while let Some((nth, case, result)) = running.next().await {
            if tally.record(&baselines[nth].name, case, result) {
                missing[nth].remove(&case.category());
            }
        }
        cases = Vec::new();
        for (nth, categories) in missing.iter().enumerate() {
            for category in categories {
                let next = alternatives[nth]
                    .get_mut(category)
                    .and_then(VecDeque::pop_front);
                cases.extend(next.map(|case| (nth, case)));
            }
        }
    }
    for (baseline, categories) in baselines.iter().zip(missing) {
        let never = |category| format!("{}: {category} never reached a request", baseline.name);
        tally.failures.extend(categories.into_iter().map(never));
    }
    tally
}

/// Writes to stderr directly: the test harness captures what macros print while a test passes.
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
    let (selection, began) = (CaseSelection::from_env(), Instant::now());
    let CaseTally {
        ran,
        missed,
        failures,
    } = runtime.block_on(run_cases(&selection));
    print_line(&format!(
        "matrix: {ran} cases in {} s, {} of them failed; {missed} more did not reach their request",
        began.elapsed().as_secs(),
        failures.len()
    ));
    assert!(
        failures.is_empty(),
        "{} cases failed, such as {}",
        failures.len(),
        failures[0]
    );
    assert!(ran >= selection.min_cases_run(), "only {ran} cases ran");
}
