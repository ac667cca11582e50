//! Text that lives as long as a message is no literal.

use wirelark::{Message, Socket};

async fn by_message(mut socket: Socket) -> wirelark::Result {
    while let Some(Message::Text(wish)) = socket.recv().await {
        socket.join(wish.as_str())?;
    }
    Ok(())
}

fn main() {
    let _ = wirelark::App::new().socket("/", by_message);
}
