use super::*;
use crate::kernel::testing::{Host, eventually};
use std::time::Duration;

const OURS: Table = Table { family: Family::Netdev, name: "ours" };
const HOUR: Duration = Duration::from_secs(3600);

fn table_with_set(set: &str) -> Batch {
    let mut batch = Batch::new();
    batch.new_table(OURS, true);
    batch.new_set(OURS, set, Key::Number, true);
    batch
}

fn count(socket: &Socket, set: &str) -> usize {
    let named = |out: &mut Vec<u8>| {
        string(out, 1, OURS.name);
        string(out, 2, set);
    };
    let lists = socket.dump(kind::GET_ELEMENT, OURS.family, named).unwrap();
    lists.iter().filter_map(|it| it.attributes().get(3)).map(|list| Attributes(list).count()).sum()
}

#[test]
fn a_table_ends_with_the_socket_that_owns_it() {
    Host::new().run(async |_| {
        let [owner, other] = [(); 2].map(|()| Socket::open().unwrap());
        owner.commit(table_with_set("set")).unwrap();
        let there = |socket: &Socket| {
            socket.ask(kind::GET_TABLE, Some(OURS.family), |out| string(out, 1, OURS.name)).unwrap().is_some()
        };
        assert!(there(&other));
        drop(owner);
        // Another test that is just starting a program has a copy of the descriptor until then.
        eventually("the table is gone", async || (!there(&other)).then_some(())).await;
    });
}

#[test]
fn a_refusal_names_every_message_that_was_refused_and_nothing_has_changed() {
    Host::new().blocking(|| {
        let socket = Socket::open().unwrap();
        socket.commit(table_with_set("set")).unwrap();
        let mut batch = Batch::new();
        let first = batch.delete_element(OURS, "set", &[1; 8]);
        batch.add_elements(OURS, "set", [&[3; 8][..]], Some(HOUR));
        let third = batch.delete_element(OURS, "set", &[2; 8]);
        assert_eq!((first, third), (1, 3));
        let Err(BatchError::Refused(refused)) = socket.commit(batch) else { panic!("took effect") };
        assert_eq!(refused, [first, third].map(|message| Refused { message, errno: libc::ENOENT }));
        assert_eq!(count(&socket, "set"), 0);
        assert_eq!(socket.commits(), 1);
    });
}

#[test]
fn more_elements_than_fit_into_a_message_or_into_one_part_of_a_dump() {
    Host::new().blocking(|| {
        let socket = Socket::open().unwrap();
        let keys: Vec<_> = (0..5000u64).map(u64::to_ne_bytes).collect();
        let mut batch = table_with_set("set");
        batch.add_elements(OURS, "set", keys.iter().map(|key| &key[..]), Some(HOUR));
        socket.commit(batch).unwrap();
        assert_eq!(count(&socket, "set"), keys.len());
        // As many refusals at once.
        let mut batch = Batch::new();
        for key in &keys {
            batch.delete_element(OURS, "set", &key.map(|byte| !byte));
        }
        let Err(BatchError::Refused(refused)) = socket.commit(batch) else { panic!("took effect") };
        assert_eq!(refused.len(), keys.len());
    });
}

#[test]
fn deleting_and_adding_in_one_transaction_extends() {
    Host::new().blocking(|| {
        let socket = Socket::open().unwrap();
        let short = Duration::from_millis(50);
        let mut batch = table_with_set("set");
        batch.add_elements(OURS, "set", [&[1; 8][..], &[2; 8][..]], Some(short));
        socket.commit(batch).unwrap();
        let mut batch = Batch::new();
        batch.delete_element(OURS, "set", &[1; 8]);
        batch.add_elements(OURS, "set", [&[1; 8][..]], Some(HOUR));
        socket.commit(batch).unwrap();
        let second_is_gone = |_| {
            std::thread::sleep(short);
            count(&socket, "set") < 2
        };
        assert!((0..100).any(second_is_gone));
        let mut batch = Batch::new();
        batch.delete_element(OURS, "set", &[1; 8]);
        socket.commit(batch).unwrap();
    });
}

#[test]
fn a_question_about_nothing_has_no_answer() {
    Host::new().blocking(|| {
        let socket = Socket::open().unwrap();
        assert!(socket.ask(kind::GET_TABLE, Some(Family::Arp), |out| string(out, 1, "none")).unwrap().is_none());
        assert!(socket.dump(kind::GET_TABLE, Family::Arp, |_| {}).unwrap().is_empty());
    });
}
