//! Plain HTTP: the page to try a server by, and the files of a directory.

use crate::status::Failure;
use sockless_tokio::Reject;
use std::io;
use std::path::{Component, Path, PathBuf};

/// What is served beside WebSockets.
pub(crate) struct Pages {
    /// Without links, so that a file's can be compared.
    root: Option<PathBuf>,
}

impl Pages {
    /// The page alone, or with the files of a directory.
    ///
    /// # Errors
    /// No such directory.
    pub(crate) fn new(root: Option<PathBuf>) -> Result<Self, Failure> {
        let found = |root: PathBuf| match root.canonicalize() {
            Ok(found) if found.is_dir() => Ok(found),
            Ok(_) => Err(Failure::usage(format!("{}: not a directory", root.display()))),
            Err(error) => Err(Failure::usage(format!("{}: {error}", root.display()))),
        };
        Ok(Self { root: root.map(found).transpose()? })
    }

    /// What is at a path, from which its first slash and its percent-encoding are taken. At the root that is the page, unless the
    /// directory has an `index.html`.
    pub(crate) async fn page(&self, path: &str) -> Reject {
        let found = match &self.root {
            Some(root) => file(root, path).await,
            None => None,
        };
        match found {
            Some(page) => page,
            None if path.is_empty() => Reject::page("text/html; charset=utf-8", include_str!("page.html")),
            None => Reject::text(404, "Not found.\n"),
        }
    }
}

/// A file below a directory; for a directory below it, its `index.html`.
async fn file(root: &Path, path: &str) -> Option<Reject> {
    let is_below = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
    if !is_below {
        return None;
    }
    let mut file = tokio::fs::canonicalize(root.join(path)).await.ok()?;
    if file.is_dir() {
        file = tokio::fs::canonicalize(file.join("index.html")).await.ok()?;
    }
    // A link may lead elsewhere.
    if !file.starts_with(root) {
        return None;
    }
    match tokio::fs::read(&file).await {
        Ok(bytes) => Some(Reject::page(content_type(&file), bytes).header("X-Content-Type-Options", "nosniff")),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Some(Reject::text(403, "Not to be read.\n")),
        Err(_) => None,
    }
}

fn content_type(file: &Path) -> &'static str {
    match file.extension().and_then(|extension| extension.to_str()).unwrap_or_default() {
        "html" | "htm" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "txt" | "md" => "text/plain; charset=utf-8",
        "json" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "ico" => "image/x-icon",
        "webp" => "image/webp",
        "wasm" => "application/wasm",
        _ => "application/octet-stream",
    }
}
