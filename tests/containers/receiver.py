"""An endpoint of somebody else, in a container: prints what it is sent, a line of JSON for each request."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any


class Handler(BaseHTTPRequestHandler):
    """Takes everything."""

    def do_POST(self) -> None:
        """Print it, and say thank you."""
        body = self.rfile.read(int(self.headers["Content-Length"])).decode(errors="replace")
        print(json.dumps({"headers": {k.lower(): v for k, v in self.headers.items()}, "body": body}), flush=True)  # noqa: T201
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Nothing but what came."""


HTTPServer(("0.0.0.0", 8090), Handler).serve_forever()  # noqa: S104
