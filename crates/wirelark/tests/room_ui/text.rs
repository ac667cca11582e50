//! Text of a client is no room that may be joined.

use wirelark::axum::extract::Path;
use wirelark::contract::Session;
use wirelark::{App, Hub, RoomName, Socket, contract, socket};

async fn by_path(Path(room): Path<String>, socket: Socket) -> wirelark::Result {
    socket.join(room)?;
    Ok(())
}

async fn by_checked_name(Path(room): Path<String>, socket: Socket) -> wirelark::Result {
    socket.sender().join(RoomName::try_from(room)?)?;
    Ok(())
}

async fn by_hub(Path(room): Path<String>, hub: Hub, socket: Socket) -> wirelark::Result {
    hub.join(socket.id(), room)?;
    Ok(())
}

async fn by_presence(Path(room): Path<String>, hub: Hub, socket: Socket) -> wirelark::Result {
    hub.presence(room)?.watch(&socket)?;
    Ok(())
}

async fn by_room(hub: Hub, socket: Socket) -> wirelark::Result {
    hub.room("lobby")?.presence().watch(&socket)?;
    Ok(())
}

#[contract]
trait Chat {
    async fn enter(&self, room: String) -> wirelark::Result;
}

struct Server;

impl ChatServer for Server {
    type Data = ();

    async fn enter(&self, session: Session<Chat, ()>, room: String) -> wirelark::Result {
        session.join(room)?;
        Ok(())
    }
}

fn main() {
    let _ = App::new()
        .socket("/a/{room}", by_path)
        .socket("/b/{room}", by_checked_name)
        .socket("/c/{room}", by_hub)
        .socket("/presence/{room}", by_presence)
        .socket("/room", by_room)
        .socket("/d/{room}", socket(by_path).room_policy("everybody"))
        .contract("/chat", Chat::serve(Server));
}
