//! The parameters of one offer or answer.

use alloc::string::String;
use alloc::vec::Vec;

/// The parameters of an offer or an answer, in order (RFC 6455 §9.1): names, and values for those that have one.
///
/// ```
/// use sockless::extensions::Params;
///
/// let params = Params::new().with("level", "3").with("dry", None);
/// assert_eq!(params.get("level"), Some(Some("3")));
/// assert_eq!(params.get("dry"), Some(None));
/// assert_eq!(params.get("wet"), None);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params(Vec<(String, Option<String>)>);

impl Params {
    /// None yet.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The same and one more; both name and value must be tokens, or the handshake does not say it.
    #[must_use]
    pub fn with<'v>(mut self, name: &str, value: impl Into<Option<&'v str>>) -> Self {
        self.0.push((name.into(), value.into().map(Into::into)));
        self
    }

    /// The value of the first of this name, if there is one; the inner `None` for one without a value.
    pub fn get(&self, name: &str) -> Option<Option<&str>> {
        self.iter().find_map(|(own, value)| (own == name).then_some(value))
    }

    /// Each of them. The same name may be there twice; it is for the extension to take or refuse that.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_deref()))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
