//! What a connection can be told, as a tape holds it.

use super::field::{Bad, Field, tag};
use crate::config::{Config, Negotiated};
use crate::handshake::SubprotocolPolicy;
use crate::message::{Kind, Role};
use crate::wire::code::Code;
use crate::wire::mask::Seed;
use alloc::{boxed::Box, string::String, vec::Vec};

/// A call of a [`Connection`](crate::Connection)'s.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Call {
    /// It is made.
    Start(Box<Start>),
    /// [`receive`](crate::Connection::receive), with the bytes that were not there in the call before.
    Receive(Vec<u8>),
    /// [`receive_eof`](crate::Connection::receive_eof).
    Eof,
    /// [`handle_timeout`](crate::Connection::handle_timeout), at the time of the step.
    Time,
    /// These bytes of [`outbound`](crate::Connection::outbound) were taken to be written.
    Take(Vec<u8>),
    /// A message is sent.
    Send(Kind, Vec<u8>, Way),
    /// [`send_fragment`](crate::Connection::send_fragment): a part, and whether it is the last.
    Fragment(Kind, Vec<u8>, bool),
    /// [`ping`](crate::Connection::ping).
    Ping(Vec<u8>),
    /// [`pong`](crate::Connection::pong).
    Pong(Vec<u8>),
    /// [`close`](crate::Connection::close).
    Close(Code, String),
    /// [`abort`](crate::Connection::abort).
    Abort(Code),
    /// [`accept`](crate::Connection::accept), with a subprotocol and fields.
    Accept(Option<String>, Vec<(String, String)>),
    /// [`reject`](crate::Connection::reject).
    Reject(u16, Vec<(String, String)>, Vec<u8>),
    /// Limits, deadlines and what may wait are changed to these.
    Change(Box<Config>),
    /// An end sent these bytes, which are a part of the opening handshake or of no WebSocket: no connection was given them.
    Passed(Role, Vec<u8>),
    /// The storage of what waits to go out was swapped, as a [`Driver`](crate::Driver) does.
    Swap,
    /// Something that a tape cannot hold.
    Unseen,
}

/// How a connection is made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Start {
    /// [`Connection::server`](crate::Connection::server).
    Server(Config),
    /// [`Connection::client`](crate::Connection::client).
    Client {
        /// The head of the request, but for its key, which follows from the seed.
        request: Vec<u8>,
        /// What becomes of it if no subprotocol is chosen.
        policy: SubprotocolPolicy,
        /// The settings.
        config: Config,
        /// What the key and all masks follow from.
        seed: Seed,
    },
    /// [`Connection::open`](crate::Connection::open).
    Open {
        /// Which end it is.
        role: Role,
        /// What was agreed on.
        negotiated: Negotiated,
        /// The settings.
        config: Config,
        /// What all masks follow from.
        seed: Seed,
    },
}

/// Which call sends a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Way {
    /// [`send`](crate::Connection::send), and those that are as good.
    Copied,
    /// [`send_shared`](crate::Connection::send_shared), and a [`Writer`](crate::Writer).
    Shared,
    /// [`send_prepared`](crate::Connection::send_prepared).
    Prepared,
    /// [`send_with`](crate::Connection::send_with): compressed however short it is.
    Compressed,
    /// The same: not compressed.
    Plain,
}

impl Call {
    /// What it is, in a word or two.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Start(_) => "start",
            Self::Receive(_) => "receive",
            Self::Eof => "end of input",
            Self::Time => "time",
            Self::Take(_) => "take",
            Self::Send(..) => "send",
            Self::Fragment(..) => "send fragment",
            Self::Ping(_) => "ping",
            Self::Pong(_) => "pong",
            Self::Close(..) => "close",
            Self::Abort(_) => "abort",
            Self::Accept(..) => "accept",
            Self::Reject(..) => "reject",
            Self::Change(_) => "change",
            Self::Passed(..) => "passed",
            Self::Swap => "swap",
            Self::Unseen => "unseen",
        }
    }
}

