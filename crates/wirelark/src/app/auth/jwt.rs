//! Signed tokens (RFC 7519).

use std::collections::HashSet;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::request::Parts;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;

use super::{AuthError, Authenticator, TokenSource, User};

/// Verifies signed tokens: signature, `exp`, and where asked for `aud` and `iss`.
///
/// The user's id is the `sub` claim, scopes come from `scope` (text, separated by spaces) and `scopes`
/// (a list), roles from `roles`. A token must expire, and a connection made with it closes when it does, unless it
/// [signs in](crate::Socket::sign_in) with another by then. Only the algorithm of the key is accepted, whatever the token's
/// header says.
///
/// ```
/// use wirelark::auth::{Jwt, TokenSource};
///
/// let jwt = Jwt::hs256(b"secret").audience("chat").sources([TokenSource::Bearer, TokenSource::Cookie("token".into())]);
/// # let _ = wirelark::App::new().auth(jwt);
/// ```
#[derive(Clone)]
pub struct Jwt {
    key: DecodingKey,
    validation: Validation,
    sources: Vec<TokenSource>,
}

/// The claims a user is made of.
#[derive(Clone, Debug, Deserialize)]
#[non_exhaustive]
pub struct Claims {
    /// The user's id.
    pub sub: Box<str>,
    /// Scopes separated by spaces (RFC 8693).
    #[serde(default)]
    pub scope: Option<Box<str>>,
    /// Scopes as a list.
    #[serde(default)]
    pub scopes: Vec<Box<str>>,
    /// Roles.
    #[serde(default)]
    pub roles: Vec<Box<str>>,
    /// When the token expires, in seconds since 1970.
    pub exp: u64,
}

/// A key that could not be read.
#[derive(Debug, thiserror::Error)]
#[error("the key is not a PEM of the kind asked for")]
pub struct JwtError(#[source] jsonwebtoken::errors::Error);

impl Jwt {
    /// HMAC with SHA-256 and a shared secret.
    pub fn hs256(secret: &[u8]) -> Self {
        Self::new(Algorithm::HS256, DecodingKey::from_secret(secret))
    }

    /// RSA with SHA-256 and a public key in PEM.
    ///
    /// # Errors
    /// The PEM holds no RSA public key.
    pub fn rs256(pem: &[u8]) -> Result<Self, JwtError> {
        Ok(Self::new(Algorithm::RS256, DecodingKey::from_rsa_pem(pem).map_err(JwtError)?))
    }

    /// ECDSA on P-256 with SHA-256 and a public key in PEM.
    ///
    /// # Errors
    /// The PEM holds no EC public key.
    pub fn es256(pem: &[u8]) -> Result<Self, JwtError> {
        Ok(Self::new(Algorithm::ES256, DecodingKey::from_ec_pem(pem).map_err(JwtError)?))
    }

    fn new(algorithm: Algorithm, key: DecodingKey) -> Self {
        let mut validation = Validation::new(algorithm);
        validation.validate_aud = false;
        Self { key, validation, sources: vec![TokenSource::Bearer] }
    }

    /// Tokens must name this audience.
    #[must_use]
    pub fn audience(mut self, audience: &str) -> Self {
        self.validation.validate_aud = true;
        self.validation.required_spec_claims.insert("aud".to_owned());
        self.validation.aud.get_or_insert_with(HashSet::new).insert(audience.to_owned());
        self
    }

    /// Tokens must come from this issuer.
    #[must_use]
    pub fn issuer(mut self, issuer: &str) -> Self {
        self.validation.required_spec_claims.insert("iss".to_owned());
        self.validation.iss.get_or_insert_with(HashSet::new).insert(issuer.to_owned());
        self
    }

    /// How far clocks may differ; 60 s unless set.
    #[must_use]
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.validation.leeway = leeway.as_secs();
        self
    }

    /// Where tokens are looked for, in this order; the `Authorization` header alone unless set.
    #[must_use]
    pub fn sources(mut self, sources: impl IntoIterator<Item = TokenSource>) -> Self {
        self.sources = sources.into_iter().collect();
        self
    }

    /// The user a token names.
    ///
    /// # Errors
    /// [`AuthError::Invalid`] with a text that says what is wrong with the token, and nothing of it.
    pub fn verify(&self, token: &str) -> Result<User, AuthError> {
        let claims: Claims = jsonwebtoken::decode(token, &self.key, &self.validation)
            .map_err(|error| AuthError::Invalid(problem(error.kind())))?
            .claims;
        let mut scopes = claims.scopes;
        scopes.extend(claims.scope.iter().flat_map(|scope| scope.split_ascii_whitespace()).map(Into::into));
        let payload = payload_text(token).unwrap_or_default();
        let user = User::with_claims(&claims.sub, &scopes, &claims.roles, &payload)
            .map_err(|_| AuthError::Invalid("its subject is no user id"))?;
        Ok(user.expires(self.expiry(claims.exp)))
    }

    /// When a connection made with a token that holds now must have a new one: at the token's `exp`. One that holds only
    /// because clocks may differ has until they no longer may; it would otherwise be let in and closed at once.
    fn expiry(&self, exp: u64) -> SystemTime {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let expires = if exp > now.as_secs() { exp } else { exp.saturating_add(self.validation.leeway) };
        // No later than a moment all clocks can say.
        UNIX_EPOCH + Duration::from_secs(expires.min(u32::MAX.into()))
    }
}

