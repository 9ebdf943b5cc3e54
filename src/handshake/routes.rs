//! Which route of a server takes a request.

use super::Request;
use super::server::Params;
use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::{String, ToString};
use core::fmt;
use thiserror::Error;

/// What a server has at its paths, such as `/`, `/chat/{room}` or `/files/{*rest}`: what stands in braces is a part of the
/// path, or with a star all that is left of it. A path without them goes before one with.
///
/// ```
/// use sockless::{Config, Request, handshake::Routes};
///
/// let mut routes = Routes::default();
/// routes.add("/", "page")?;
/// routes.add("/chat/{room}", "chat")?;
///
/// let head = b"GET /chat/caf%C3%A9?quiet HTTP/1.1\r\n\r\n";
/// let mut request = Request::parse(head.as_slice(), &Config::default())?;
/// assert_eq!(routes.route(&mut request), Some(&"chat"));
/// assert_eq!(request.param("room").as_deref(), Some("café"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Routes<T>(matchit::Router<T>);

impl<T> Routes<T> {
    /// Adds what is at a path.
    ///
    /// # Errors
    /// A path that is none, or that stands for the same requests as one before it.
    pub fn add(&mut self, path: &str, route: T) -> Result<(), RouteError> {
        let begins = path.starts_with('/').then_some(()).ok_or("it does not begin with a slash".to_owned());
        let added = begins.and_then(|()| self.0.insert(path, route).map_err(|error| error.to_string()));
        added.map_err(|why| RouteError { path: path.into(), why })
    }

    /// What is at the request's path, if anything; [`Request::param`] then gives the parts that the path names. The path is
    /// compared as it came, its percent-encoding untouched.
    pub fn route(&self, request: &mut Request<'_>) -> Option<&T> {
        let matchit::Match { value, params } = self.0.at(request.path()).ok()?;
        let named = params.iter().map(|(name, value)| (name.into(), value.into()));
        request.params = (!params.is_empty()).then(|| Box::new(Params(named.collect())));
        Some(value)
    }
}

impl<T> Default for Routes<T> {
    fn default() -> Self {
        Self(matchit::Router::new())
    }
}

impl<T> fmt::Debug for Routes<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Routes").finish_non_exhaustive()
    }
}

/// A path that cannot be a route's.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("no route at {path:?}: {why}")]
pub struct RouteError {
    path: String,
    why: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use alloc::format;

    fn found<'r>(routes: &'r Routes<u8>, target: &str) -> (Option<&'r u8>, Request<'static>) {
        let mut request =
            Request::parse(format!("GET {target} HTTP/1.1\r\n\r\n").into_bytes(), &Config::DEFAULT).unwrap();
        (routes.route(&mut request), request)
    }

    #[test]
    fn the_path_alone_decides_and_a_fixed_one_goes_before() {
        let mut routes = Routes::default();
        for (path, route) in [("/{room}", 1), ("/lobby", 2), ("/files/{*rest}", 3)] {
            routes.add(path, route).unwrap();
        }
        let (route, request) = found(&routes, "/a%2Fb+c?x");
        assert_eq!((route, request.param("room").as_deref(), request.param("rest")), (Some(&1), Some("a/b+c"), None));
        assert_eq!(found(&routes, "/lobby?room=x").0, Some(&2));
        let (route, request) = found(&routes, "http://h/files/a/b");
        assert_eq!((route, request.param("rest").as_deref()), (Some(&3), Some("a/b")));
        for target in ["/", "/lobby/", "/files/", "*"] {
            let (route, request) = found(&routes, target);
            assert_eq!((route, request.param("room")), (None, None), "{target}");
        }
    }

    #[test]
    fn what_is_no_path_is_told() {
        let mut routes = Routes::default();
        routes.add("/{room}", 1).unwrap();
        for (path, why) in
            [("/{other}", "conflict"), ("", "slash"), ("chat", "slash"), ("/{}", "name"), ("/c/{*a}/b", "end")]
        {
            let error = routes.add(path, 2).unwrap_err().to_string();
            assert!(error.starts_with(&format!("no route at {path:?}: ")) && error.contains(why), "{error}");
        }
        assert_eq!(found(&routes, "/x").0, Some(&1));
    }
}
