//! Which addresses are ours, on kernels that do not keep the mark (before 5.18).
//!
//! A small text file, one address per line behind a line with the boot id: `LINK IP PREFIX_LEN CREATED`. CREATED is
//! `ifa_cacheinfo.cstamp`, the moment at which the kernel made the address: if somebody removes ours and adds it again,
//! the stamp differs, and the address is theirs. A line is written before its address is added, with `?` for a stamp,
//! and again with the stamp once the address is there; so a crash between the two leaves no address without a line.
//! The boot id voids a record that survived a reboot. Replaced by rename, never half-written.

use std::{
    fmt::Write,
    fs, io,
    net::IpAddr,
    path::{Path, PathBuf},
};

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The file and what it says.
#[derive(Debug)]
pub struct Record {
    path: PathBuf,
    boot: String,
    entries: Vec<Entry>,
    marks_stick: bool,
}

/// An address that was added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// `ifindex` of its device.
    pub link: u32,
    /// The address.
    pub ip: IpAddr,
    /// With which it was added.
    pub prefix_len: u8,
    /// Hundredths of a second since boot. `None`: it was about to be added.
    pub created: Option<u32>,
}

impl Entry {
    fn same_place(&self, other: &Self) -> bool {
        (self.link, self.ip, self.prefix_len) == (other.link, other.ip, other.prefix_len)
    }

    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.split(' ');
        let mut field = || fields.next();
        let (link, ip, prefix_len) = (field()?.parse().ok()?, field()?.parse().ok()?, field()?.parse().ok()?);
        let created = match field()? {
            "?" => None,
            stamp => Some(stamp.parse().ok()?),
        };
        field().is_none().then_some(Self { link, ip, prefix_len, created })
    }
}

impl Record {
    /// What an earlier run of this boot left at `path`; nothing, if there is no such file.
    pub fn load(path: &Path) -> io::Result<Self> {
        Self::load_as_of(path, fs::read_to_string(BOOT_ID)?.trim().to_owned())
    }

    fn load_as_of(path: &Path, boot: String) -> io::Result<Self> {
        let text = match fs::read_to_string(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            text => text?,
        };
        let mut lines = text.lines();
        let this_boot = lines.next() == Some(&boot);
        let entries = lines.filter(|_| this_boot).filter_map(|line| {
            let entry = Entry::parse(line);
            if entry.is_none() {
                tracing::warn!(path = %path.display(), line, "ignoring a line of the record of addresses");
            }
            entry
        });
        Ok(Self { path: path.to_owned(), boot, entries: entries.collect(), marks_stick: false })
    }

    /// Whether an address has to be noted before it is added: not once a mark was seen to stick.
    pub fn needed(&self) -> bool {
        !self.marks_stick
    }

    /// Whether `address`, as the kernel has it, is one that was added by us.
    pub fn holds(&self, address: &Entry) -> bool {
        self.entries.iter().any(|it| it.same_place(address) && (it.created.is_none() || it.created == address.created))
    }

    /// Notes `entries` in place of what was known about the same places.
    pub fn insert(&mut self, entries: impl IntoIterator<Item = Entry>) -> io::Result<()> {
        for entry in entries {
            self.entries.retain(|it| !it.same_place(&entry));
            self.entries.push(entry);
        }
        self.save()
    }

    /// This kernel keeps marks, `entry`'s among them: neither it nor any later one needs the record.
    pub fn marks_stick(&mut self, entry: &Entry) {
        self.marks_stick = true;
        self.remove(entry.link, entry.ip, entry.prefix_len);
    }

    /// Forgets an address that is gone. If the file cannot be written, the line stays, and does no harm: the next
    /// address in its place has another stamp.
    pub fn remove(&mut self, link: u32, ip: IpAddr, prefix_len: u8) {
        let place = Entry { link, ip, prefix_len, created: None };
        let before = self.entries.len();
        self.entries.retain(|it| !it.same_place(&place));
        if self.entries.len() != before
            && let Err(error) = self.save()
        {
            tracing::warn!(%error, path = %self.path.display(), "cannot write the record of addresses");
        }
    }

    /// Forgets all that is not among `present`, so that the record cannot grow without bound.
    pub fn retain(&mut self, present: &[Entry]) {
        self.entries.retain(|it| present.iter().any(|address| it.same_place(address)));
    }

