//! Uploads of any size, in constant memory, which are taken up again where they were cut off.
//!
//! ```text
//! cargo run --release -p sockless-mio --example mio_upload -- serve 127.0.0.1:9001 uploads
//! cargo run --release -p sockless-mio --example mio_upload -- send ws://127.0.0.1:9001/upload/film film.mkv
//! ```
//!
//! The server says how much it has of what the path names, and the client sends the rest, as one message.

use sockless_mio::{
    Answer, Client, ClientError, Config, Conn, Error, Handler, Limits, Message, Piece, Reject, Request, Route, Routes,
    Server,
};
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// The most that is taken of one file.
const MOST: usize = 64 << 30;

/// Bytes of the file that are sent at once.
const CHUNK: usize = 64 << 10;

fn main() -> Result<(), Error> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve", address, folder] => serve(address, folder.into()),
        ["send", url, file] => send(url, Path::new(file)),
        _ => Err("mio_upload serve ADDRESS FOLDER, or mio_upload send URL FILE".into()),
    }
}

struct Uploads {
    folder: PathBuf,
}

impl Handler for Uploads {
    /// What is written to.
    type State = Option<File>;

    fn on_request(&self, conn: &mut Conn<'_, Self::State>, request: &Request<'_>) -> Answer {
        let name = request.param("name").unwrap_or_default();
        // What a peer says becomes a path only if it can be nothing else than a name.
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) {
            return Reject::text(400, "a name of letters and digits, please\n").into();
        }
        let file = File::options().append(true).create(true).open(self.folder.join(&*name));
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

fn serve(address: &str, folder: PathBuf) -> Result<(), Error> {
    fs::create_dir_all(&folder)?;
    let limits = Limits { message: MOST, fragments: u32::MAX, ..Limits::default() };
    let route = Route::new().config(Config { limits, ..Config::default() }).pieces();
    let routes = Routes::new().route("/upload/{name}", route, Uploads { folder })?;
    // Writing to a disk waits.
    let server = Server::builder().listen(address).pool(4, 64).bind(routes)?;
    println!("ws://{address}/upload/NAME");
    server.run()?;
    Ok(())
}

fn send(url: &str, file: &Path) -> Result<(), Error> {
    let mut file = File::open(file)?;
    loop {
        match send_rest(url, &mut file) {
            Ok(()) => return Ok(()),
            Err(error) if matches!(error.downcast_ref(), Some(ClientError::Rejected(_))) => return Err(error),
            Err(error) => println!("{error}: once more"),
        }
        std::thread::sleep(std::time::Duration::from_secs(1));
    }
}

fn send_rest(url: &str, file: &mut File) -> Result<(), Error> {
    let mut client = Client::connect(url)?;
    let begun = client.receive()?.ok_or(ClientError::Closed)?;
    let begun: u64 = begun.as_text().unwrap_or_default().parse()?;
    println!("{begun} bytes are there");
    file.seek(SeekFrom::Start(begun))?;
    let mut chunk = vec![0; CHUNK];
    loop {
        let len = file.read(&mut chunk)?;
        client.send_fragment(sockless_mio::Kind::Binary, &chunk[..len], len == 0)?;
        if len == 0 {
            break;
        }
    }
    client.receive()?.ok_or(ClientError::Closed)?;
    client.close(1000, "")?;
    println!("done");
    Ok(())
}
