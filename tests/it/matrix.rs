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

mod blows;
pub(crate) mod census;
mod killed;
mod meddling;
mod scenes;
mod stage;

use std::{collections::BTreeSet, io::Write as _, sync::Arc, time::Instant};

use futures_util::{StreamExt as _, stream};

use trimtab_sandbox::Nth;

use blows::Blow;
use scenes::Scene;

/// How many cases run side by side: they wait for booting machines most of the time.
const AT_ONCE: usize = 12;
/// What the ordinary run must reach, so that a matrix that shrinks is noticed.
const LEAST: usize = 5_000;
/// So many are chosen. Every twelfth or so of them does not come to its request: a run may end before it, and a process does
/// not die around the requests to registries, which are sent by another client.
const ENOUGH: usize = 5_450;

/// Which cases run.
enum Choice {
    /// So many that a developer waits for them.
    Some,
    All,
    /// Those with this text in their name.
    Named(String),
}

impl Choice {
    #[expect(
        clippy::disallowed_methods,
        reason = "a person chooses the cases by a variable"
    )]
    fn of_environment() -> Self {
        match std::env::var("TRIMTAB_MATRIX") {
            Err(_) => Self::Some,
            Ok(text) if text == "full" => Self::All,
            Ok(text) => Self::Named(text),
        }
    }

    /// The cases of each scene.
    fn of(&self, scenes: &[Arc<Scene>]) -> Vec<Vec<Blow>> {
        match self {
            Self::Some => {
                let mut shares = (1..).map(|share| of_share(scenes, share * 2));
                shares
                    .find(|cases| cases.iter().map(Vec::len).sum::<usize>() >= ENOUGH)
                    .unwrap()
            }
            Self::All => scenes
                .iter()
                .map(|scene| blows::all(scene.requests, scene.writes))
                .collect(),
            Self::Named(text) => scenes.iter().map(|scene| named(scene, text)).collect(),
        }
    }
}

/// The cases of each scene that strike at every n-th request. Cases cost by their requests, and their number grows with
/// them too, so n is the square of the requests, divided by a share: small environments are struck at each. It is no more
/// than half of what a sort can strike at, so that none is left out.
fn of_share(scenes: &[Arc<Scene>], share: u64) -> Vec<Vec<Blow>> {
    let of_scene = |scene: &Arc<Scene>| {
        let stride = (scene.requests * scene.requests / share).max(1);
        let chosen = |blow: &Blow| {
            let Nth { n, writes } = blow.at();
            let most = if writes { scene.writes } else { scene.requests };
            n.is_multiple_of(stride.min((most / 2).max(1)))
        };
        blows::all(scene.requests, scene.writes)
            .into_iter()
            .filter(chosen)
            .collect()
    };
    scenes.iter().map(of_scene).collect()
}

fn named(scene: &Scene, text: &str) -> Vec<Blow> {
    let all = blows::all(scene.requests, scene.writes).into_iter();
    all.filter(|blow| format!("{}: {blow}", scene.what).contains(text))
        .collect()
}

/// What came of all cases.
#[derive(Default)]
struct Tally {
    ran: usize,
    /// Those that struck at a request which this run did not come to.
    missed: usize,
    wrong: Vec<String>,
}

async fn play(choice: &Choice) -> Tally {
    let mut tally = Tally::default();
    let scenes: Vec<Arc<Scene>> = scenes::all().await.into_iter().map(Arc::new).collect();
    for (scene, cases) in scenes.iter().zip(choice.of(&scenes)) {
        let mut sorts: BTreeSet<String> = match choice {
            Choice::Named(_) => cases.iter().map(Blow::sort).collect(),
            Choice::Some | Choice::All => blows::sorts(scene.requests, scene.writes),
        };
        // Tasks of their own, so that they use all cores.
        let cases = stream::iter(cases).map(|blow| {
            let scene = Arc::clone(scene);
            let case = tokio::spawn(async move { stage::case(&scene, blow).await });
            async move { (blow, case.await.unwrap()) }
        });
        let mut cases = cases.buffer_unordered(AT_ONCE);
        while let Some((blow, result)) = cases.next().await {
            if result != Ok(false) {
                sorts.remove(&blow.sort());
            }
            match result {
                Ok(true) => tally.ran += 1,
                Ok(false) => tally.missed += 1,
                Err(why) => {
                    tally.ran += 1;
                    let why = format!("{}: {blow}: {why}", scene.what);
                    say(&format!("matrix: {why}"));
                    tally.wrong.push(why);
                }
            }
        }
        let without = |sort| format!("{}: {sort} never came to its request", scene.what);
        tally.wrong.extend(sorts.into_iter().map(without));
    }
    tally
}

/// Not by a macro, whose words are kept back while a test passes.
fn say(line: &str) {
    std::io::stderr()
        .lock()
        .write_all(format!("{line}\n").as_bytes())
        .unwrap();
}

#[test]
fn whatever_goes_wrong_the_next_apply_converges() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let (choice, began) = (Choice::of_environment(), Instant::now());
    let tally = runtime.block_on(play(&choice));
    let (Tally { ran, missed, wrong }, seconds) = (&tally, began.elapsed().as_secs());
    say(&format!(
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
        Choice::Named(name) => assert!(tally.ran > 0, "no case is called {name}"),
        Choice::Some | Choice::All => assert!(tally.ran >= LEAST, "only {} cases ran", tally.ran),
    }
}
