//! What the cases share: how one is run, how one waits.

pub(crate) mod wait;

use libtest_mimic::Failed;

/// Why a case failed, in words.
pub(crate) type Failure = Box<dyn std::error::Error>;
/// What a case returns.
pub(crate) type Outcome = Result<(), Failure>;

/// A test by name.
pub(crate) struct Case {
    /// `family::what_holds`
    pub name: &'static str,
    /// The test itself. It fails by returning an error or by panicking.
    pub test: fn() -> Outcome,
}

/// Makes [`Case`]s of functions, named after the module they are in.
#[macro_export]
macro_rules! cases {
    ($($test:ident),* $(,)?) => {
        /// The cases of this file.
        pub(crate) const CASES: &[$crate::harness::Case] = &[$($crate::harness::Case {
            name: {
                const FULL: &str = concat!(module_path!(), "::", stringify!($test));
                const SKIP: usize = "netns::".len();
                FULL.split_at(SKIP).1
            },
            test: $test,
        }),*];
    };
}

/// Runs one case as a trial.
pub(crate) fn run(case: &Case) -> Result<(), Failed> {
    (case.test)().map_err(|error| Failed::from(error.to_string()))
}
