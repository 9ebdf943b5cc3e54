//! Takes uploads of any size, in constant memory, and says how much of one it has already: `mio_upload_send` sends the rest.
//!
//! ```text
//! cargo run --release -p sockless-mio --example mio_upload -- 127.0.0.1:9001 uploads
//! ```

use sockless_mio::{
    Answer, Config, Conn, Error, Handler, Limits, Message, Piece, Reject, Request, Route, Routes, Server,
};
use std::env::args;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;

struct Uploads(PathBuf);

impl Handler for Uploads {
    /// What is written to.
    type State = Option<File>;

    fn on_request(&self, conn: &mut Conn<'_, Self::State>, request: &Request<'_>) -> Answer {
        let name = request.param("name").unwrap_or_default();
        // What a peer says becomes a path only if it can be nothing else than a name.
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) {
            return Reject::text(400, "a name of letters and digits, please\n").into();
        }
        let file = File::options().append(true).create(true).open(self.0.join(&*name));
        match file.and_then(|file| file.try_lock().map(|()| file).map_err(io::Error::from)) {
            Ok(file) => *conn.state_mut() = Some(file),
            Err(error) => return Reject::text(409, &format!("{error}\n")).into(),
        }
        request.accept().into()
    }

    fn on_open(&self, conn: &mut Conn<'_, Self::State>) {
        let len = conn.state().as_ref().and_then(|file| file.metadata().ok()).map_or(0, |metadata| metadata.len());
        _ = conn.send_text(&len.to_string());
    }

    fn on_message(&self, _: &mut Conn<'_, Self::State>, _: Message<'_>) -> Result<(), Error> {
        Err("it takes pieces".into())
    }

    fn on_piece(&self, conn: &mut Conn<'_, Self::State>, piece: Piece<'_>) -> Result<(), Error> {
        if let Some(file) = conn.state_mut() {
            file.write_all(piece.data.as_bytes())?;
        }
        if piece.last {
            conn.send_text("done")?;
        }
        Ok(())
    }
}

fn main() -> Result<(), Error> {
    let (Some(address), Some(folder)) = (args().nth(1), args().nth(2)) else { return Err("ADDRESS FOLDER".into()) };
    fs::create_dir_all(&folder)?;
    let limits = Limits { message: 64 << 30, fragments: u32::MAX, ..Limits::default() };
    let route = Route::new().config(Config { limits, ..Config::default() }).pieces();
    let routes = Routes::new().route("/upload/{name}", route, Uploads(folder.into()))?;
    println!("ws://{address}/upload/NAME");
    // Writing to a disk waits.
    Server::builder().listen(address).pool(4, 64).bind(routes)?.run()?;
    Ok(())
}
