//! Whether an outcome is one that a case allows.

use crate::case::{Case, End, Expect};
use crate::offer::agrees;
use crate::outcome::{Handshake, Outcome, describe};

/// How an outcome stands to its case.
pub(crate) enum Verdict {
    /// As the case has it first.
    Right,
    /// As it may be too.
    Allowed,
    /// Right, but that the peer is not told why the connection fails, which it should be (RFC 6455 §7.1.7).
    Untold,
    /// Not as it may be.
    Wrong,
}

pub(crate) fn judge(case: &Case, outcome: &Outcome) -> Verdict {
    if outcome.fault.is_some() {
        return Verdict::Wrong;
    }
    let all = || std::iter::once(&case.expect).chain(&case.also_allowed);
    if allows(&case.expect, outcome, false) {
        Verdict::Right
    } else if all().any(|expect| allows(expect, outcome, false)) {
        Verdict::Allowed
    } else if all().any(|expect| allows(expect, outcome, true)) {
        Verdict::Untold
    } else {
        Verdict::Wrong
    }
}

/// Whether this outcome is the expected one; `lenient` lets a failure be without its code.
fn allows(expect: &Expect, outcome: &Outcome, lenient: bool) -> bool {
    let events = expect.events == outcome.events;
    let ends = match (expect.end.as_ref().unwrap_or(&End::Open), &outcome.end) {
        (End::Fail(None), End::Fail(_)) => true,
        (End::Fail(Some(_)), End::Fail(None)) => lenient,
        (expected, end) => expected == end,
    };
    match (&outcome.handshake, expect) {
        (None, _) => events && ends,
        (Some(Handshake::Accepted { key, subprotocol, extensions }), Expect { accept: Some(accept), .. }) => {
            key.as_ref() == Some(&accept.key)
                && accept.subprotocol.contains(subprotocol)
                && extensions.as_ref().is_none_or(|answer| agrees(answer, &accept.deflate))
                && events
                && ends
        }
        (Some(Handshake::Refused { status, version }), Expect { refuse: Some(statuses), version: wanted, .. }) => {
            statuses.contains(status) && (wanted.is_none() || version == wanted)
        }
        (Some(Handshake::Open(open)), Expect { open: Some(expected), .. }) => open == expected && events && ends,
        (Some(Handshake::Rejected(status)), Expect { reject: Some(expected), .. }) => status == expected,
        (Some(Handshake::Waiting), Expect { open: None, reject: None, .. }) => events && ends,
        (Some(Handshake::Taken(true)), Expect { taken: Some(true), .. }) => true,
        (Some(Handshake::Taken(false)), Expect { taken: Some(false), .. }) => true,
        _ => false,
    }
}

/// What a case expects first, in the words of a table.
pub(crate) fn expected(expect: &Expect) -> String {
    let mut text = if let Some(accept) = &expect.accept {
        let names: Vec<_> = accept.subprotocol.iter().flatten().map(String::as_str).collect();
        let offers: Vec<_> = accept.deflate.iter().map(|offer| offer.header()).collect();
        let with = [names.join(" or "), offers.join(" or ")].into_iter().filter(|part| !part.is_empty());
        match with.collect::<Vec<_>>().join(" and ") {
            with if with.is_empty() => "accepts".to_owned(),
            with => format!("accepts with {with}"),
        }
    } else if let Some(statuses) = &expect.refuse {
        let statuses: Vec<_> = statuses.iter().map(u16::to_string).collect();
        let version = expect.version.as_ref().map_or(String::new(), |version| format!(" for version {version}"));
        return format!("refuses with {}{version}", statuses.join(" or "));
    } else if let Some(open) = &expect.open {
        let deflate = if open.deflate { ", compressed" } else { "" };
        match &open.subprotocol {
            Some(name) => format!("opens with {name}{deflate}"),
            None => format!("opens{deflate}"),
        }
    } else if let Some(status) = expect.reject {
        return format!("tells of {status}");
    } else if let Some(taken) = expect.taken {
        return if taken { "takes it" } else { "refuses it" }.to_owned();
    } else {
        String::new()
    };
    let end = expect.end.as_ref().unwrap_or(&End::Open);
    if text.is_empty() {
        return describe(&expect.events, end);
    }
    if !expect.events.is_empty() || *end != End::Open {
        text.push_str(", ");
        text.push_str(&describe(&expect.events, end));
    }
    text
}
