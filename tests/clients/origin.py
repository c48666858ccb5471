"""The web server at the far end: bytes by the number, and a digest of what it is sent."""

import contextlib
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PIECE = bytes(range(256)) * 256


def digest_of(size):
    """The digest of so many bytes as this server sends them."""
    digest = hashlib.sha256()
    for piece in pieces(size):
        digest.update(piece)
    return digest.hexdigest()


def pieces(size):
    for begin in range(0, size, len(PIECE)):
        yield PIECE[: size - begin]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, size):
        self.send_response(200)
        self.send_header("Content-Length", str(size))
        self.end_headers()

    def do_GET(self):
        """`/bytes/N`, or anything else: the request's headers as JSON."""
        if self.path.startswith("/bytes/"):
            size = int(self.path.rsplit("/", 1)[1])
            self.answer(size)
            for piece in pieces(size):
                self.wfile.write(piece)
            return
        body = json.dumps(dict(self.headers)).encode()
        self.answer(len(body))
        self.wfile.write(body)

    def do_PUT(self):
        """The size and the digest of what came."""
        left, digest = int(self.headers["Content-Length"]), hashlib.sha256()
        while left > 0:
            piece = self.rfile.read(min(left, len(PIECE)))
            if not piece:
                return
            digest.update(piece)
            left -= len(piece)
        body = digest.hexdigest().encode()
        self.answer(len(body))
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """HAProxy resets connections that it no longer wants."""


@contextlib.contextmanager
def serving(host):
    """Its port, while it runs."""
    server = Server((host, 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
