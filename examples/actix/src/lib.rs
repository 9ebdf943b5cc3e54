//! WebSockets in actix-web 4, beside its other routes: the handshake is the core's, and the connection is `sockless-tokio`'s.

use actix_web::http::{StatusCode, Version};
use actix_web::rt::spawn;
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};
use futures_util::StreamExt;
use sockless::handshake::http::{accept, accept_response, choose_extensions, refusal};
use sockless::{Role, Seed, SharedConfig};
use sockless_tokio::{Error, WebSocket};
use tokio::io::{AsyncWriteExt, DuplexStream, WriteHalf, duplex, split};
use tokio_util::io::ReaderStream;

/// Bytes that are on their way between actix-web and the connection, in each direction.
const ROOM: usize = 64 << 10;

/// The response that opens a WebSocket, with which `work` is done in a task of its own, whose end is told to the peer: 1000, or
/// 1011 if it fails. A request that is not a good one is answered with the status that fits.
pub fn upgrade<W>(
    request: &HttpRequest,
    payload: web::Payload,
    config: impl Into<SharedConfig>,
    work: W,
) -> HttpResponse
where
    W: AsyncFnOnce(&mut WebSocket<DuplexStream>) -> Result<(), Error> + 'static,
{
    let (config, request) = (config.into(), head(request));
    let accepted = match accept(&request, &config) {
        Ok(accepted) => accepted,
        Err(error) => {
            let response = refusal(error, request.version());
            return answer(&response).body(response.into_body());
        }
    };
    let (negotiated, extensions) = choose_extensions(request.headers(), &config);
    let Ok(response) = accept_response(&accepted, extensions.as_deref()) else {
        return HttpResponse::InternalServerError().finish();
    };
    let (near, far) = duplex(ROOM);
    let (outgoing, incoming) = split(far);
    spawn(fill(payload, incoming));
    spawn(async move {
        let socket = WebSocket::open(near, Role::Server, negotiated, config, Seed::random(), b"");
        _ = socket.run(work).await;
    });
    answer(&response).upgrade("websocket").streaming(ReaderStream::new(outgoing))
}

/// What the client sends behind its request, until it hangs up.
async fn fill(mut payload: web::Payload, mut incoming: WriteHalf<DuplexStream>) {
    while let Some(Ok(bytes)) = payload.next().await {
        if incoming.write_all(&bytes).await.is_err() {
            break;
        }
    }
    _ = incoming.shutdown().await;
}

/// The request as the core knows one: actix-web has an older version of the `http` crate.
fn head(request: &HttpRequest) -> http::Request<()> {
    let mut head = http::Request::new(());
    *head.version_mut() = match request.version() {
        Version::HTTP_10 => http::Version::HTTP_10,
        Version::HTTP_2 => http::Version::HTTP_2,
        _ => http::Version::HTTP_11,
    };
    // What cannot be said in the other version is left out, and missed.
    *head.method_mut() = http::Method::from_bytes(request.method().as_str().as_bytes()).unwrap_or_default();
    *head.uri_mut() = request.uri().to_string().parse().unwrap_or_default();
    for (name, value) in request.headers() {
        let name = http::HeaderName::from_bytes(name.as_str().as_bytes());
        if let (Ok(name), Ok(value)) = (name, http::HeaderValue::from_bytes(value.as_bytes())) {
            head.headers_mut().append(name, value);
        }
    }
    head
}

/// The status and the fields of a response.
fn answer<B>(response: &http::Response<B>) -> HttpResponseBuilder {
    let status = StatusCode::from_u16(response.status().as_u16()).expect("it is one");
    let mut builder = HttpResponse::build(status);
    for (name, value) in response.headers() {
        builder.append_header((name.as_str(), value.as_bytes()));
    }
    builder
}
