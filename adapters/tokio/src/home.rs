//! What outlives whoever holds it: where it is dropped, it goes back to who lent it.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

/// Where something goes when it is dropped.
pub(crate) struct Home<T>(Arc<Mutex<Option<T>>>);

impl<T> Home<T> {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(None)))
    }

    pub(crate) fn put(&self, it: T) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(it);
    }

    /// What has come home.
    pub(crate) fn take(&self) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl<T> Clone for Home<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// Something that may have a home, where it is a `U`: in a box, since most never come there.
pub(crate) struct Homing<T: Into<U>, U = Box<T>> {
    /// Until it has left.
    inner: Option<T>,
    home: Option<Home<U>>,
}

impl<T: Into<U>, U> Homing<T, U> {
    pub(crate) fn new(inner: T) -> Self {
        Self { inner: Some(inner), home: None }
    }

    pub(crate) fn set_home(&mut self, home: Home<U>) {
        self.home = Some(home);
    }

    pub(crate) fn home(&self) -> Option<Home<U>> {
        self.home.clone()
    }

    /// Takes it for good: it does not go home.
    pub(crate) fn leave(mut self) -> T {
        self.inner.take().unwrap_or_else(|| gone())
    }
}

impl<T: Into<U>, U> Deref for Homing<T, U> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        self.inner.as_ref().unwrap_or_else(|| gone())
    }
}

impl<T: Into<U>, U> DerefMut for Homing<T, U> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        self.inner.as_mut().unwrap_or_else(|| gone())
    }
}

impl<T: Into<U>, U> Drop for Homing<T, U> {
    fn drop(&mut self) {
        if let (Some(inner), Some(home)) = (self.inner.take(), &self.home) {
            home.put(inner.into());
        }
    }
}

#[cold]
#[inline(never)]
fn gone() -> ! {
    unreachable!("it leaves only with who held it")
}