impl Start {
    /// Which end it is.
    pub fn role(&self) -> Role {
        match self {
            Self::Server(_) => Role::Server,
            Self::Client { .. } => Role::Client,
            Self::Open { role, .. } => *role,
        }
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        match self {
            Self::Server(config) | Self::Client { config, .. } | Self::Open { config, .. } => config,
        }
    }
}

/// Writes a tag, and what is behind it.
macro_rules! put {
    ($out:ident, $tag:literal $(, $field:expr)*) => {{
        $out.push($tag);
        $($field.put($out);)*
    }};
}

impl Field for Way {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(*self as u8);
    }

    fn get(input: &mut &[u8]) -> Result<Self, Bad> {
        let all = [Self::Copied, Self::Shared, Self::Prepared, Self::Compressed, Self::Plain];
        all.get(usize::from(tag(input)?)).copied().ok_or(Bad::Value)
    }
}

impl Field for Start {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Server(config) => put!(out, 0, config),
            Self::Client { request, policy, config, seed } => put!(out, 1, request, policy, config, seed),
            Self::Open { role, negotiated, config, seed } => put!(out, 2, role, negotiated, config, seed),
        }
    }

    fn get(input: &mut &[u8]) -> Result<Self, Bad> {
        Ok(match tag(input)? {
            0 => Self::Server(Field::get(input)?),
            1 => Self::Client {
                request: Field::get(input)?,
                policy: Field::get(input)?,
                config: Field::get(input)?,
                seed: Field::get(input)?,
            },
            2 => Self::Open {
                role: Field::get(input)?,
                negotiated: Field::get(input)?,
                config: Field::get(input)?,
                seed: Field::get(input)?,
            },
            _ => return Err(Bad::Value),
        })
    }
}

impl Field for Call {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Start(start) => put!(out, 0, start),
            Self::Receive(bytes) => put!(out, 1, bytes),
            Self::Eof => put!(out, 2),
            Self::Time => put!(out, 3),
            Self::Take(bytes) => put!(out, 4, bytes),
            Self::Send(kind, bytes, way) => put!(out, 5, kind, bytes, way),
            Self::Fragment(kind, bytes, last) => put!(out, 6, kind, bytes, last),
            Self::Ping(payload) => put!(out, 7, payload),
            Self::Pong(payload) => put!(out, 8, payload),
            Self::Close(code, reason) => put!(out, 9, code, reason),
            Self::Abort(code) => put!(out, 10, code),
            Self::Accept(subprotocol, headers) => put!(out, 11, subprotocol, headers),
            Self::Reject(status, headers, body) => put!(out, 12, status, headers, body),
            Self::Change(config) => put!(out, 13, config),
            Self::Passed(from, bytes) => put!(out, 14, from, bytes),
            Self::Swap => put!(out, 15),
            Self::Unseen => put!(out, 16),
        }
    }

    fn get(input: &mut &[u8]) -> Result<Self, Bad> {
        Ok(match tag(input)? {
            0 => Self::Start(Field::get(input)?),
            1 => Self::Receive(Field::get(input)?),
            2 => Self::Eof,
            3 => Self::Time,
            4 => Self::Take(Field::get(input)?),
            5 => Self::Send(Field::get(input)?, Field::get(input)?, Field::get(input)?),
            6 => Self::Fragment(Field::get(input)?, Field::get(input)?, Field::get(input)?),
            7 => Self::Ping(Field::get(input)?),
            8 => Self::Pong(Field::get(input)?),
            9 => Self::Close(Field::get(input)?, Field::get(input)?),
            10 => Self::Abort(Field::get(input)?),
            11 => Self::Accept(Field::get(input)?, Field::get(input)?),
            12 => Self::Reject(Field::get(input)?, Field::get(input)?, Field::get(input)?),
            13 => Self::Change(Field::get(input)?),
            14 => Self::Passed(Field::get(input)?, Field::get(input)?),
            15 => Self::Swap,
            16 => Self::Unseen,
            _ => return Err(Bad::Value),
        })
    }
}