    fn save(&self) -> io::Result<()> {
        if self.entries.is_empty() {
            return match fs::remove_file(&self.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            };
        }
        let mut text = format!("{}\n", self.boot);
        for Entry { link, ip, prefix_len, created } in &self.entries {
            let stamp = created.map_or_else(|| "?".to_owned(), |created| created.to_string());
            let _ = writeln!(text, "{link} {ip} {prefix_len} {stamp}");
        }
        let directory = self.path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(directory)?;
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        io::Write::write_all(&mut file, text.as_bytes())?;
        file.persist(&self.path)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry(link: u32, ip: &str, created: Option<u32>) -> Entry {
        Entry { link, ip: ip.parse().unwrap(), prefix_len: 32, created }
    }

    fn load(path: &Path) -> Record {
        Record::load_as_of(path, "boot".to_owned()).unwrap()
    }

    #[test]
    fn survives_a_restart_but_not_a_reboot() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new/addresses");
        let ours = entry(2, "192.0.2.10", Some(77));
        load(&path).insert([ours]).unwrap();
        assert!(load(&path).holds(&ours));
        assert!(!Record::load_as_of(&path, "next boot".to_owned()).unwrap().holds(&ours));
    }

    #[test]
    fn knows_an_address_by_its_place_and_its_moment() {
        let directory = tempfile::tempdir().unwrap();
        let mut record = load(&directory.path().join("addresses"));
        record.insert([entry(2, "192.0.2.10", Some(77))]).unwrap();
        assert!(!record.holds(&entry(2, "192.0.2.10", Some(78))), "made again by someone else");
        assert!(!record.holds(&entry(3, "192.0.2.10", Some(77))), "another device");
        assert!(!record.holds(&Entry { prefix_len: 24, ..entry(2, "192.0.2.10", Some(77)) }));
        record.insert([entry(2, "192.0.2.11", None)]).unwrap();
        assert!(record.holds(&entry(2, "192.0.2.11", Some(5))), "about to be added when the agent died");
    }

    #[test]
    fn forgets_and_leaves_no_empty_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("addresses");
        let mut record = load(&path);
        let [a, b] = ["192.0.2.10", "192.0.2.11"].map(|ip| entry(2, ip, Some(1)));
        record.insert([a]).unwrap();
        record.insert([b]).unwrap();
        record.remove(a.link, a.ip, a.prefix_len);
        assert!(!load(&path).holds(&a) && load(&path).holds(&b));
        record.retain(&[]);
        record.insert([a]).unwrap();
        assert!(load(&path).holds(&a) && !load(&path).holds(&b));
        record.remove(a.link, a.ip, a.prefix_len);
        assert!(!path.exists());
    }

    #[test]
    fn marks_that_stick_make_it_needless() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("addresses");
        let mut record = load(&path);
        record.insert([entry(2, "192.0.2.10", None)]).unwrap();
        assert!(record.needed());
        record.marks_stick(&entry(2, "192.0.2.10", Some(4)));
        assert!(!record.needed() && !path.exists());
    }

    #[test]
    fn takes_what_it_can_read_of_a_damaged_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("addresses");
        fs::write(&path, "boot\n2 192.0.2.10 32 5\n2 nonsense 32 5\n2 192.0.2.11 32 5 more\n2 192.0.2.12\n").unwrap();
        assert_eq!(load(&path).entries, [entry(2, "192.0.2.10", Some(5))]);
    }

    #[test]
    fn what_cannot_be_read_or_written_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        assert!(Record::load_as_of(directory.path(), String::new()).is_err(), "a directory is no record");
        fs::write(directory.path().join("file"), "").unwrap();
        let mut record = Record::load_as_of(&directory.path().join("other"), String::new()).unwrap();
        record.path = directory.path().join("file/addresses");
        assert!(record.insert([entry(2, "192.0.2.10", None)]).is_err());
    }

    proptest! {
        #[test]
        fn lines_round_trip(link: u32, ip: IpAddr, prefix_len in 0..=128u8, created: Option<u32>) {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("addresses");
            let entry = Entry { link, ip, prefix_len, created };
            load(&path).insert([entry]).unwrap();
            prop_assert_eq!(load(&path).entries, [entry]);
        }

        #[test]
        fn any_text_is_survived(text: String) {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("addresses");
            fs::write(&path, format!("boot\n{text}")).unwrap();
            load(&path);
        }
    }
}
