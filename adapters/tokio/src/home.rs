//! What outlives whoever holds it: where it is dropped, it goes back to who lent it.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

/// Where something goes when it is dropped.
pub(crate) struct Home<T>(Arc<Mutex<Option<Box<T>>>>);

impl<T> Home<T> {
    pub(crate) fn new() -> Self {
        Self(Arc::default())
    }

    /// What has come home.
    pub(crate) fn take(&self) -> Option<Box<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl<T> Clone for Home<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// Something that may have a home.
pub(crate) struct Homing<T> {
    /// Until it has left.
    inner: Option<T>,
    home: Option<Home<T>>,
}

impl<T> Homing<T> {
    pub(crate) fn new(inner: T) -> Self {
        Self { inner: Some(inner), home: None }
    }

    pub(crate) fn set_home(&mut self, home: Home<T>) {
        self.home = Some(home);
    }

    /// Takes it for good: it does not go home.
    pub(crate) fn leave(mut self) -> T {
        self.inner.take().unwrap_or_else(|| gone())
    }
}

impl<T> Deref for Homing<T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        self.inner.as_ref().unwrap_or_else(|| gone())
    }
}

impl<T> DerefMut for Homing<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        self.inner.as_mut().unwrap_or_else(|| gone())
    }
}

impl<T> Drop for Homing<T> {
    fn drop(&mut self) {
        if let (Some(inner), Some(home)) = (self.inner.take(), &self.home) {
            *home.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(inner));
        }
    }
}

#[cold]
#[inline(never)]
fn gone() -> ! {
    unreachable!("it leaves only with who held it")
}
