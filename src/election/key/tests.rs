use super::*;
use std::os::unix::fs::PermissionsExt;

const SECRET: &str = "00112233445566778899aabbccddeeff";

fn parse(text: &str) -> Result<Keyring, KeyError> {
    Keyring::parse(Path::new("auth.key"), text)
}

fn file(mode: u32, text: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("auth.key");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    (dir, path)
}

#[test]
fn first_signs_and_all_verify() {
    let old = parse(&format!("old {SECRET}")).unwrap();
    let both = parse(&format!("# rotation\n\n new ff{SECRET}\nold {SECRET}\n")).unwrap();
    assert_eq!(both.ids().collect::<Vec<_>>(), ["new", "old"]);
    let code = old.sign(&[b"he", b"llo"]);
    assert!(both.verify(&old.signing_tag(), &[b"hello"], &code));
    let code = both.sign(&[b"hello"]);
    assert!(!old.verify(&both.signing_tag(), &[b"hello"], &code));
    assert!(!both.verify(&both.signing_tag(), &[b"hellO"], &code));
}

#[test]
fn neither_debug_nor_errors_show_a_secret() {
    assert_eq!(format!("{:?}", parse(&format!("k {SECRET}")).unwrap()), "Keyring([\"k\"])");
    for bad in [format!("k {SECRET}zz"), format!("k {}", &SECRET[..30]), format!("k {SECRET}\nk {SECRET}")] {
        let error = parse(&bad).unwrap_err();
        assert!(!format!("{error} {error:?}").contains(&SECRET[..8]), "{error}");
    }
}

#[test]
fn each_bad_line_is_told() {
    for (text, says) in [
        ("", "holds no key"),
        ("# only this\n", "holds no key"),
        ("key1", "auth.key:1: a key is two words"),
        ("\nkey1 00 00", "auth.key:2: a key is two words"),
        ("key1 0", "even number"),
        ("key1 ää", "hexadecimal"),
        ("key1 00", "32 to 128"),
        (&format!("key1 {}", "00".repeat(65)), "32 to 128"),
        (&format!("key1 {}", "+0".repeat(16)), "hexadecimal"),
    ] {
        let error = parse(text).unwrap_err().to_string();
        assert!(error.contains(says), "{text:?}: {error}");
    }
}

#[test]
fn only_a_private_regular_file_is_read() {
    let text = format!("k {SECRET}\n");
    for mode in [0o600, 0o400, 0o640, 0o440] {
        let (_dir, path) = file(mode, &text);
        assert!(Keyring::load(&path).is_ok(), "{mode:o}");
    }
    for mode in [0o644, 0o604, 0o660, 0o620, 0o602, 0o700, 0o4600] {
        let (_dir, path) = file(mode, &text);
        assert!(matches!(Keyring::load(&path), Err(KeyError::Mode { .. })), "{mode:o}");
    }
    let (dir, path) = file(0o600, &text);
    assert!(matches!(Keyring::load(dir.path()), Err(KeyError::NotAFile(_))));
    assert!(matches!(Keyring::load(&dir.path().join("none")), Err(KeyError::Io { .. })));
    fs::remove_file(&path).unwrap();
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert!(matches!(Keyring::load(&path), Err(KeyError::NotAFile(_))));
}

#[test]
fn a_huge_file_or_a_binary_one_is_refused() {
    let (_dir, path) = file(0o600, &"#".repeat(MAX_FILE as usize + 1));
    assert!(matches!(Keyring::load(&path), Err(KeyError::TooLarge(_))));
    fs::write(&path, [0xff, 0xfe]).unwrap();
    assert!(matches!(Keyring::load(&path), Err(KeyError::NotText(_))));
}

#[test]
fn a_key_file_of_another_user_is_refused() {
    let (_dir, path) = file(0o600, &format!("k {SECRET}\n"));
    if nix::unistd::chown(&path, Some(12345.into()), None).is_ok() && !nix::unistd::geteuid().as_raw().eq(&12345) {
        assert!(matches!(Keyring::load(&path), Err(KeyError::Owner { uid: 12345, .. })));
    }
}

#[test]
fn the_stamp_notices_a_rewrite_and_a_replacement() {
    let (dir, path) = file(0o600, "a");
    let before = KeyFileStamp::of(&path);
    assert_eq!(before, KeyFileStamp::of(&path));
    fs::write(dir.path().join("new"), "b").unwrap();
    fs::rename(dir.path().join("new"), &path).unwrap();
    assert_ne!(before, KeyFileStamp::of(&path));
    fs::remove_file(&path).unwrap();
    assert_eq!(KeyFileStamp::of(&path), None);
}
