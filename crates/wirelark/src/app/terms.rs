//! On what terms a route takes connections: its options, who may come, and who is told of what passes.

use std::sync::Arc;

use super::auth::{Authenticator, Requirements};
use crate::connection::Hooks;
use crate::hub::{RoomPolicy, SharedPolicy};
use crate::limits::Options;

/// What is said of a route, or of all routes of a scope. What a route leaves open the scopes around it say.
#[derive(Clone, Default)]
pub(crate) struct Terms {
    pub(crate) options: Options,
    pub(crate) auth: Option<Arc<dyn Authenticator>>,
    pub(crate) requirements: Requirements,
    pub(crate) room_policy: Option<SharedPolicy>,
    pub(crate) hooks: Hooks,
}

impl Terms {
    /// What was said before stays where `options` say nothing.
    pub(crate) fn set_options(&mut self, options: Options) {
        self.options = options.or(&self.options);
    }

    /// What was set before stays where `hooks` leave something out.
    pub(crate) fn set_hooks(&mut self, hooks: Hooks) {
        self.hooks = hooks.or(&self.hooks);
    }

    pub(crate) fn set_auth(&mut self, authenticator: impl Authenticator) {
        self.auth = Some(Arc::new(authenticator));
    }

    pub(crate) fn set_room_policy(&mut self, policy: impl RoomPolicy) {
        self.room_policy = Some(SharedPolicy(Arc::new(policy)));
    }

    pub(crate) fn require_scope(&mut self, scope: &str) {
        self.requirements.scopes.push(scope.into());
    }

    pub(crate) fn require_role(&mut self, role: &str) {
        self.requirements.roles.push(role.into());
    }

    /// The nearest scope says what is left open here; requirements add up.
    pub(crate) fn inherit(&mut self, outer: &Self) {
        self.options = std::mem::take(&mut self.options).or(&outer.options);
        self.hooks = std::mem::take(&mut self.hooks).or(&outer.hooks);
        self.auth = self.auth.take().or_else(|| outer.auth.clone());
        self.room_policy = self.room_policy.take().or_else(|| outer.room_policy.clone());
        self.requirements.scopes.extend_from_slice(&outer.requirements.scopes);
        self.requirements.roles.extend_from_slice(&outer.requirements.roles);
    }
}
