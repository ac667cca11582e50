//! Who may have a shell: whoever has read what the server printed.
//!
//! The origin check keeps foreign pages out. It does not keep other users of this machine out, who can open a socket with
//! any `Origin` they like, nor a page whose own host name was made to lead to 127.0.0.1.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use rand::TryRngCore as _;
use rand::rngs::OsRng;

/// Opens to the token, once, and from then on to the key that was given for it. Cheap to clone.
///
/// The token is in an address, and addresses end up in histories and over shoulders; so it is good for one browser, the
/// first. The key is kept by the page where only pages of this address and port can read it. A cookie would be sent to
/// every port of this machine, whoever listens there.
#[derive(Clone, Debug)]
pub struct Door {
    token: Arc<Mutex<Option<Secret>>>,
    key: Secret,
}

impl Door {
    /// A door, and its token.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn new() -> anyhow::Result<(Self, String)> {
        let (token, key) = (Secret::random()?, Secret::random()?);
        let printed = token.0.clone();
        Ok((Self { token: Arc::new(Mutex::new(Some(token))), key }, printed))
    }

    pub(crate) fn opens_to(&self, key: &str) -> bool {
        self.key.is(key)
    }

    /// The key, for the token; nobody gets it a second time.
    pub(crate) fn redeem(&self, token: &str) -> Option<&str> {
        // Nothing panics while it is locked.
        let mut unused = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        unused.take_if(|secret| secret.is(token)).map(|_| &*self.key.0)
    }
}

/// 128 random bits.
#[derive(Clone)]
struct Secret(String);

impl Secret {
    fn random() -> anyhow::Result<Self> {
        let mut bytes = [0; 16];
        OsRng.try_fill_bytes(&mut bytes).context("there is no randomness to make a token of")?;
        Ok(Self(format!("{:032x}", u128::from_be_bytes(bytes))))
    }

    /// Takes as long whatever is wrong: how long a comparison took tells nobody how much of a guess was right.
    fn is(&self, guess: &str) -> bool {
        let differs = self.0.bytes().zip(guess.bytes()).fold(0, |differs, (a, b)| differs | (a ^ b));
        self.0.len() == guess.len() && differs == 0
    }
}

/// Keeps it out of logs.
impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_once_and_its_key_for_ever() {
        let (door, token) = Door::new().unwrap();
        assert!(!door.opens_to(&token), "the token is no key");
        for guess in ["", &token[1..], &format!("{token}0"), &token.replace(|_: char| true, "0")] {
            assert_eq!(door.redeem(guess), None, "{guess:?}");
        }
        let key = door.redeem(&token).unwrap().to_owned();
        assert!(door.opens_to(&key) && key != token);
        assert_eq!(door.redeem(&token), None, "the token was good twice");
        assert!(door.opens_to(&key) && !door.opens_to(&key[1..]));
    }
}
