//! What the cases share: how one is run, how one waits, the world it runs in.

pub(crate) mod audit;
pub(crate) mod network;
pub(crate) mod relay;
pub(crate) mod sightings;
pub(crate) mod state;
pub(crate) mod tape;
pub(crate) mod verdict;
pub(crate) mod wait;
pub(crate) mod watch;
pub(crate) mod wire;
pub(crate) mod without_nft;
pub(crate) mod world;

use lbagent::drill::lab::topology::Topology;
use libtest_mimic::Failed;
use state::State;
use std::panic::{AssertUnwindSafe, catch_unwind};
use world::World;

/// Why a case failed, in words.
pub(crate) type Failure = Box<dyn std::error::Error>;
/// What a case returns.
pub(crate) type Outcome = Result<(), Failure>;

/// A test by name.
pub(crate) struct Case {
    /// `family::what_holds`
    pub(crate) name: &'static str,
    /// The test itself. It fails by returning an error or by panicking.
    pub(crate) test: fn(&mut Bench) -> Outcome,
    /// It takes about a minute and runs only when asked for (`--include-ignored`).
    pub(crate) long: bool,
}

/// What outlives a case, so that it can be looked at when the case has failed.
#[derive(Default)]
pub(crate) struct Bench {
    world: Option<World>,
}

impl Bench {
    /// A world with agents that run and serve.
    pub(crate) fn running(&mut self, state: &State) -> Result<&mut World, Failure> {
        let world = self.world(state)?;
        world.start_all()?;
        Ok(world)
    }

    /// The same, with a third host that watches from before the first agent: when the case ends, it fails if two hosts
    /// ever had the Vip at once, unless it has said when they may ([`World::allow_two_owners`]).
    pub(crate) fn watched(&mut self, state: &State) -> Result<&mut World, Failure> {
        let world = self.unattended(state)?;
        world.start_all()?;
        Ok(world)
    }

    /// The same without agents.
    pub(crate) fn unattended(&mut self, state: &State) -> Result<&mut World, Failure> {
        let world = self.world(state)?;
        world.watch()?;
        Ok(world)
    }

    /// The same on another network.
    pub(crate) fn unattended_on(&mut self, topology: Topology, state: &State) -> Result<&mut World, Failure> {
        let world = self.world.insert(World::build_on(topology, state)?);
        world.watch()?;
        Ok(world)
    }

    /// The world that was made.
    pub(crate) fn present(&mut self) -> Result<&mut World, Failure> {
        self.world.as_mut().ok_or_else(|| "no world yet".into())
    }

    /// A world without agents.
    pub(crate) fn world(&mut self, state: &State) -> Result<&mut World, Failure> {
        Ok(self.world.insert(World::build(state)?))
    }
}

/// Makes [`Case`]s of functions, named after the module they are in; those after `; long:` take about a minute.
#[macro_export]
macro_rules! cases {
    ($($test:ident),* $(,)? $(; long: $($long:ident),* $(,)?)?) => {
        /// The cases of this file.
        pub(crate) const CASES: &[$crate::harness::Case] = &[
            $($crate::cases!(@one $test, false),)*
            $($($crate::cases!(@one $long, true),)*)?
        ];
    };
    (@one $test:ident, $long:literal) => {
        $crate::harness::Case {
            name: {
                const FULL: &str = concat!(module_path!(), "::", stringify!($test));
                const SKIP: usize = "netns::".len();
                FULL.split_at(SKIP).1
            },
            test: $test,
            long: $long,
        }
    };
}

/// Runs one case as a trial.
pub(crate) fn run(case: &Case) -> Result<(), Failed> {
    let mut bench = Bench::default();
    let ended = catch_unwind(AssertUnwindSafe(|| (case.test)(&mut bench).map_err(|error| error.to_string())));
    let outcome = ended.unwrap_or_else(|panic| Err(message(panic.as_ref())));
    let judged = bench.world.as_ref().map_or(Ok(()), World::judge).map_err(|error| error.to_string());
    let outcome = match (outcome, judged) {
        (Err(why), Err(also)) => Err(format!("{why}; and {also}")),
        (outcome, judged) => outcome.and(judged),
    };
    if let (Err(why), Some(world)) = (&outcome, &bench.world) {
        eprintln!("\n{} failed: {why}", case.name);
        world.explain();
    }
    outcome.map_err(Failed::from)
}

fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without words").to_owned()
}
