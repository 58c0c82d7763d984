"""A service that takes alerts, as Apprise's json:// sends them."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CONN_ID = "yingshang_alerts"


class Receiver(ThreadingHTTPServer):
    """A service that takes messages as JSON; ``status`` is what it answers."""

    def __init__(self) -> None:
        self.got: list[dict[str, str]] = []
        self.status = 200
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if receiver.status == 200:
                    receiver.got.append(message)
                self.send_response(receiver.status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)


@contextmanager
def receiving(secret: str = "sesame") -> Iterator[tuple[Receiver, dict[str, str]]]:  # noqa: S107 - of a test
    """A service that runs, and the variables that lead Airflow to it. ``secret``: the password in its URL."""
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        config = {"path": f"json://user:{secret}@127.0.0.1:{server.server_address[1]}/", "tag": "all"}
        connection = json.dumps({"conn_type": "apprise", "extra": {"config": config}})
        try:
            yield server, {"YINGSHANG_ALERTS": CONN_ID, f"AIRFLOW_CONN_{CONN_ID.upper()}": connection}
        finally:
            server.shutdown()
            thread.join(5)
