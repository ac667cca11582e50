//! Who is at the other end of a connection, where somebody has said so.

use std::fmt;
use std::sync::Arc;

use serde::de::DeserializeOwned;

/// Who is connected. Cheap to clone; an extractor in handlers.
///
/// Extracting a `User` on a route that did not authenticate anybody refuses the upgrade with 401;
/// `Option<User>` takes anonymous visitors too.
#[derive(Clone, PartialEq, Eq)]
pub struct User(Arc<Inner>);

/// Everything in one text, because there is one for each connection: the id, the scopes and the roles, each
/// ended by a NUL, then the claims of the token as JSON.
#[derive(PartialEq, Eq)]
struct Inner {
    text: Box<str>,
    id_end: u32,
    scopes_end: u32,
    roles_end: u32,
}

impl Inner {
    fn new(id: &str, scopes: &[impl AsRef<str>], roles: &[impl AsRef<str>], claims: &str) -> Self {
        let lists = scopes.iter().map(AsRef::as_ref).chain(roles.iter().map(AsRef::as_ref));
        let lists_bytes: usize = lists.map(|item: &str| item.len() + 1).sum();
        // At once in its final size: text that grows leaves holes behind, between what a handshake needs for a moment.
        let mut text = String::with_capacity(id.len() + lists_bytes + claims.len());
        text.push_str(id);
        let id_end = text.len() as u32;
        let mut list = |items: &mut dyn Iterator<Item = &str>| {
            // An item with a NUL in it could pass for two.
            for item in items.filter(|item| !item.contains('\0')) {
                text.push_str(item);
                text.push('\0');
            }
            text.len() as u32
        };
        let scopes_end = list(&mut scopes.iter().map(AsRef::as_ref));
        let roles_end = list(&mut roles.iter().map(AsRef::as_ref));
        text.push_str(claims);
        Self { text: text.into(), id_end, scopes_end, roles_end }
    }

    fn id(&self) -> &str {
        &self.text[..self.id_end as usize]
    }

    fn scopes(&self) -> impl Iterator<Item = &str> {
        self.text[self.id_end as usize..self.scopes_end as usize].split_terminator('\0')
    }

    fn roles(&self) -> impl Iterator<Item = &str> {
        self.text[self.scopes_end as usize..self.roles_end as usize].split_terminator('\0')
    }

    fn claims(&self) -> &str {
        &self.text[self.roles_end as usize..]
    }
}

/// A user id no user can have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a user id has 1 to 256 bytes and no control characters")]
pub struct InvalidUserId;

impl User {
    /// A user without scopes or roles.
    ///
    /// # Errors
    /// An id has 1 to 256 bytes and no control characters. An empty one would make everybody the same user.
    pub fn new(id: impl Into<Box<str>>) -> Result<Self, InvalidUserId> {
        Self::with_claims(&id.into(), &[], &[], "")
    }

    pub(crate) fn with_claims(
        id: &str,
        scopes: &[Box<str>],
        roles: &[Box<str>],
        claims: &str,
    ) -> Result<Self, InvalidUserId> {
        if id.is_empty() || id.len() > 256 || id.chars().any(char::is_control) {
            return Err(InvalidUserId);
        }
        Ok(Self(Arc::new(Inner::new(id, scopes, roles, claims))))
    }

    /// This user with these scopes.
    #[must_use]
    pub fn scopes<T: Into<Box<str>>>(self, scopes: impl IntoIterator<Item = T>) -> Self {
        let scopes: Vec<Box<str>> = scopes.into_iter().map(Into::into).collect();
        let roles: Vec<&str> = self.0.roles().collect();
        Self(Arc::new(Inner::new(self.id(), &scopes, &roles, self.0.claims())))
    }

    /// This user with these roles.
    #[must_use]
    pub fn roles<T: Into<Box<str>>>(self, roles: impl IntoIterator<Item = T>) -> Self {
        let roles: Vec<Box<str>> = roles.into_iter().map(Into::into).collect();
        let scopes: Vec<&str> = self.0.scopes().collect();
        Self(Arc::new(Inner::new(self.id(), &scopes, &roles, self.0.claims())))
    }

    /// The id, unique among the app's users.
    pub fn id(&self) -> &str {
        self.0.id()
    }

    /// Whether the user has a scope.
    pub fn has_scope(&self, scope: &str) -> bool {
        self.0.scopes().any(|has| has == scope)
    }

    /// Whether the user has a role.
    pub fn has_role(&self, role: &str) -> bool {
        self.0.roles().any(|has| has == role)
    }

    /// The claims of the token the user came with, read as a `T`; `None` if there was no token or its
    /// claims are not a `T`.
    pub fn claims<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_str(self.0.claims()).ok()
    }
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("id", &self.id()).finish_non_exhaustive()
    }
}
