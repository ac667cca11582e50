//! `/messages`, `/messages/text`, `/messages/binary` and `/silent`: one call of a handler for each message.

use wirelark::App;
use wirelark::Text;
use wirelark::axum::body::Bytes;

pub(crate) fn add_to(app: App) -> App {
    app.messages("/messages/text", upper_case).messages("/messages/binary", reversed)
}

async fn upper_case(text: Text) -> String {
    text.as_str().to_uppercase()
}

async fn reversed(bytes: Bytes) -> Vec<u8> {
    bytes.iter().rev().copied().collect()
}
