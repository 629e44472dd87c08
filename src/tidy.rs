//! The rules of the tree that a compiler does not know, as tests: who may import whom, where `unsafe` and IO may be,
//! how long a file may get.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// From the top down. A module may import from the floors below its own and, where its floor is marked open, from its
/// neighbours.
const FLOORS: &[&[&str]] = &[
    &["cli"],
    &["drill"],
    &["agent"],
    &["reconcile"],
    &["apply"],
    &["status"],
    &["desired", "election", "plan", "health", "dataplane"],
    &["kernel", "balance"],
    &["model"],
];

/// Directories whose code does no IO, owns no thread and reads no clock.
const PURE: &[&str] =
    &["src/model", "src/plan", "src/balance", "src/election/machine", "src/election/wire", "src/dataplane/http/engine"];
const IMPURE_WORDS: &[&str] =
    &["tokio::", "std::fs", "std::process", "socket2", "UdpSocket", "TcpStream", "Instant::now", "SystemTime::now"];

/// A target of 300 lines, with room for the odd table.
const LONGEST_FILE: usize = 400;

struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    /// The part that is compiled without `cfg(test)`, without comments.
    fn shipped(&self) -> String {
        let end = self.text.find("#[cfg(test)]\nmod ").unwrap_or(self.text.len());
        let code = self.text[..end].lines().map(|line| line.split("//").next().unwrap_or_default());
        code.collect::<Vec<_>>().join("\n")
    }

    fn is_test(&self) -> bool {
        let path = self.path.to_string_lossy();
        path.contains("/sim/") || path.contains("tests") || path.contains("fixture") || path.ends_with("tidy.rs")
    }

    /// `election` for `src/election/machine.rs` as for `src/election.rs`.
    fn module(&self) -> String {
        let first = self.path.components().nth(1).map(|part| part.as_os_str().to_string_lossy().into_owned());
        first.unwrap_or_default().trim_end_matches(".rs").to_owned()
    }
}

fn sources(root: &str) -> Vec<Source> {
    fn walk(directory: &Path, found: &mut Vec<Source>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let path = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().to_owned();
                found.push(Source { path, text });
            }
        }
    }
    let mut found = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join(root), &mut found);
    assert!(!found.is_empty());
    found
}

/// The top-level modules that `code` names after `crate::`.
fn imports(code: &str) -> Vec<String> {
    let mut names = Vec::new();
    for rest in code.split("crate::").skip(1) {
        match rest.strip_prefix('{') {
            None => names.push(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()),
            Some(group) => names.extend(group_heads(group)),
        }
    }
    names
}

/// `["a", "c"]` for `a::{b, d}, c::e}; …`.
fn group_heads(group: &str) -> Vec<String> {
    let (mut depth, mut head, mut heads) = (0usize, String::new(), Vec::new());
    let mut open = true;
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                heads.push(std::mem::take(&mut head));
                open = true;
            }
            ':' => open = open && depth > 0,
            c if depth == 0 && open && (c.is_alphanumeric() || c == '_') => head.push(c),
            _ => {}
        }
    }
    heads.push(head);
    heads.retain(|head| !head.is_empty());
    heads
}

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&module))
}

#[test]
fn imports_go_strictly_down() {
    let mut wrong = Vec::new();
    for source in sources("src").iter().filter(|source| !source.is_test()) {
        let module = source.module();
        let Some(mine) = floor(&module) else {
            assert!(
                matches!(&*module, "lib" | "main"),
                "{} stands on no floor: add it to FLOORS",
                source.path.display()
            );
            continue;
        };
        for import in imports(&source.shipped()).iter().filter(|import| **import != module) {
            if floor(import).is_some_and(|theirs| theirs <= mine) {
                wrong.push(format!("{} imports {import}", source.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "imports go strictly down:\n{}", wrong.join("\n"));
}

#[test]
fn pure_code_does_no_io() {
    let mut wrong = Vec::new();
    let pure = |source: &&Source| PURE.iter().any(|root| source.path.starts_with(root)) && !source.is_test();
    for source in sources("src").iter().filter(pure) {
        let code = source.shipped();
        let words = IMPURE_WORDS.iter().filter(|word| code.contains(**word));
        wrong.extend(words.map(|word| format!("{} uses {word}", source.path.display())));
    }
    assert!(wrong.is_empty(), "pure code does no IO and reads no clock:\n{}", wrong.join("\n"));
}

#[test]
fn unsafe_stays_in_the_kernel_directory() {
    for source in sources("src").iter().filter(|source| !source.path.starts_with("src/kernel") && !source.is_test()) {
        assert!(!source.shipped().contains("unsafe "), "{} has unsafe code", source.path.display());
    }
}

#[test]
fn files_stay_short() {
    for source in ["src", "netns-tests", "benches", "fuzz"].into_iter().flat_map(sources) {
        let lines = source.text.lines().count();
        assert!(lines <= LONGEST_FILE, "{} has {lines} lines: split it", source.path.display());
    }
}

#[test]
fn the_import_scanner_sees_groups_and_paths() {
    assert_eq!(imports("use crate::model::Name;\ncrate::kernel::x()"), ["model", "kernel"]);
    assert_eq!(imports("use crate::{\n a::{b, c::d},\n e::f,\n};"), ["a", "e"]);
}
