// The npm package `ws`, the client most Node programs use, against the conformance server.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { after, before, test } from "node:test";
import WebSocket from "ws";
import { inAnHour, sign } from "../support/jwt.js";
import { startConformance } from "../support/server.js";
import { connect as open } from "../support/socket.js";

let server;

before(async () => (server = await startConformance()));
after(async () => server?.stop());

const connect = (path, protocols, options) => open(`ws://${server.host}${path}`, protocols, options);

/** The HTTP answer to an upgrade that must be refused. */
async function refused(path, protocols = [], options = {}) {
  const socket = new WebSocket(`ws://${server.host}${path}`, protocols, options);
  const [request, response] = await Promise.race([
    once(socket, "unexpected-response"),
    once(socket, "open").then(() => assert.fail(`${path} was accepted`)),
  ]);
  let body = "";
  for await (const chunk of response) body += chunk;
  request.destroy();
  return { status: response.statusCode, headers: response.headers, body };
}

async function close(socket, code = 1000) {
  socket.close(code);
  assert.equal((await socket.ended).code, code);
}

const SIZES = [0, 1, 125, 126, 65_535, 65_536, 1024 * 1024];

for (const deflate of [false, true]) {
  const how = deflate ? "compressed" : "plain";

  test(`echo, ${how}: text and binary of every length of length`, async () => {
    const socket = await connect("/echo", [], { perMessageDeflate: deflate ? { threshold: 0 } : false });
    assert.equal(socket.extensions.includes("permessage-deflate"), deflate);
    for (const size of SIZES) {
      const text = "wirelark é ".repeat(size / 11 + 1).slice(0, size);
      socket.send(text);
      assert.equal(await socket.next(), text, `${size} characters`);
      const bytes = randomBytes(size);
      socket.send(bytes);
      assert.deepEqual(await socket.next(), bytes, `${size} bytes`);
    }
    await close(socket);
  });

  test(`echo, ${how}: a message in fragments, with a ping between them`, async () => {
    const socket = await connect("/echo", [], { perMessageDeflate: deflate ? { threshold: 0 } : false });
    const parts = ["one ", "", "two ", "thr", "ee"];
    for (const [index, part] of parts.entries()) {
      socket.send(part, { fin: index === parts.length - 1 });
      if (index === 1) socket.ping("mid");
    }
    const [pong] = await once(socket, "pong");
    assert.equal(pong.toString(), "mid");
    assert.equal(await socket.next(), parts.join(""));
    await close(socket);
  });

  test(`echo, ${how}: a burst comes back whole and in order`, async () => {
    const socket = await connect("/echo", [], { perMessageDeflate: deflate ? { threshold: 0 } : false });
    for (let n = 0; n < 2000; n += 1) socket.send(`message ${n}`);
    for (let n = 0; n < 2000; n += 1) assert.equal(await socket.next(), `message ${n}`);
    await close(socket);
  });
}

test("compression with the windows and contexts a client may ask for", async () => {
  for (const wish of [
    { clientMaxWindowBits: 10 },
    { clientNoContextTakeover: true },
    { serverNoContextTakeover: true },
    { clientNoContextTakeover: true, serverNoContextTakeover: true, clientMaxWindowBits: 9 },
  ]) {
    const socket = await connect("/echo", [], { perMessageDeflate: { threshold: 0, ...wish } });
    assert.match(socket.extensions, /permessage-deflate/);
    for (const text of ["again and again ".repeat(500), "again and again ".repeat(500), ""]) {
      socket.send(text);
      assert.equal(await socket.next(), text, JSON.stringify(wish));
    }
    await close(socket);
  }
});

test("a ping is answered with its payload", async () => {
  const socket = await connect("/echo");
  for (const payload of [Buffer.alloc(0), Buffer.from("ping"), randomBytes(125)]) {
    socket.ping(payload);
    const [pong] = await once(socket, "pong");
    assert.deepEqual(pong, payload);
  }
  socket.pong("unasked");
  socket.send("still here");
  assert.equal(await socket.next(), "still here");
  await close(socket);
});

test("the client's close code comes back", async () => {
  for (const code of [1000, 1001, 3000, 4321, 4999]) {
    const socket = await connect("/echo");
    socket.close(code, "bye");
    assert.deepEqual(await socket.ended, { code, reason: "bye" });
  }
  const socket = await connect("/echo");
  socket.close();
  assert.equal((await socket.ended).code, 1005);
});

test("the server's close codes arrive", async () => {
  assert.deepEqual(await (await connect("/lifecycle/return")).ended, { code: 1000, reason: "" });
  assert.deepEqual(await (await connect("/lifecycle/close")).ended, { code: 4001, reason: "bye" });
  assert.equal((await (await connect("/lifecycle/error")).ended).code, 1011);
  assert.equal((await (await connect("/lifecycle/panic")).ended).code, 1011);

  const large = await connect("/bounded");
  large.on("error", () => {}); // what it could not send any more
  large.send(Buffer.alloc(1024 * 1024 + 1));
  assert.equal((await large.ended).code, 1009);
});

test("text that is not UTF-8 is closed with 1007", async () => {
  const socket = await connect("/echo");
  socket.send(Buffer.from([0x68, 0xff]), { binary: false });
  assert.equal((await socket.ended).code, 1007);
});

test("a frame that is not masked is closed with 1002", async () => {
  const socket = await connect("/echo");
  socket.send("bare", { mask: false });
  assert.equal((await socket.ended).code, 1002);
});

