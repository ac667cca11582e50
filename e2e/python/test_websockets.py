"""The Python package `websockets` against the conformance server."""

import asyncio
import base64
import hashlib
import hmac
import json
import os
import time
import unittest

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from conformance import WithServer

KIB = 1024
MIB = 1024 * 1024


def sign(claims, secret=b"test-secret"):
    def part(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=")

    body = part(b'{"alg":"HS256","typ":"JWT"}') + b"." + part(json.dumps(claims).encode())
    return (body + b"." + part(hmac.digest(secret, body, hashlib.sha256))).decode()


class Websockets(WithServer, unittest.IsolatedAsyncioTestCase):
    def connect(self, path, **options):
        # No proxy, whatever the environment says: the server is on this machine.
        return connect(f"ws://{self.authority}{path}", proxy=None, **{"max_size": 2 * MIB, **options})

    async def refused(self, path, **options):
        with self.assertRaises(InvalidStatus) as caught:
            await self.connect(path, **options)
        return caught.exception.response

    async def closed(self, socket):
        with self.assertRaises(ConnectionClosed):
            async with asyncio.timeout(10):
                while True:
                    await socket.recv()
        return socket.close_code, socket.close_reason

    async def test_echo_of_every_length_with_and_without_compression(self):
        for compression in [None, "deflate"]:
            async with self.connect("/echo", compression=compression) as socket:
                agreed = [extension.name for extension in socket.protocol.extensions]
                self.assertEqual(agreed, ["permessage-deflate"] if compression else [])
                for size in [0, 1, 125, 126, 65_535, 65_536, MIB]:
                    text = ("été 🦉 " * (size // 6 + 1))[:size]
                    for message in [text[: size // 4], os.urandom(size)]:
                        await socket.send(message)
                        self.assertEqual(await socket.recv(), message, f"{compression} {size}")

    async def test_every_window_and_context(self):
        for bits in [9, 12, 15]:
            for no_context in [False, True]:
                factory = ClientPerMessageDeflateFactory(
                    server_max_window_bits=bits,
                    client_max_window_bits=bits,
                    server_no_context_takeover=no_context,
                    client_no_context_takeover=no_context,
                )
                async with self.connect("/echo", compression=None, extensions=[factory]) as socket:
                    self.assertTrue(socket.protocol.extensions, f"{bits} was not agreed to")
                    for message in ["again and again " * 3000, "again and again " * 3000, os.urandom(70_000), ""]:
                        await socket.send(message)
                        self.assertEqual(await socket.recv(), message)

    async def test_messages_in_fragments(self):
        for compression in [None, "deflate"]:
            async with self.connect("/echo", compression=compression) as socket:
                await socket.send(["one ", "", "two ", "thr", "ee"])
                self.assertEqual(await socket.recv(), "one two three")
                # Cut in the middle of a character: only the whole message has to be UTF-8.
                await socket.send([b"\xc3", b"\xa9t\xc3", b"\xa9"], text=True)
                self.assertEqual(await socket.recv(), "été")
                parts = [os.urandom(n) for n in range(200)]
                await socket.send(parts)
                self.assertEqual(await socket.recv(), b"".join(parts))

                async def slowly():
                    for part in ["a", "b", "c"]:
                        await asyncio.sleep(0.05)
                        await socket.ping()
                        yield part

                await socket.send(slowly())
                self.assertEqual(await socket.recv(), "abc")

    async def test_the_clients_close_codes_come_back(self):
        for code in [1000, 1001, 3000, 4321, 4999]:
            async with self.connect("/echo") as socket:
                await socket.close(code, "bye")
                self.assertEqual((socket.close_code, socket.close_reason), (code, "bye"))

    async def test_the_servers_close_codes_arrive(self):
        for path, expected in [
            ("/lifecycle/return", (1000, "")),
            ("/lifecycle/close", (4001, "bye")),
            ("/lifecycle/error", (1011, "handler error")),
        ]:
            async with self.connect(path) as socket:
                self.assertEqual(await self.closed(socket), expected, path)
        async with self.connect("/bounded", compression=None) as socket:
            with self.assertRaises(ConnectionClosed):
                await socket.send(b"x" * (MIB + 1))
                await self.closed(socket)
                await socket.send("")
            self.assertEqual(socket.close_code, 1009)

    async def test_keepalive_pings_of_the_client(self):
        async with self.connect("/echo", ping_interval=0.1, ping_timeout=1) as socket:
            await asyncio.sleep(0.6)
            self.assertGreater(socket.latency, 0)
            pong = await socket.ping("payload")
            async with asyncio.timeout(1):
                await pong
            await socket.send("still here")
            self.assertEqual(await socket.recv(), "still here")

    async def test_the_servers_heartbeat_is_answered(self):
        # `/strict` pings every 2 s and waits 2 s: three rounds of it.
        async with self.connect("/strict", subprotocols=["echo"], ping_interval=None) as socket:
            await asyncio.sleep(6.5)
            await socket.send("still here")
            self.assertEqual(await socket.recv(), "still here")

    async def test_origins(self):
        for origin in ["https://evil.example", "http://127.0.0.1:9398", "https://app.example.com.evil.example", "null"]:
            response = await self.refused("/strict", subprotocols=["echo"], origin=origin)
            self.assertEqual(response.status_code, 403, origin)
        async with self.connect("/strict", subprotocols=["echo"], origin="https://app.example.com") as socket:
            self.assertEqual(socket.subprotocol, "echo")
        self.assertEqual((await self.refused("/echo", origin="https://evil.example")).status_code, 403)
        async with self.connect("/echo", origin=f"http://{self.authority}"):
            pass

    async def test_subprotocols(self):
        async with self.connect("/echo", subprotocols=["other", "echo"]) as socket:
            self.assertEqual(socket.subprotocol, "echo")
        async with self.connect("/echo") as socket:
            self.assertIsNone(socket.subprotocol)
        self.assertEqual((await self.refused("/strict", subprotocols=["other"])).status_code, 400)

    async def test_tokens(self):
        jwt = sign({"sub": "ada", "scope": "realtime", "exp": int(time.time()) + 60})
        for path, options in [
            ("/secure", {"additional_headers": {"Authorization": f"Bearer {jwt}"}}),
            ("/secure", {"additional_headers": {"Cookie": f"token={jwt}"}}),
            (f"/secure?token={jwt}", {}),
            ("/secure", {"subprotocols": [f"bearer.{jwt}"]}),
        ]:
            async with self.connect(path, **options) as socket:
                self.assertEqual(json.loads(await socket.recv()), {"type": "hello", "sub": "ada"})
        self.assertEqual((await self.refused("/secure")).status_code, 401)
        without_scope = sign({"sub": "ada", "exp": int(time.time()) + 60})
        self.assertEqual((await self.refused(f"/secure?token={without_scope}")).status_code, 403)
        forged = sign({"sub": "ada", "scope": "realtime", "exp": int(time.time()) + 60}, b"guessed")
        self.assertEqual((await self.refused(f"/secure?token={forged}")).status_code, 401)

    async def test_a_room(self):
        async with self.connect("/rooms/python") as ada, self.connect("/rooms/python") as bob:
            # Whoever hears oneself is in. Bob may have been early enough to hear Ada's, too.
            await ada.send("ada")
            self.assertEqual(await ada.recv(), "ada")
            await bob.send("bob")
            for socket in [ada, bob]:
                while await socket.recv() != "bob":
                    pass
            await bob.send(b"\x00\xff")
            self.assertEqual([await ada.recv(), await bob.recv()], [b"\x00\xff", b"\x00\xff"])

    async def test_a_slow_reader_of_a_waiting_handler_gets_everything(self):
        async with self.connect("/flood?policy=wait", compression=None, max_queue=4) as socket:
            await socket.send("2000 8192")
            await asyncio.sleep(0.3)
            for _ in range(2000):
                self.assertEqual(len(await socket.recv()), 8192)
            self.assertEqual(json.loads(await socket.recv()), {"sent": 2000, "refused": 0, "dropped": 0})
