//! The fuzz targets without a fuzzer: the corpus is replayed, and mutations of it are tried for a bounded number of
//! times. A mutation that takes a way which none before it took joins the inputs that are mutated.
//!
//! What a run found is printed and belongs into `corpus/`, so that it is tried for ever after.

mod targets;

use std::{
    collections::BTreeSet,
    fs,
    panic::{self, AssertUnwindSafe},
    path::Path,
    time::{Duration, Instant},
};
use targets::Way;

type Target = fn(&[u8]) -> Way;

const TARGETS: [(&str, Target); 4] = [
    ("requests", targets::requests),
    ("responses", targets::responses),
    ("body", targets::body),
    ("proxy_header", targets::proxy_header),
];

/// What parsers trip over.
const WORDS: [&str; 34] = [
    "\r\n",
    "\r\n\r\n",
    "\n",
    "\r",
    "\0",
    " ",
    "\t",
    ":",
    ",",
    ";",
    "/",
    "?",
    "*",
    "\u{b}",
    "\u{7f}",
    "0",
    "ff",
    "0\r\n\r\n",
    "GET ",
    "HEAD ",
    "POST ",
    " HTTP/1.1\r\n",
    " HTTP/1.0\r\n",
    "HTTP/1.1 200 OK\r\n",
    "HTTP/1.1 101 S\r\n",
    "Host: a\r\n",
    "Content-Length: 3\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Connection: close\r\n",
    "Connection: upgrade\r\n",
    "Upgrade: x\r\n",
    "Max-Forwards: 0\r\n",
    "18446744073709551616",
    "http://a",
];

#[test]
fn the_corpus_is_replayed() {
    for (name, target) in TARGETS {
        let corpus = corpus(name);
        assert!(corpus.len() > 20, "{name} has a corpus");
        corpus.iter().for_each(|input| try_input(name, target, input));
        // Other targets' inputs are good nonsense.
        for (other, _) in TARGETS {
            self::corpus(other).iter().for_each(|input| try_input(name, target, input));
        }
    }
}

#[test]
fn some_mutations_break_nothing() {
    TARGETS.iter().for_each(|(name, target)| mutate(name, *target, 3000, 1));
}

/// As many as eight seconds for each target allow.
#[test]
#[ignore = "32 s of mutations"]
fn many_mutations_break_nothing() {
    TARGETS.iter().for_each(|(name, target)| mutate(name, *target, 150_000, 2));
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let mut paths: Vec<_> = fs::read_dir(directory).expect("a corpus").map(|e| e.expect("an entry").path()).collect();
    // The same order on every machine.
    paths.sort();
    paths.iter().map(|path| fs::read(path).expect("an input")).collect()
}

#[expect(clippy::disallowed_methods, reason = "a bound on how long it takes, wherever it runs")]
fn mutate(name: &str, target: Target, times: usize, seed: u64) {
    const MOST_INPUTS: usize = 4000;
    const MOST_TIME: Duration = Duration::from_secs(8);
    let begin = Instant::now();
    let mut inputs = corpus(name);
    let mut ways = BTreeSet::new();
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    for _ in 0..times {
        if begin.elapsed() > MOST_TIME {
            return;
        }
        let mut input = inputs[random.below(inputs.len())].clone();
        for _ in 0..=random.below(5) {
            random.change(&mut input, &inputs);
        }
        input.truncate(40_000);
        let new = try_input_for_way(name, target, &input);
        if ways.insert(new) && inputs.len() < MOST_INPUTS {
            inputs.push(input);
        }
    }
}

fn try_input(name: &str, target: Target, input: &[u8]) {
    try_input_for_way(name, target, input);
}

fn try_input_for_way(name: &str, target: Target, input: &[u8]) -> Way {
    panic::catch_unwind(AssertUnwindSafe(|| target(input))).unwrap_or_else(|_| {
        panic!("put this into fuzz/corpus/{name}/: {}", input.escape_ascii());
    })
}

/// Marsaglia's xorshift: enough for this, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() >> 16) as usize % limit.max(1)
    }

    /// One small change.
    fn change(&mut self, input: &mut Vec<u8>, others: &[Vec<u8>]) {
        let at = self.below(input.len() + 1);
        let end = at + self.below((input.len() - at).min(40) + 1);
        match self.below(8) {
            0 if at < input.len() => input[at] ^= 1 << self.below(8),
            1 if at < input.len() => input[at] = self.next() as u8,
            2 => drop(input.drain(at..end)),
            3 => {
                let copy = input[at..end].to_vec();
                let to = self.below(input.len() + 1);
                input.splice(to..to, copy);
            }
            4 => {
                let other = &others[self.below(others.len())];
                let from = self.below(other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            5 => input.truncate(at),
            _ => {
                let word = WORDS[self.below(WORDS.len())].as_bytes();
                let over = if self.below(2) == 0 { end } else { at };
                input.splice(at..over, word.iter().copied());
            }
        }
    }
}
