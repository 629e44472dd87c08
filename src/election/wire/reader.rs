//! Values off the front of a field.

use super::{
    Claim, DecodeError, Echo, MAX_FRONTS,
    body::{
        ASKS, CLAIMING, ELIGIBLE, HAS_REFERENCES, HOLDING, LOST, SEES_SILENCE, Stream, TAKES_PART, UNSETTLED,
        UNVERIFIED,
    },
};
use crate::model::{Digest, Name, Role};
use std::{net::IpAddr, time::Duration};

/// Takes values off the front; running past the end is an error, bytes left over are not.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn bytes(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let (head, rest) = self.0.split_at_checked(len).ok_or(DecodeError::Truncated)?;
        self.0 = rest;
        Ok(head)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (head, rest) = self.0.split_first_chunk().ok_or(DecodeError::Truncated)?;
        self.0 = rest;
        Ok(*head)
    }

    pub(super) fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    pub(super) fn u16(&mut self) -> Result<u16, DecodeError> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    pub(super) fn u64(&mut self) -> Result<u64, DecodeError> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    pub(super) fn micros(&mut self) -> Result<Duration, DecodeError> {
        Ok(Duration::from_micros(self.u64()?))
    }

    /// Text for people: control characters are dropped, so that a log stays one line per event.
    pub(super) fn text(&mut self, len: usize) -> Result<String, DecodeError> {
        let text = std::str::from_utf8(self.bytes(len)?).map_err(|_| DecodeError::Malformed)?;
        Ok(text.chars().filter(|c| !c.is_control()).collect())
    }

    pub(super) fn name(&mut self, len: usize) -> Result<Name, DecodeError> {
        let text = std::str::from_utf8(self.bytes(len)?).map_err(|_| DecodeError::Malformed)?;
        Name::new(text).map_err(|_| DecodeError::Malformed)
    }

    pub(super) fn stream(&mut self) -> Result<Stream, DecodeError> {
        Ok(Stream {
            path: self.u8()?,
            session: self.u64()?,
            seq: self.u64()?,
            round: self.u64()?,
            slice: self.u16()?,
            slices: self.u16()?,
            interval: self.micros()?,
            dead_after: self.micros()?,
        })
    }

    pub(super) fn echo(&mut self) -> Result<Echo, DecodeError> {
        let (session, seq, hold) = (self.u64()?, self.u64()?, self.micros()?);
        Ok(Echo { session, seq, hold, hears_you: self.u8()? & 1 != 0 })
    }

    pub(super) fn ip(&mut self) -> Result<IpAddr, DecodeError> {
        match self.u8()? {
            4 => Ok(IpAddr::from(self.array::<4>()?)),
            6 => Ok(IpAddr::from(self.array::<16>()?)),
            _ => Err(DecodeError::Malformed),
        }
    }

    pub(super) fn fronts(&mut self) -> Result<Vec<IpAddr>, DecodeError> {
        let mut fronts = Vec::new();
        while !self.0.is_empty() && fronts.len() < MAX_FRONTS {
            fronts.push(self.ip()?);
        }
        Ok(fronts)
    }

    pub(super) fn claim(&mut self) -> Result<Claim, DecodeError> {
        let ip = self.ip()?;
        let role = match self.u8()? {
            0 => Role::Initialize,
            1 => Role::Backup,
            2 => Role::Active,
            _ => return Err(DecodeError::Malformed),
        };
        let flags = self.u8()?;
        let (epoch, digest) = (self.u64()?, Digest(self.u64()?));
        let offer = match self.u8()? {
            0 => None,
            len => Some(self.name(len.into())?),
        };
        let reason_len = self.u8()?;
        let reason = self.text(reason_len.into())?;
        let more = self.u8().unwrap_or(0);
        let round = if offer.is_some() { self.u64().unwrap_or(0) } else { 0 };
        Ok(Claim {
            ip,
            role,
            epoch,
            digest,
            holding: flags & HOLDING != 0,
            asks: flags & ASKS != 0,
            claiming: flags & CLAIMING != 0,
            eligible: flags & ELIGIBLE != 0,
            takes_part: flags & TAKES_PART != 0,
            settled: more & UNSETTLED == 0,
            verified: more & UNVERIFIED == 0,
            lost: more & LOST != 0,
            sees_silence: more & SEES_SILENCE != 0,
            has_references: more & HAS_REFERENCES != 0,
            offer: offer.map(|name| (name, round)),
            reason,
        })
    }
}