impl Authenticator for Jwt {
    fn authenticate<'a>(
        &'a self,
        parts: &'a mut Parts,
    ) -> Pin<Box<dyn Future<Output = Result<User, AuthError>> + Send + 'a>> {
        let token = self.sources.iter().find_map(|source| source.find(parts));
        let user = token.ok_or(AuthError::Missing).and_then(|token| self.verify(token));
        Box::pin(std::future::ready(user))
    }

    fn is_credential(&self, protocol: &str) -> bool {
        self.sources.iter().any(
            |source| matches!(source, TokenSource::Subprotocol(prefix) if protocol.starts_with(&**prefix)),
        )
    }

    fn sources(&self) -> Vec<TokenSource> {
        self.sources.clone()
    }
}

impl fmt::Debug for Jwt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jwt").field("sources", &self.sources).finish_non_exhaustive()
    }
}

/// The claims of a verified token, as the JSON text the issuer wrote.
fn payload_text(token: &str) -> Option<String> {
    use base64::Engine as _;
    let payload = token.split('.').nth(1)?;
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).ok()?;
    String::from_utf8(bytes).ok()
}

fn problem(kind: &ErrorKind) -> &'static str {
    match kind {
        ErrorKind::ExpiredSignature => "it has expired",
        ErrorKind::ImmatureSignature => "it is not valid yet",
        ErrorKind::InvalidAudience => "it is for another audience",
        ErrorKind::InvalidIssuer => "it comes from another issuer",
        ErrorKind::InvalidSignature | ErrorKind::InvalidAlgorithm => "its signature does not hold",
        ErrorKind::MissingRequiredClaim(_) => "it lacks a required claim",
        _ => "it is no signed token",
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{EncodingKey, Header, encode};
    use serde_json::{Value, json};

    use super::*;

    fn token(claims: &Value) -> String {
        encode(&Header::default(), claims, &EncodingKey::from_secret(b"secret"))
            .expect("claims can be signed")
    }

    fn now() -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs()
    }

    fn check_refused(jwt: &Jwt, claims: &Value, expected: &str) {
        let error = jwt.verify(&token(claims)).expect_err("the token does not hold");
        assert!(error.to_string().contains(expected), "{error} does not say {expected:?}");
    }

    #[test]
    fn a_good_token_makes_a_user() {
        let claims =
            json!({"sub": "ada", "exp": now() + 60, "scope": "realtime read", "roles": ["admin"], "team": 7});
        let user = Jwt::hs256(b"secret").verify(&token(&claims)).expect("the token holds");
        assert_eq!(user.id(), "ada");
        assert!(user.has_scope("realtime") && user.has_scope("read") && !user.has_scope("write"));
        assert!(user.has_role("admin"));
        #[derive(Deserialize)]
        struct Team {
            team: u32,
        }
        assert_eq!(user.claims::<Team>().expect("the claims have a team").team, 7);
    }

    #[test]
    fn bad_tokens_say_what_is_wrong_and_nothing_more() {
        let jwt = Jwt::hs256(b"secret").leeway(Duration::from_secs(10)).audience("chat").issuer("us");
        let good = json!({"sub": "ada", "exp": now() + 60, "aud": "chat", "iss": "us"});
        jwt.verify(&token(&good)).expect("the token holds");
        let with = |key: &str, value: Value| {
            let mut claims = good.clone();
            claims[key] = value;
            claims
        };
        check_refused(&jwt, &with("exp", json!(now() - 11)), "expired");
        jwt.verify(&token(&with("exp", json!(now() - 5)))).expect("within the leeway");
        check_refused(&jwt, &with("aud", json!("mail")), "audience");
        check_refused(&jwt, &with("iss", json!("them")), "issuer");
        check_refused(&jwt, &with("sub", json!("")), "user id");
        check_refused(&Jwt::hs256(b"other"), &good, "signature");
        check_refused(&jwt, &json!({"sub": "ada", "aud": "chat", "iss": "us"}), "");
        let error = jwt.verify("not.a.token").expect_err("no token").to_string();
        assert!(!error.contains("not.a.token"));
    }

    #[test]
    fn public_keys_verify_what_private_keys_signed_and_nothing_else() {
        // Made for this test; they open nothing.
        let rsa = (include_bytes!("test_keys/rsa.pem"), include_bytes!("test_keys/rsa.pub.pem"));
        let ec = (include_bytes!("test_keys/ec.pem"), include_bytes!("test_keys/ec.pub.pem"));
        let claims = json!({"sub": "ada", "exp": now() + 60});
        let sign =
            |algorithm, key| encode(&Header::new(algorithm), &claims, &key).expect("claims can be signed");
        let by_rsa = sign(Algorithm::RS256, EncodingKey::from_rsa_pem(rsa.0).expect("an RSA key"));
        let by_ec = sign(Algorithm::ES256, EncodingKey::from_ec_pem(ec.0).expect("an EC key"));
        let rs256 = Jwt::rs256(rsa.1).expect("an RSA public key");
        let es256 = Jwt::es256(ec.1).expect("an EC public key");
        assert_eq!(rs256.verify(&by_rsa).expect("the token holds").id(), "ada");
        assert_eq!(es256.verify(&by_ec).expect("the token holds").id(), "ada");
        rs256.verify(&by_ec).expect_err("another algorithm");
        es256.verify(&by_rsa).expect_err("another algorithm");
        // The old trick: a token signed by HMAC with the public key's text as its secret.
        let forged = sign(Algorithm::HS256, EncodingKey::from_secret(rsa.1));
        rs256.verify(&forged).expect_err("the key's algorithm decides");
        assert!(Jwt::rs256(b"no PEM").is_err() && Jwt::es256(b"no PEM").is_err());
    }

    #[test]
    fn the_header_does_not_choose_the_algorithm() {
        let none = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZGEiLCJleHAiOjk5OTk5OTk5OTl9.";
        Jwt::hs256(b"secret").verify(none).expect_err("unsigned");
    }
}
