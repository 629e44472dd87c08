//! The body of a heartbeat: fields of `type u16, length u16, value`.

use super::reader::Reader;
use super::{CLAIMS_LEN, Claim, DecodeError, Echo, MAX_FRONTS, MAX_MACS, MAX_REASON, MAX_VERSION, Packet};
use crate::model::{Mac, Name, Role};
use std::{net::IpAddr, time::Duration};

const SENDER: u16 = 1;
const DESTINATION: u16 = 2;
const STREAM: u16 = 3;
const ECHO: u16 = 4;
const VERSION: u16 = 5;
const MACS: u16 = 6;
const CLAIM: u16 = 7;
/// Flags of the node as a whole.
const NODE: u16 = 8;
const FRONTS: u16 = 9;

pub(super) const HOLDING: u8 = 1;
pub(super) const ASKS: u8 = 2;
pub(super) const CLAIMING: u8 = 4;
pub(super) const ELIGIBLE: u8 = 8;
pub(super) const TAKES_PART: u8 = 16;
// The second byte of flags came with minor version 1. Without it all are 0, so 0 is what an older peer means.
pub(super) const UNSETTLED: u8 = 1;
pub(super) const UNVERIFIED: u8 = 2;
pub(super) const LOST: u8 = 4;
pub(super) const SEES_SILENCE: u8 = 8;
pub(super) const HAS_REFERENCES: u8 = 16;

const FENCED: u8 = 1;

pub(super) fn write(packet: &Packet, out: &mut Vec<u8>) {
    field(out, SENDER, |out| out.extend(packet.sender.as_bytes()));
    field(out, DESTINATION, |out| out.extend(packet.destination.as_bytes()));
    field(out, STREAM, |out| write_stream(packet, out));
    if let Some(echo) = packet.echo {
        field(out, ECHO, |out| write_echo(echo, out));
    }
    field(out, VERSION, |out| out.extend(clip(&packet.version, MAX_VERSION).as_bytes()));
    field(out, MACS, |out| packet.macs.iter().take(MAX_MACS).for_each(|mac| out.extend(mac.0)));
    field(out, NODE, |out| out.push(if packet.fenced { FENCED } else { 0 }));
    if !packet.fronts.is_empty() {
        field(out, FRONTS, |out| packet.fronts.iter().take(MAX_FRONTS).for_each(|ip| write_ip(*ip, out)));
    }
    let mut room = CLAIMS_LEN;
    for claim in &packet.claims {
        let Some(left) = room.checked_sub(claim_len(claim)) else { break };
        room = left;
        field(out, CLAIM, |out| write_claim(claim, out));
    }
}

pub(super) fn read(bytes: &[u8]) -> Result<Packet, DecodeError> {
    let mut fields = Fields::default();
    let mut rest = Reader(bytes);
    while !rest.0.is_empty() {
        let kind = rest.u16()?;
        let len = rest.u16()?;
        fields.take(kind, rest.bytes(len.into())?)?;
    }
    fields.packet().ok_or(DecodeError::Malformed)
}

/// Bytes that a claim takes, its field's head included.
pub(super) fn claim_len(claim: &Claim) -> usize {
    let ip = if claim.ip.is_ipv4() { 4 } else { 16 };
    let offer = claim.offer.as_ref().map_or(0, |(name, _)| name.len() + 8);
    4 + 1 + ip + 1 + 1 + 8 + 8 + 1 + offer + 1 + clip(&claim.reason, MAX_REASON).len() + 1
}

fn field(out: &mut Vec<u8>, kind: u16, write: impl FnOnce(&mut Vec<u8>)) {
    out.extend(kind.to_be_bytes());
    let len_at = out.len();
    out.extend([0; 2]);
    write(out);
    let len = (out.len() - len_at - 2) as u16;
    out[len_at..len_at + 2].copy_from_slice(&len.to_be_bytes());
}

fn write_stream(packet: &Packet, out: &mut Vec<u8>) {
    out.push(packet.path);
    out.extend(packet.session.to_be_bytes());
    out.extend(packet.seq.to_be_bytes());
    out.extend(packet.round.to_be_bytes());
    out.extend(packet.slice.to_be_bytes());
    out.extend(packet.slices.to_be_bytes());
    out.extend(micros(packet.interval).to_be_bytes());
    out.extend(micros(packet.dead_after).to_be_bytes());
}

