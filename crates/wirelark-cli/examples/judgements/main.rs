//! What servers say to seeded values, right ones and damaged ones, for the generated validators to be compared with:
//! `judgements [--seed N] [--count N]`.
//!
//! Each line of its output is a value as JSON, with the call it was sent to, and whether the server took it. What came
//! back is there too, as a value that the validator of the answer must take. The servers are the conformance server and
//! one whose contract has types of every shape, so the judge is serde in the place where it judges for users.

mod damage;
mod sample;

#[path = "../../../wirelark/tests/contract_types/contract.rs"]
mod contract;
#[path = "../../../wirelark/tests/contract_types/shapes.rs"]
#[expect(dead_code, reason = "other programs have a use for it")]
mod shapes;

use std::io::{self, BufWriter, Write};

use clap::Parser;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use wirelark::App;
use wirelark::testing::{Client, Host};
use wirelark_cli::api::{Api, Call, CallKind, Contract};

use self::damage::Damage;
use self::sample::Samples;

/// Values for each call.
const COUNT: usize = 1000;

/// Calls whose argument is a time to wait or a number of pushes.
const LEFT_OUT: [&str; 2] = ["emit", "slow"];

#[derive(Parser)]
struct Options {
    /// Where the values come from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many for each call.
    #[arg(long, default_value_t = COUNT)]
    count: usize,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let options = Options::parse();
    let mut out = BufWriter::new(io::stdout().lock());
    judge(&options, contract::app(), &mut out).await?;
    judge(&options, conformance::app(), &mut out).await?;
    out.flush()
}

async fn judge(options: &Options, app: App, out: &mut impl Write) -> io::Result<()> {
    let host = Host::new(app);
    let document = serde_json::to_value(host.app().asyncapi()).map_err(io::Error::other)?;
    let api = Api::from_document(&document).map_err(io::Error::other)?;
    for contract in &api.contracts {
        let path = contract.paths[0].replace("{room}", "a?name=judge");
        let mut client = host.at(&path).protocols(["wirelark.v1.json"]).connect().await;
        for call in contract.calls.iter().filter(|call| call.kind != CallKind::Send) {
            if LEFT_OUT.contains(&&*call.name) {
                continue;
            }
            // A seed for each call: what one is sent does not depend on the others.
            let seed =
                call.name.bytes().fold(options.seed, |seed, byte| seed.wrapping_mul(31) + u64::from(byte));
            let mut random = StdRng::seed_from_u64(seed);
            let mut asked = 0;
            while asked < options.count {
                let value = Samples::new(&api, &mut random).of(&call.input);
                let value = Damage::new(&mut random).done_to(value);
                // A frame with another body is none, and nobody answers it.
                if value.is_object() {
                    ask(&mut client, contract, call, &value, out).await?;
                    asked += 1;
                }
            }
        }
    }
    host.close().await;
    Ok(())
}

/// Sends a value, and writes what the server says of it.
async fn ask(
    client: &mut Client,
    contract: &Contract,
    call: &Call,
    value: &Value,
    out: &mut impl Write,
) -> io::Result<()> {
    let mut write = |side: &str, name: &str, value: &Value, accepted: bool| {
        let line = json!({
            "contract": contract.name, "name": name, "side": side, "value": value, "accepted": accepted,
        });
        writeln!(out, "{line}")
    };
    client
        .send_json(&json!({"socka": "clientRequest", "v": 1, "id": "1", "rpc": call.name, "body": value}))
        .await;
    loop {
        let answer: Value = client.expect_json().await;
        match answer["socka"].as_str() {
            Some("serverEvent") => {
                let name = answer["event"].as_str().unwrap_or_default();
                write("push", name, &answer["body"], true)?;
            }
            Some("serverResponse") => {
                if call.output.is_some() {
                    write("output", &call.name, &answer["body"], true)?;
                }
                return write("input", &call.name, value, true);
            }
            // Whatever else the server says against it, it could read it.
            _ => return write("input", &call.name, value, answer.get("code").is_some()),
        }
    }
}
