//! A page, and an echo for WebSockets at `/echo`, on `127.0.0.1:9001`.

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, Responder, get, web};
use sockless::Config;
use sockless_actix_example::upgrade;

#[get("/")]
async fn page() -> impl Responder {
    "WebSockets are at /echo.\n"
}

#[get("/echo")]
async fn echo(request: HttpRequest, payload: web::Payload) -> HttpResponse {
    upgrade(&request, payload, Config::default(), async |socket| {
        socket.recv_each(|message, replies| replies.feed(message)).await
    })
}

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    HttpServer::new(|| App::new().service(page).service(echo)).bind("127.0.0.1:9001")?.run().await
}