fn write_echo(echo: Echo, out: &mut Vec<u8>) {
    out.extend(echo.session.to_be_bytes());
    out.extend(echo.seq.to_be_bytes());
    out.extend(micros(echo.hold).to_be_bytes());
    out.push(echo.hears_you.into());
}

fn write_ip(ip: IpAddr, out: &mut Vec<u8>) {
    match ip {
        IpAddr::V4(ip) => {
            out.push(4);
            out.extend(ip.octets());
        }
        IpAddr::V6(ip) => {
            out.push(6);
            out.extend(ip.octets());
        }
    }
}

fn write_claim(claim: &Claim, out: &mut Vec<u8>) {
    write_ip(claim.ip, out);
    out.push(match claim.role {
        Role::Initialize => 0,
        Role::Backup => 1,
        Role::Active => 2,
    });
    out.push(bits([
        (claim.holding, HOLDING),
        (claim.asks, ASKS),
        (claim.claiming, CLAIMING),
        (claim.eligible, ELIGIBLE),
        (claim.takes_part, TAKES_PART),
    ]));
    out.extend(claim.epoch.to_be_bytes());
    out.extend(claim.digest.0.to_be_bytes());
    short_text(out, claim.offer.as_ref().map_or("", |(name, _)| name));
    short_text(out, clip(&claim.reason, MAX_REASON));
    out.push(bits([
        (!claim.settled, UNSETTLED),
        (!claim.verified, UNVERIFIED),
        (claim.lost, LOST),
        (claim.sees_silence, SEES_SILENCE),
        (claim.has_references, HAS_REFERENCES),
    ]));
    if let Some((_, round)) = &claim.offer {
        out.extend(round.to_be_bytes());
    }
}

fn bits<const N: usize>(flags: [(bool, u8); N]) -> u8 {
    flags.iter().filter(|(set, _)| *set).map(|(_, bit)| bit).sum()
}

/// At most 255 bytes; names and clipped texts are.
fn short_text(out: &mut Vec<u8>, text: &str) {
    out.push(text.len() as u8);
    out.extend(text.as_bytes());
}

fn micros(duration: Duration) -> u64 {
    duration.as_micros().try_into().unwrap_or(u64::MAX)
}

fn clip(text: &str, max: usize) -> &str {
    let end = (0..=max.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}

/// What has been read of a body so far.
#[derive(Default)]
struct Fields {
    sender: Option<Name>,
    destination: Option<Name>,
    stream: Option<Stream>,
    echo: Option<Echo>,
    version: String,
    macs: Vec<Mac>,
    fenced: bool,
    fronts: Vec<IpAddr>,
    claims: Vec<Claim>,
}

pub(super) struct Stream {
    pub(super) path: u8,
    pub(super) session: u64,
    pub(super) seq: u64,
    pub(super) round: u64,
    pub(super) slice: u16,
    pub(super) slices: u16,
    pub(super) interval: Duration,
    pub(super) dead_after: Duration,
}

impl Fields {
    fn take(&mut self, kind: u16, value: &[u8]) -> Result<(), DecodeError> {
        let mut reader = Reader(value);
        match kind {
            SENDER => self.sender = Some(reader.name(value.len())?),
            DESTINATION => self.destination = Some(reader.name(value.len())?),
            STREAM => self.stream = Some(reader.stream()?),
            ECHO => self.echo = Some(reader.echo()?),
            VERSION => self.version = reader.text(value.len())?,
            MACS => self.macs = value.as_chunks().0.iter().copied().map(Mac).collect(),
            CLAIM => self.claims.push(reader.claim()?),
            NODE => self.fenced = reader.u8()? & FENCED != 0,
            FRONTS => self.fronts = reader.fronts()?,
            _ => {}
        }
        Ok(())
    }

    fn packet(self) -> Option<Packet> {
        let stream = self.stream?;
        let sane = stream.slice < stream.slices && stream.seq != 0 && !stream.interval.is_zero();
        sane.then_some(Packet {
            sender: self.sender?,
            destination: self.destination?,
            path: stream.path,
            session: stream.session,
            seq: stream.seq,
            round: stream.round,
            slice: stream.slice,
            slices: stream.slices,
            interval: stream.interval,
            dead_after: stream.dead_after,
            echo: self.echo,
            version: self.version,
            macs: self.macs,
            fenced: self.fenced,
            fronts: self.fronts,
            claims: self.claims,
        })
    }
}
