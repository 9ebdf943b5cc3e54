//! The opening handshake of a connection: from nothing received to open, or to an end.

use super::ends::{Answer, Connection, Opening};
use crate::config::SharedConfig;
use crate::event::Event;
use crate::handshake::{self, Accept, BODY_TIME, Outcome, Request, write_accept, write_refusal, write_reject};
use crate::receive::receiver::Receiver;
use crate::wire::error::{HandshakeError, ProtocolError, SendError, said};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

/// The most bytes of frames that are kept for a server which has not answered the request before them, although
/// [`Wants::read`] is false: what a few reads of a usual buffer bring.
const MOST_HELD: usize = 256 << 10;

/// A method of the receiving half.
pub(super) type Receive = for<'a> fn(&mut Receiver, &mut &'a mut [u8]) -> Result<Option<Event<'a>>, ProtocolError>;

/// The server's answer to a request, and the steps of both roles.
impl Connection {
    #[cold]
    pub(super) fn receive_opening<'a>(
        &mut self,
        input: &mut &'a mut [u8],
        receive: Receive,
    ) -> Result<Option<Event<'a>>, ProtocolError> {
        let before = input.len();
        let is_head = matches!(self.opening.as_deref(), Some(Opening::Request(_) | Opening::Response(..)));
        let result = self.step_opening(input, receive);
        if is_head {
            self.receiver.count(before - input.len());
        }
        result
    }

    #[inline(always)]
    fn step_opening<'a>(
        &mut self,
        input: &mut &'a mut [u8],
        receive: Receive,
    ) -> Result<Option<Event<'a>>, ProtocolError> {
        let config = self.receiver.config();
        let result = match self.opening.as_deref_mut() {
            Some(Opening::Request(reader)) => {
                if reader.is_empty()
                    && let Some(request) = Request::take(input, config)
                {
                    return Ok(Some(self.handle_request(request)));
                }
                match reader.read(input, 0, &config.limits) {
                    Ok(Some(head)) => {
                        Request::from_head(head, config).map(|request| Some(self.handle_request(request)))
                    }
                    Ok(None) => Ok(None),
                    Err(error) => Err(error),
                }
            }
            Some(Opening::Response(client, _)) => match client.receive(input, &config.limits) {
                Ok(Some(outcome)) => self.handle_outcome(outcome).map(Some),
                Ok(None) => Ok(None),
                Err(error) => Err(error),
            },
            Some(Opening::Answer(answer)) => answer.hold(input).map(|()| None),
            Some(Opening::Refused(error)) => Err(*error),
            Some(Opening::Held(..)) | None => return self.receive_held(input, receive),
        };
        result.map_err(|error| {
            *input = &mut [];
            self.fail_opening(error)
        })
    }

    /// Decodes bytes that came before the request was answered, then `input`.
    fn receive_held<'a>(
        &mut self,
        input: &mut &'a mut [u8],
        receive: Receive,
    ) -> Result<Option<Event<'a>>, ProtocolError> {
        let mut result = Ok(None);
        if let Some(Opening::Held(held, at)) = self.opening.as_deref_mut() {
            let len = held.len();
            let mut rest = &mut held[*at..];
            result = receive(&mut self.receiver, &mut rest).map(|event| event.map(Event::into_owned));
            *at = len - rest.len();
        }
        if !matches!(result, Ok(Some(_))) {
            self.opening = None;
            if result.is_ok() {
                result = receive(&mut self.receiver, input);
            }
        }
        self.settle(result)
    }

    fn handle_request<'a>(&mut self, request: Request<'a>) -> Event<'a> {
        let (negotiated, extensions, stages) = handshake::choose_all(|| request.extensions(), self.receiver.config());
        if let Some(opening) = self.opening.as_deref_mut() {
            *opening =
                Opening::Answer(Answer { held: Vec::new(), body: request.has_body(), negotiated, extensions, stages });
        }
        Event::Request(request)
    }

    pub(super) fn handle_outcome<'a>(&mut self, outcome: Outcome<'a>) -> Result<Event<'a>, HandshakeError> {
        match outcome {
            Outcome::Open(response) => {
                let offer = match self.opening.as_deref() {
                    Some(Opening::Response(client, ..)) => client.offer(),
                    _ => "",
                };
                let config = self.receiver.config();
                let negotiated = handshake::agreed(response.extensions(), offer, config)?;
                let stages = handshake::stages::agreed(response.extensions(), &config.extensions, negotiated.bits())?;
                self.opening = None;
                self.opened(negotiated);
                self.extend(stages);
                Ok(Event::Open(response))
            }
            Outcome::Rejected(response) => {
                self.opening = None;
                self.receiver.end();
                self.sender.expire();
                Ok(Event::Rejected(response))
            }
        }
    }

    /// A refusal whose body does not end in time, as far as it has come.
    pub(super) fn refusal_in_time(&mut self, now: Duration) -> Option<Event<'static>> {
        let Some(Opening::Response(client, since)) = self.opening.as_deref_mut() else { return None };
        if !client.is_refused() || now < since.get_or_insert(now).saturating_add(BODY_TIME) {
            return None;
        }
        self.end_refusal()
    }

    /// A refusal that is not waited for any longer.
    pub(super) fn end_refusal(&mut self) -> Option<Event<'static>> {
        let Some(Opening::Response(client, _)) = self.opening.as_deref_mut() else { return None };
        let outcome = client.receive_eof().ok()??;
        self.handle_outcome(outcome).ok()
    }

    /// When time is to be told because of a refusal.
    pub(super) fn refusal_deadline(&self) -> Option<Duration> {
        match self.opening.as_deref() {
            Some(Opening::Response(client, since)) if client.is_refused() => {
                Some(since.map_or(Duration::ZERO, |since| since.saturating_add(BODY_TIME)))
            }
            _ => None,
        }
    }

    /// Ends the opening handshake, a server's with the status that the error asks for.
    pub(super) fn fail_opening(&mut self, error: HandshakeError) -> ProtocolError {
        if let Some(Opening::Request(_) | Opening::Answer(_)) = self.opening.as_deref() {
            self.sender.push_head(|out| write_refusal(error, out));
        }
        self.end_opening();
        error.into()
    }

    fn end_opening(&mut self) {
        self.opening = None;
        self.receiver.end();
        self.sender.fail(None);
    }

    /// Replaces the settings while `request`, the latest event, waits for its answer, and gives the request as these judge it:
    /// for a server whose routes have settings of their own. How long the handshake may take is counted on.
    ///
    /// # Errors
    /// [`NoRequest`](SendError::NoRequest), and then nothing has changed.
    pub fn reconfigure<'a>(
        &mut self,
        request: Request<'a>,
        config: impl Into<SharedConfig>,
    ) -> Result<Request<'a>, SendError> {
        let Some(Opening::Answer(answer)) = self.opening.as_deref_mut() else { return Err(SendError::NoRequest) };
        let config = config.into();
        let request = request.judged(&config);
        (answer.negotiated, answer.extensions, answer.stages) = handshake::choose_all(|| request.extensions(), &config);
        self.sender.set_config(config.clone());
        self.receiver.set_config(config);
        Ok(request)
    }

    /// Accepts the request: the response is outbound, and messages may follow.
    ///
    /// A request that does not pass [`Request::check`] is refused instead, with the status that its error names; the
    /// next [`receive`](Self::receive) returns that error, which ends the connection.
    ///
    /// # Errors
    /// [`NoRequest`](SendError::NoRequest), or [`Head`](SendError::Head),
    /// [`ReservedHeader`](SendError::ReservedHeader) and [`Subprotocol`](SendError::Subprotocol) for what the response
    /// must not say: the request still waits for an answer.
    pub fn accept(&mut self, accept: Accept) -> Result<(), SendError> {
        let Some(Opening::Answer(answer)) = self.opening.as_deref_mut() else { return Err(SendError::NoRequest) };
        if let Err(error) = accept.check() {
            self.sender.push_head(|out| write_refusal(error, out));
            self.sender.fail(None);
            self.opening = Some(Box::new(Opening::Refused(error)));
            return Ok(());
        }
        self.sender.push_head(|out| write_accept(&accept, answer.extensions.as_deref(), out))?;
        let Answer { held, negotiated, stages, .. } = core::mem::take(answer);
        self.opening = (!held.is_empty()).then(|| Box::new(Opening::Held(held, 0)));
        self.opened(negotiated);
        self.extend(stages);
        Ok(())
    }

    /// Answers the request with any status but 1xx, which ends the connection: a refusal, or the answer to plain HTTP.
    ///
    /// `Content-Length` and `Connection: close` are added unless they are given. No event follows.
    ///
    /// # Errors
    /// [`NoRequest`](SendError::NoRequest), [`Status`](SendError::Status) or [`Head`](SendError::Head): the request
    /// still waits for an answer.
    pub fn reject(&mut self, status: u16, headers: &[(&str, &str)], body: &[u8]) -> Result<(), SendError> {
        let Some(Opening::Answer(_)) = self.opening.as_deref() else { return Err(SendError::NoRequest) };
        self.sender.push_head(|out| write_reject(status, headers, body, out))?;
        self.end_opening();
        Ok(())
    }

    /// Answers the request: [`accept`](Self::accept) or [`reject`](Self::reject).
    ///
    /// # Errors
    /// As those.
    pub fn answer(&mut self, answer: impl Into<handshake::Answer>) -> Result<(), SendError> {
        match answer.into() {
            handshake::Answer::Accept(accept) => self.accept(accept),
            handshake::Answer::Reject(reject) => {
                let headers: Vec<_> = reject.headers().collect();
                self.reject(reject.status(), &headers, reject.as_body())
            }
        }
    }
}

impl Answer {
    /// Keeps bytes that came behind a request which waits for its answer, unless that cannot be accepted.
    fn hold(&mut self, input: &mut &mut [u8]) -> Result<(), HandshakeError> {
        if !self.body {
            if self.held.len() + input.len() > MOST_HELD {
                return Err(HandshakeError::HeadTooLong { limit: said(MOST_HELD) });
            }
            self.held.extend_from_slice(input);
        }
        *input = &mut [];
        Ok(())
    }
}
