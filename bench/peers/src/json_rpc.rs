//! JSON-RPC 2.0 as a server with few methods writes it by hand: one method, and serde checks its argument. Batches and
//! notifications are left out.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::Echo;

#[derive(Deserialize)]
struct Call<'a> {
    #[serde(borrow)]
    jsonrpc: Cow<'a, str>,
    #[serde(borrow)]
    id: &'a RawValue,
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(borrow)]
    params: &'a RawValue,
}

#[derive(Serialize)]
struct Success<'a, T> {
    jsonrpc: &'static str,
    id: &'a RawValue,
    result: T,
}

#[derive(Serialize)]
struct Failure<'a> {
    jsonrpc: &'static str,
    id: Option<&'a RawValue>,
    error: Reason,
}

#[derive(Serialize)]
struct Reason {
    code: i32,
    message: String,
}

/// The answer to the text of a message.
pub fn answer(message: &str) -> serde_json::Result<String> {
    let call = match serde_json::from_str::<Call<'_>>(message) {
        Ok(call) if call.jsonrpc == "2.0" => call,
        Ok(call) => return failure(Some(call.id), -32600, "Invalid Request".to_owned()),
        Err(error) => return failure(None, -32700, error.to_string()),
    };
    match &*call.method {
        "echo" => match serde_json::from_str::<Echo>(call.params.get()) {
            Ok(echo) => serde_json::to_string(&Success { jsonrpc: "2.0", id: call.id, result: echo }),
            Err(error) => failure(Some(call.id), -32602, error.to_string()),
        },
        _ => failure(Some(call.id), -32601, "Method not found".to_owned()),
    }
}

fn failure(id: Option<&RawValue>, code: i32, message: String) -> serde_json::Result<String> {
    serde_json::to_string(&Failure { jsonrpc: "2.0", id, error: Reason { code, message } })
}