test("subprotocols", async () => {
  const chosen = await connect("/echo", ["other", "echo"]);
  assert.equal(chosen.protocol, "echo");
  await close(chosen);
  const none = await connect("/echo");
  assert.equal(none.protocol, "");
  await close(none);
  const first = await connect("/strict", ["wirelark.test", "echo"]);
  assert.equal(first.protocol, "wirelark.test");
  await close(first);
  assert.equal((await refused("/strict", ["other"])).status, 400);
  assert.equal((await refused("/strict")).status, 400);
});

test("an origin that is not listed is answered 403", async () => {
  assert.equal((await refused("/strict", ["echo"], { origin: "https://evil.example" })).status, 403);
  assert.equal((await refused("/echo", [], { origin: "https://evil.example" })).status, 403);
  await close(await connect("/strict", ["echo"], { origin: "https://app.example.com" }));
});

test("a room's messages reach all in it, in one order, and nobody else", async () => {
  const [ada, bob, cy] = [await connect("/rooms/e2e"), await connect("/rooms/e2e"), await connect("/rooms/else")];
  const names = new Map([[ada, "ada"], [bob, "bob"], [cy, "cy"]]);
  // Whoever hears oneself is in the room. Bob may have been early enough to hear Ada's, too.
  const hears = async (socket, text) => {
    while ((await socket.next()) !== text);
  };
  for (const [socket, listeners] of [[ada, [ada]], [bob, [ada, bob]], [cy, [cy]]]) {
    const greeting = `in ${names.get(socket)}`;
    socket.send(greeting);
    for (const listener of listeners) await hears(listener, greeting);
  }
  for (let n = 0; n < 100; n += 1) {
    ada.send(`ada ${n}`);
    bob.send(`bob ${n}`);
  }
  const heard = async (socket) => Promise.all(Array.from({ length: 200 }, () => socket.next()));
  const [byAda, byBob] = [await heard(ada), await heard(bob)];
  assert.deepEqual(byAda, byBob);
  for (const who of ["ada", "bob"]) {
    const own = byAda.filter((message) => message.startsWith(who));
    assert.deepEqual(own, Array.from({ length: 100 }, (_, n) => `${who} ${n}`));
  }
  const published = await fetch(`http://${server.host}/publish/e2e`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ from: "http" }),
  });
  assert.deepEqual(await published.json(), { delivered: 2, offline: 0 });
  for (const socket of [ada, bob]) assert.deepEqual(JSON.parse(await socket.next()), { from: "http" });
  cy.send("end");
  assert.equal(await cy.next(), "end", "a message crossed rooms");
  for (const socket of [ada, bob, cy]) await close(socket);
});

test("a token is taken from each place it may be in", async () => {
  const jwt = sign({ sub: "ada", scope: "realtime", exp: inAnHour() });
  for (const [path, protocols, headers] of [
    ["/secure", [], { authorization: `Bearer ${jwt}` }],
    ["/secure", [], { cookie: `other=1; token=${jwt}` }],
    [`/secure?token=${jwt}`, [], {}],
    ["/secure", [`bearer.${jwt}`], {}],
  ]) {
    const socket = await connect(path, protocols, { headers });
    assert.deepEqual(JSON.parse(await socket.next()), { type: "hello", sub: "ada" });
    socket.send("hello yourself");
    assert.equal(await socket.next(), "hello yourself");
    await close(socket);
  }
});

test("without a good token there is no connection", async () => {
  const claims = { sub: "ada", scope: "realtime", exp: inAnHour() };
  const status = async (jwt) => (await refused("/secure", [], { headers: { authorization: `Bearer ${jwt}` } })).status;
  assert.equal((await refused("/secure")).status, 401);
  assert.equal((await refused("/secure")).headers.server, "wirelark-conformance", "the middleware has not run");
  assert.equal(await status(sign({ ...claims, scope: "other" })), 403);
  assert.equal(await status(sign({ sub: "ada", exp: inAnHour() })), 403);
  assert.equal(await status(sign(claims, { secret: "guessed" })), 401);
  assert.equal(await status(sign({ ...claims, exp: inAnHour() - 7200 })), 401);
  assert.equal(await status(sign(claims, { header: { alg: "none" } })), 401);
  assert.equal(await status("no.token.atall"), 401);
});

test("an answer before the upgrade arrives as it is", async () => {
  const answer = await refused("/lifecycle/refuse");
  assert.deepEqual([answer.status, answer.body], [418, "short and stout"]);
  assert.equal((await refused("/nowhere")).status, 404);
});

test("a handler that waits for its client loses nothing to a slow one", async () => {
  const socket = await connect("/flood?policy=wait");
  // Far more than the outbox and the kernel hold, to a client that reads nothing for a while.
  const [count, size] = [2000, 8192];
  socket.pause();
  socket.send(`${count} ${size}`);
  await new Promise((resolve) => setTimeout(resolve, 500));
  socket.resume();
  for (let n = 0; n < count; n += 1) assert.equal((await socket.next()).length, size);
  assert.deepEqual(JSON.parse(await socket.next()), { sent: count, refused: 0, dropped: 0 });
  await close(socket);
});

test("a drained server says goodbye", async () => {
  const going = await startConformance();
  const socket = new WebSocket(`ws://${going.host}/echo`);
  await once(socket, "open");
  const ended = once(socket, "close");
  await going.stop();
  assert.equal((await ended)[0], 1001);
});
