"""Handshakes as bytes: through curl, and through a plain socket where curl cannot be made to do it wrong."""

import shutil
import socket
import struct
import subprocess
import unittest

from conformance import WithServer

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # RFC 6455, section 1.3
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": KEY,
}


class Handshake(WithServer, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not shutil.which("curl"):
            raise FileNotFoundError("curl is not installed: `apt-get install curl`")
        super().setUpClass()

    def curl(self, path, *options, headers=UPGRADE):
        """Status, headers and body of an answer. A 101 never ends, so it is cut off after a moment."""
        command = ["curl", "-i", "-N", "-s", "--noproxy", "*", "--http1.1", "--max-time", "1", *options]
        for name, value in headers.items():
            command += ["-H", f"{name}: {value}"]
        output = subprocess.run([*command, f"http://{self.authority}{path}"], capture_output=True).stdout
        head, _, body = output.partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        parsed = dict(line.lower().split(": ", 1) for line in lines)
        return int(status.split()[1]), parsed, body.decode(errors="replace")

    def test_a_good_handshake(self):
        status, headers, _ = self.curl("/echo", headers={**UPGRADE, "Sec-WebSocket-Protocol": "other, echo"})
        self.assertEqual(status, 101)
        self.assertEqual(headers["upgrade"], "websocket")
        self.assertEqual(headers["connection"], "upgrade")
        self.assertEqual(headers["sec-websocket-protocol"], "echo")
        self.assertNotIn("sec-websocket-extensions", headers)

    def test_the_accept_key_is_the_one_of_the_rfc(self):
        with socket.create_connection((self.host, self.port), timeout=5) as stream:
            stream.sendall(self.request("/echo", UPGRADE))
            head = self.read_head(stream)
        self.assertIn(f"sec-websocket-accept: {ACCEPT}".lower(), head.lower())

    def test_header_names_and_values_are_read_without_regard_to_case(self):
        headers = {"CONNECTION": "keep-alive, UPGRADE", "uPGRADE": "WebSocket", "sec-websocket-version": "13"}
        status, _, _ = self.curl("/echo", headers={**headers, "SEC-WEBSOCKET-KEY": KEY})
        self.assertEqual(status, 101)

    def test_a_bad_key_is_400(self):
        for key in ["short", "dGhlIHNhbXBsZSBub25jZQ", "!" * 24, "dGhlIHNhbXBsZSBub25jZSBpcyB0b28gbG9uZw=="]:
            status, _, body = self.curl("/echo", headers={**UPGRADE, "Sec-WebSocket-Key": key})
            self.assertEqual(status, 400, key)
            self.assertIn("Sec-WebSocket-Key", body)
        without = {name: value for name, value in UPGRADE.items() if name != "Sec-WebSocket-Key"}
        self.assertEqual(self.curl("/echo", headers=without)[0], 400)

    def test_another_version_is_426_and_names_ours(self):
        for version in ["12", "8", "14", "13, 12"]:
            status, headers, _ = self.curl("/echo", headers={**UPGRADE, "Sec-WebSocket-Version": version})
            self.assertEqual((status, headers.get("sec-websocket-version")), (426, "13"), version)

    def test_post_is_405(self):
        for options in [("-X", "POST"), ("-X", "PUT")]:
            status, headers, _ = self.curl("/echo", *options)
            self.assertEqual((status, headers.get("allow")), (405, "get"))

    def test_an_unknown_path_is_404(self):
        self.assertEqual(self.curl("/nowhere")[0], 404)
        self.assertEqual(self.curl("/nowhere", headers={})[0], 404)

    def test_a_plain_get_is_400_and_says_what_to_do(self):
        status, _, body = self.curl("/echo", headers={})
        self.assertEqual(status, 400)
        self.assertIn("WebSocket", body)
        self.assertIn("Upgrade: websocket", body)

    def test_no_token_is_401_and_a_bad_one_too(self):
        self.assertEqual(self.curl("/secure")[0], 401)
        self.assertEqual(self.curl("/secure?token=nonsense")[0], 401)
        # The handshake is looked at before who sends it.
        self.assertEqual(self.curl("/secure", headers={})[0], 400)

    def test_a_foreign_origin_is_403(self):
        for origin in ["https://evil.example", "null"]:
            self.assertEqual(self.curl("/echo", headers={**UPGRADE, "Origin": origin})[0], 403)
        self.assertEqual(self.curl("/echo", headers={**UPGRADE, "Origin": f"http://{self.authority}"})[0], 101)

    def test_plain_http_routes_answer_beside_the_sockets(self):
        status, _, body = self.curl("/healthz", headers={})
        self.assertEqual((status, body), (200, '{"status":"ok"}'))
        self.assertEqual(self.curl("/metrics", headers={})[0], 200)

    def test_an_endless_head_is_431(self):
        status, _, _ = self.curl("/echo", headers={**UPGRADE, "X-Long": "x" * 20_000})
        self.assertEqual(status, 431)

    def test_a_handshake_that_arrives_byte_by_byte(self):
        with socket.create_connection((self.host, self.port), timeout=5) as stream:
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in self.request("/echo", UPGRADE):
                stream.sendall(bytes([byte]))
            self.assertIn("101", self.read_head(stream).split("\r\n")[0])

    def test_a_frame_sent_with_the_handshake_is_not_lost(self):
        hello = bytes([0x81, 0x85, 0, 0, 0, 0]) + b"hello"
        with socket.create_connection((self.host, self.port), timeout=5) as stream:
            stream.sendall(self.request("/echo", UPGRADE) + hello)
            self.read_head(stream)
            self.assertEqual(self.read_frame(stream), (0x81, b"hello"))

    def test_a_client_that_answers_no_ping_is_dropped(self):
        with socket.create_connection((self.host, self.port), timeout=10) as stream:
            stream.sendall(self.request("/strict", {**UPGRADE, "Sec-WebSocket-Protocol": "echo"}))
            self.read_head(stream)
            self.assertEqual(self.read_frame(stream)[0], 0x89)
            opcode, payload = self.read_frame(stream)
            self.assertEqual((opcode, struct.unpack(">H", payload[:2])[0]), (0x88, 1001))

    def request(self, path, headers):
        lines = [f"GET {path} HTTP/1.1", f"Host: {self.authority}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    def read_head(self, stream):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = stream.recv(1)
            self.assertTrue(byte, f"the stream ended within the head: {head!r}")
            head += byte
        return head.decode()

    def read_frame(self, stream):
        first, length = self.read(stream, 2)
        self.assertLess(length, 126, "these tests expect short frames, unmasked")
        return first, self.read(stream, length)

    def read(self, stream, count):
        data = b""
        while len(data) < count:
            more = stream.recv(count - len(data))
            self.assertTrue(more, f"the stream ended after {data!r}")
            data += more
        return data
