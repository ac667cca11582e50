//! What may be joined or watched.

use wirelark::auth::User;
use wirelark::contract::{Contract, Session};
use wirelark::{App, Hub, OpenRooms, RoomName, RoomPass, RoomPolicy, Socket, socket};

const NEWS: &str = "news";

async fn listen(pass: RoomPass, hub: Hub, socket: Socket) -> wirelark::Result {
    socket.join("lobby")?;
    socket.sender().join(NEWS)?;
    socket.join(RoomPass::trusted(format!("team-{}", 7))?)?;
    hub.presence("lobby")?.track(&socket, ())?;
    hub.presence(pass.clone())?.watch(&socket)?;
    hub.join(socket.id(), pass)?;
    // To say something one needs not be allowed to hear it.
    hub.room(String::from("anywhere"))?.publish("hello").await;
    Ok(())
}

pub async fn ask<C: Contract>(policy: &impl RoomPolicy, session: Session<C, ()>, wish: String) -> wirelark::Result {
    session.presence().watch(&session)?;
    session.join(RoomPass::ask(policy, session.user().as_ref(), wish).await?)?;
    Ok(())
}

fn own(user: Option<&User>, room: &RoomName) -> bool {
    user.is_some_and(|user| user.id() == room.as_str())
}

fn main() {
    let _ = App::new()
        .room_policy(|_: Option<&User>, room: &RoomName| room.as_str() != "secret")
        .socket("/own/{room}", socket(listen).room_policy(own))
        .socket("/open/{room}", socket(listen).room_policy(OpenRooms));
}
