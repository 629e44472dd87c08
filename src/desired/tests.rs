//! What is kept as files: the golden cases, the shipped example and its schemas. `UPDATE_GOLDEN=1` writes them anew.

use super::*;
use crate::{cli::validate::validate_to, model::Kind};
use std::{
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// What `lbagent validate` prints and exits with, with the directory's path left out.
fn validated(dir: &Path) -> String {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = validate_to(dir, &mut out, &mut err);
    let text = format!("{}{}exit {code}\n", String::from_utf8(err).unwrap(), String::from_utf8(out).unwrap());
    text.replace(&format!("{}/", dir.display()), "").replace(&dir.display().to_string(), "DIR")
}

/// Compares `text` with what `file` holds.
fn golden(file: &Path, text: &str) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    let expected = fs::read_to_string(file).unwrap_or_default();
    assert!(expected == text, "{} holds\n{expected}\nbut it should be\n{text}", file.display());
}

#[test]
fn every_golden_case_is_told_as_its_file_says() {
    let mut cases: Vec<_> =
        fs::read_dir(root().join("src/desired/cases")).unwrap().map(|e| e.unwrap().path()).collect();
    cases.sort();
    assert!(cases.len() >= 10, "the cases are gone");
    for case in cases {
        golden(&case.join("expected.txt"), &validated(&case));
    }
}

#[test]
fn the_shipped_example_is_valid() {
    assert_eq!(validated(&root().join("state")), "2 peers, 1 vip, 3 pools: valid\nexit 0\n");
}

#[test]
fn every_shipped_file_has_the_schema_of_its_kind_beside_it() {
    for file in load(&root().join("state")).files {
        let kind = file.decoded.identity.unwrap().kind;
        let json: serde_json::Value = serde_json::from_str(&file.source.text).unwrap();
        assert_eq!(json["$schema"], format!("./{}", schema::file_name(kind)), "{}", file.name);
    }
}

#[test]
fn the_shipped_schemas_are_those_of_this_version() {
    for kind in Kind::ALL {
        golden(&root().join("state").join(schema::file_name(kind)), &schema::document(kind));
    }
}
