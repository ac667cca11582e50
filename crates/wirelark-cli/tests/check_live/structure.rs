//! Changes of a contract itself: its calls, its pushes, what it is called and where it is.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use wirelark::Rate;
use wirelark::client::Client;
use wirelark::contract::{CallKind, Calls, Delivery, Description, Problem, Push};
use wirelark::schemars::{self, JsonSchema};

use super::{Case, Script, Served, Version};

#[derive(Serialize, Deserialize, JsonSchema)]
struct Input {}

#[derive(Clone, Copy, Serialize, Deserialize, JsonSchema)]
struct Output {
    done: bool,
}

const OUTPUT: Output = Output { done: true };

pub(super) fn cases() -> Vec<Case> {
    let empty = || Description::new("Changing");
    let reply = |name| empty().call::<Input, Output>(name, "");
    let ack = |name| empty().ack::<Input>(name, "");
    let send = |name| empty().send::<Input>(name, "");
    let push = |name| empty().push::<Output>(name, "", Delivery::Reliable);
    let both = || ack("one").call::<Input, Output>("two", "");
    let delivered = |delivery| empty().push::<Output>("told", "", delivery);
    let conflated = || delivered(Delivery::Conflate);

    let mut cases = vec![
        compatible("nothing", both(), both()),
        compatible("a call is added", ack("one"), both()),
        breaking("a call is removed", both(), ack("one")),
        breaking("a call is renamed", ack("one"), ack("two")),
        breaking("an answer loses its body", reply("one"), ack("one")),
        breaking("an answer gets a body", ack("one"), reply("one")).but_not_in_typescript(),
        breaking("an answer with a body is not given any more", reply("one"), send("one")),
        breaking("an answer is not given any more", ack("one"), send("one")),
        breaking("what was sent is answered", send("one"), ack("one")),
        breaking("what was sent is answered with a body", send("one"), reply("one")),
        compatible(
            "a push is added",
            push("told"),
            push("told").push::<Input>("more", "", Delivery::Reliable),
        ),
        breaking("a push is removed", push("told").ack::<Input>("one", ""), ack("one")),
        breaking("a push is renamed", push("told"), push("said")),
        breaking("a call requires a scope", ack("one"), ack("one").require_scope("write")),
        breaking("a call requires a role", reply("one"), reply("one").require_role("editor")),
        breaking("what was sent requires a scope", send("one"), send("one").require_scope("write")),
        breaking("a push becomes a call", push("told"), ack("told")),
        compatible("a push is conflated", push("told"), conflated()),
        compatible("a push is not conflated any more", conflated(), push("told")),
        compatible("a push is sampled", push("told"), delivered(Delivery::Sample { per_second: 100.0 })),
        compatible("the oldest of a push may be dropped", push("told"), delivered(Delivery::DropOldest)),
        compatible("a call is limited", ack("one"), ack("one").rate("one", Rate::per_second(5))),
        compatible(
            "documentation",
            both().push::<Output>("told", "", Delivery::Reliable),
            Description::new("Changing")
                .documentation("Of one thing and another.")
                .ack::<Input>("one", "One.")
                .call::<Input, Output>("two", "Two.")
                .push::<Output>("told", "Told.", Delivery::Reliable),
        ),
        compatible("the order of declaration", both(), reply("two").ack::<Input>("one", "")),
        breaking("the contract is renamed", ack("one"), Description::new("Other").ack::<Input>("one", "")),
        compatible("a path's parameter is renamed", ack("one"), ack("one")).at(&["/case/{name}"]),
        compatible("a second path is added", ack("one"), ack("one")).at(&["/case/{id}", "/more"]),
        breaking("the path is another one", ack("one"), ack("one")).at(&["/cases/{id}"]),
        breaking("the path has another parameter", ack("one"), ack("one")).at(&["/case/{id}/{more}"]),
    ];
    // A contract that is gone, with another one elsewhere.
    let elsewhere = Description::new("Elsewhere").ack::<Input>("one", "");
    cases.push(breaking("the contract is removed", ack("one"), elsewhere).at(&["/elsewhere"]));
    cases
}

fn compatible(name: &str, old: Description, new: Description) -> Case {
    case(name, false, old, new)
}

fn breaking(name: &str, old: Description, new: Description) -> Case {
    case(name, true, old, new)
}

fn case(name: &str, breaks: bool, old: Description, new: Description) -> Case {
    let (old, new) = (version(old), version(new));
    let description = old.description;
    Case {
        name: name.to_owned(),
        breaks,
        old,
        new,
        breaks_rust: breaks,
        breaks_typescript: breaks,
        script: Script::All,
        r#use: Box::new(move |client| Box::pin(use_all(description, client))),
    }
}

impl Case {
    /// The new version is served there.
    fn at(mut self, paths: &[&'static str]) -> Self {
        self.new.paths = paths.to_vec();
        self
    }
}

/// A version whose calls all succeed. One more has everything pushed that there is.
fn version(description: Description) -> Version {
    let calls: Vec<_> = description.calls.iter().map(|call| (call.name, call.kind)).collect();
    let pushes: Vec<_> = description.pushes.iter().map(|push| push.name).collect();
    Version::new(description.ack::<Input>(PUSH_ALL, ""), move || {
        let pushes = pushes.clone();
        let push_all = Calls::<Served, (), ()>::new().ack(PUSH_ALL, move |_, session, _: Input| {
            let pushes = pushes.clone();
            async move {
                for name in pushes {
                    session.push(Push::new(name, OUTPUT)).await;
                }
                Ok::<_, Problem>(())
            }
        });
        calls.iter().fold(push_all, |calls, &(name, kind)| match kind {
            CallKind::Reply => calls.call(name, |_, _, _: Input| async { Ok::<_, Problem>(OUTPUT) }),
            CallKind::Ack => calls.ack(name, |_, _, _: Input| async { Ok::<_, Problem>(()) }),
            CallKind::Send => calls.send(name, |_, _, _: Input| async { Ok::<_, Problem>(()) }),
        })
    })
}

const PUSH_ALL: &str = "push_all";

/// Makes every call of its own version, and then hears every push of it.
async fn use_all(made_for: &Description, client: &Client) -> Vec<String> {
    let mut wrong = Vec::new();
    for call in made_for.calls.iter().filter(|call| call.name != PUSH_ALL) {
        let ended = match call.kind {
            CallKind::Reply => client.call::<_, Output>(call.name, &Input {}).await.map(drop),
            CallKind::Ack => client.call::<_, ()>(call.name, &Input {}).await,
            CallKind::Send => client.send(call.name, &Input {}).await,
        };
        wrong.extend(ended.err().map(|error| format!("{}: {error}", call.name)));
    }
    let pushes = made_for.pushes.iter();
    let wait = |name| client.wait_for(name, Duration::from_secs(5), |_: &Output| true);
    let heard: Vec<_> = pushes.map(|push| (push.name, wait(push.name))).collect();
    // It comes behind whatever the server has to say so far, answers that nobody expects among it.
    let pushed = client.call::<_, ()>(PUSH_ALL, &Input {}).await;
    wrong.extend(pushed.err().map(|error| format!("{PUSH_ALL}: {error}")));
    for (name, heard) in heard {
        wrong.extend(heard.await.err().map(|error| format!("{name}: {error}")));
    }
    wrong
}
