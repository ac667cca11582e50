//! Who is at the other end of a connection, where somebody has said so.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Who is connected. Cheap to clone; an extractor in handlers.
///
/// Extracting a `User` on a route that did not authenticate anybody refuses the upgrade with 401;
/// `Option<User>` takes anonymous visitors too.
#[derive(Clone, PartialEq, Eq)]
pub struct User(Arc<Inner>);

/// Everything in one text, because there is one for each connection: the id, the scopes and the roles, each
/// ended by a NUL, then the claims of the token as JSON.
#[derive(Clone, PartialEq, Eq)]
struct Inner {
    text: Box<str>,
    id_end: u32,
    scopes_end: u32,
    roles_end: u32,
    /// In seconds since 1970. The largest stands for everything from the year 2106 on.
    expires: Option<NonZeroU32>,
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
        Self { text: text.into(), id_end, scopes_end, roles_end, expires: None }
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
        let inner = Inner::new(self.id(), &scopes, &roles, self.0.claims());
        Self(Arc::new(Inner { expires: self.0.expires, ..inner }))
    }

    /// This user with these roles.
    #[must_use]
    pub fn roles<T: Into<Box<str>>>(self, roles: impl IntoIterator<Item = T>) -> Self {
        let roles: Vec<Box<str>> = roles.into_iter().map(Into::into).collect();
        let scopes: Vec<&str> = self.0.scopes().collect();
        let inner = Inner::new(self.id(), &scopes, &roles, self.0.claims());
        Self(Arc::new(Inner { expires: self.0.expires, ..inner }))
    }

    /// This user until `at`, to the second. A connection whose user expires is closed with
    /// [`SIGN_IN`](wirelark_proto::CloseCode::SIGN_IN), unless it has [signed in](crate::Socket::sign_in) anew by then.
    /// Users that a [`Jwt`](crate::auth::Jwt) makes expire with their token.
    #[must_use]
    pub fn expires(mut self, at: SystemTime) -> Self {
        let seconds = at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let seconds =
            NonZeroU32::MIN.saturating_add(u32::try_from(seconds).unwrap_or(u32::MAX).saturating_sub(1));
        Arc::make_mut(&mut self.0).expires = Some(seconds);
        self
    }

    /// When the user has to have signed in again; `None` if never.
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.0.expires.map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds.get().into()))
    }

    /// How long the user has until then; nothing if that has passed.
    pub(crate) fn expires_in(&self) -> Option<Duration> {
        self.expires_at().map(|at| at.duration_since(SystemTime::now()).unwrap_or_default())
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

    /// The id of the token the user came with, its claim `jti`; `None` if there was no token or it has none.
    pub fn token_id(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct TokenId {
            jti: String,
        }
        self.claims().map(|TokenId { jti }| jti)
    }
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("id", &self.id()).finish_non_exhaustive()
    }
}

/// What a user must have: every scope and every role.
#[derive(Clone, Debug, Default)]
pub(crate) struct Requirements {
    pub(crate) scopes: Vec<Box<str>>,
    pub(crate) roles: Vec<Box<str>>,
}

impl Requirements {
    pub(crate) fn new(scopes: &[&str], roles: &[&str]) -> Self {
        let boxed = |names: &[&str]| names.iter().map(|name| (*name).into()).collect();
        Self { scopes: boxed(scopes), roles: boxed(roles) }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.scopes.is_empty() && self.roles.is_empty()
    }

    /// The first thing the user lacks, in words.
    pub(crate) fn lacking(&self, user: &User) -> Option<Box<str>> {
        let scope = self.scopes.iter().find(|scope| !user.has_scope(scope));
        let role = self.roles.iter().find(|role| !user.has_role(role));
        let scope = scope.map(|scope| format!("scope {scope:?}"));
        scope.or_else(|| role.map(|role| format!("role {role:?}"))).map(Into::into)
    }
}

/// Why somebody could not sign in on a connection that is open.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignInError {
    /// The connection has ended.
    #[error("the connection has ended")]
    Ended,
    /// The connection is another user's.
    #[error("the connection is another user's: a renewed token names the same user; `switch_user` takes any")]
    AnotherUser,
    /// The user lacks something that the route requires.
    #[error("the user lacks the {0}")]
    Forbidden(Box<str>),
    /// The user has as many connections to the route as [`connections_per_user`](crate::Options::connections_per_user)
    /// allows.
    #[error("{0}")]
    TooManyConnections(&'static str),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ada() -> User {
        User::new("ada").expect("a valid id")
    }

    #[test]
    fn an_expiry_is_kept_to_the_second_and_by_what_is_made_of_the_user() {
        let check = |seconds: u64, expected: u64| {
            let user = ada().expires(UNIX_EPOCH + Duration::from_secs(seconds)).scopes(["a"]).roles(["b"]);
            assert_eq!(user.expires_at(), Some(UNIX_EPOCH + Duration::from_secs(expected)), "{seconds}");
        };
        check(1_700_000_000, 1_700_000_000);
        check(4_000_000_000, 4_000_000_000);
        check(u64::from(u32::MAX) + 7, u32::MAX.into());
        check(0, 1);
        assert_eq!(ada().expires_at(), None);
        assert_eq!(ada().expires(UNIX_EPOCH).expires_in(), Some(Duration::ZERO), "long ago");
    }

    #[test]
    fn an_expiry_takes_no_memory_of_its_own() {
        assert_eq!(size_of::<Inner>(), size_of::<(Box<str>, [u32; 4])>());
    }

    #[test]
    fn what_a_user_lacks_is_named() {
        let needed =
            Requirements { scopes: vec!["read".into(), "write".into()], roles: vec!["editor".into()] };
        let check = |user: User, expected: Option<&str>| {
            assert_eq!(needed.lacking(&user).as_deref(), expected);
        };
        check(ada().scopes(["read"]).roles(["editor"]), Some("scope \"write\""));
        check(ada().scopes(["read", "write"]), Some("role \"editor\""));
        check(ada().scopes(["read", "write"]).roles(["editor"]), None);
    }
}
