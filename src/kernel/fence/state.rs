//! Whether the persistent fence is still what it was made like.
//!
//! Anybody with the capability can change it. The kernel counts the transactions of a namespace: while the count is that
//! of our own since the last look, nothing has changed, at the price of one question. If it is not, the whole table is
//! read and compared with what it was when it was made.

use super::{concerns::Role, layout::Mode};
use crate::kernel::nft::{Attributes, Batch, BatchError, Family, Message, Socket, Table, kind, string};
use std::io;

const FAMILIES: [Family; 3] = [Family::Netdev, Family::Arp, Family::Inet];

/// The fence as the kernel showed it.
#[derive(Debug)]
pub(super) struct State {
    /// The ruleset's generation at the last look, and how many transactions this socket had made then.
    seen: (u32, u32),
    objects: Vec<Object>,
}

/// Kind, family, and the attributes as they are, handles included; the elements of a set in order.
type Object = (u16, u8, Vec<Vec<u8>>);

/// Commits what makes the fence, and notes what came of it. `None`: somebody else made changes at the same moment, so
/// that it is not known what of it is ours.
pub(super) fn commit_and_remember(socket: &Socket, batch: Batch, mode: Mode) -> Result<Option<State>, BatchError> {
    let before = seen(socket)?;
    socket.commit(batch)?;
    let state = State { seen: seen(socket)?, objects: read(socket, mode)? };
    let undisturbed = is_only_us(before, state.seen) && seen(socket)? == state.seen;
    Ok(undisturbed.then_some(state))
}

impl State {
    /// Whether the fence is still like this.
    pub(super) fn holds(&mut self, socket: &Socket, mode: Mode) -> io::Result<bool> {
        let now = seen(socket)?;
        let same = is_only_us(self.seen, now) || read(socket, mode)? == self.objects;
        self.seen = now;
        Ok(same)
    }
}

/// Removes the fence, of whatever mode, if there is one.
pub(super) fn remove(socket: &Socket) -> io::Result<bool> {
    let mut batch = Batch::new();
    for family in FAMILIES {
        let table = Table { family, name: Role::Fence.name() };
        if exists(socket, table)? {
            batch.delete_table(table);
        }
    }
    let any = batch.messages() > 0;
    if any {
        socket.commit(batch).map_err(BatchError::into_io)?;
    }
    Ok(any)
}

/// Whether a living process has a permit table.
pub(super) fn is_owned(socket: &Socket) -> io::Result<bool> {
    exists(socket, Table { family: Family::Netdev, name: Role::Permit.name() })
}

fn exists(socket: &Socket, table: Table) -> io::Result<bool> {
    match socket.ask(kind::GET_TABLE, Some(table.family), |out| string(out, 1, table.name)) {
        // A family that the kernel does not have.
        Err(error) if matches!(error.raw_os_error(), Some(libc::EAFNOSUPPORT | libc::EOPNOTSUPP)) => Ok(false),
        result => Ok(result?.is_some()),
    }
}

fn seen(socket: &Socket) -> io::Result<(u32, u32)> {
    let answer = socket.ask(kind::GET_GENERATION, None, |_| {})?;
    let generation = answer.iter().flatten().find_map(|message| message.attributes().number(1));
    Ok((generation.ok_or_else(|| io::Error::other("nftables names no generation"))?, socket.commits()))
}

fn is_only_us(before: (u32, u32), after: (u32, u32)) -> bool {
    after.0.wrapping_sub(before.0) == after.1.wrapping_sub(before.1)
}

fn read(socket: &Socket, mode: Mode) -> io::Result<Vec<Object>> {
    let mut objects = Vec::new();
    for part in mode.parts() {
        let table = part.table(Role::Fence);
        let named = |out: &mut Vec<u8>| string(out, 1, table.name);
        let found = socket.ask(kind::GET_TABLE, Some(table.family), named)?.unwrap_or_default();
        objects.extend(found.iter().map(object));
        for of in [kind::GET_CHAIN, kind::GET_RULE, kind::GET_SET] {
            let all = socket.dump(of, table.family, named)?;
            // Not every kernel filters every kind.
            let ours: Vec<_> = all.iter().filter(|it| it.attributes().text(1) == Some(table.name)).collect();
            objects.extend(ours.iter().map(|it| object(it)));
            for set in ours.iter().filter(|_| of == kind::GET_SET).filter_map(|it| it.attributes().text(2)) {
                let elements = socket.dump(kind::GET_ELEMENT, table.family, |out| {
                    named(out);
                    string(out, 2, set);
                })?;
                objects.push(contents(table.family, &elements));
            }
        }
    }
    Ok(objects)
}

fn object(message: &Message) -> Object {
    let attributes = message.attributes().map(|(kind, value)| [&kind.to_ne_bytes(), value].concat());
    (message.kind, message.family(), attributes.collect())
}

/// A set's elements come in the order of a hash table, which may change by itself.
fn contents(family: Family, messages: &[Message]) -> Object {
    let lists = messages.iter().filter_map(|message| message.attributes().get(3));
    let mut elements: Vec<_> = lists.flat_map(|list| Attributes(list).map(|(_, value)| value.to_vec())).collect();
    elements.sort_unstable();
    (kind::GET_ELEMENT, family as u8, elements)
}
