"""Starts and stops the conformance server for a class of tests."""

import os
import pathlib
import select
import signal
import subprocess

START_TIMEOUT = 15
STOP_TIMEOUT = 15


def binary():
    root = pathlib.Path(__file__).resolve().parents[2]
    path = pathlib.Path(os.environ.get("CONFORMANCE_BIN", root / "target/debug/conformance"))
    if not path.exists():
        raise FileNotFoundError(
            f"{path} does not exist: build it with `cargo build -p conformance`, or set CONFORMANCE_BIN to it"
        )
    return path


class WithServer:
    """A test case whose class has `host` and `port` of a running server. Mixed into a unittest case."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.process = subprocess.Popen(
            [binary(), "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        ready, _, _ = select.select([cls.process.stdout], [], [], START_TIMEOUT)
        line = cls.process.stdout.readline() if ready else ""
        if not line.startswith("listening on "):
            cls.process.kill()
            raise RuntimeError(f"the conformance server did not say that it is ready, but {line!r}")
        cls.host, port = line.split()[-1].rsplit(":", 1)
        cls.port = int(port)
        cls.authority = f"{cls.host}:{cls.port}"

    @classmethod
    def tearDownClass(cls):
        cls.process.send_signal(signal.SIGTERM)
        try:
            code = cls.process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            cls.process.kill()
            cls.process.wait()
            raise
        finally:
            cls.process.stdout.close()
            super().tearDownClass()
        if code != 0:
            raise AssertionError(f"the conformance server did not stop well: {code}")


