"""The address of a Ray cluster."""

import socket

CONNECT_SEC = 5.0


def require_listener(address: str) -> None:
    """Raise OSError, or ValueError for what is no host:port, where nobody listens: Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    socket.create_connection((host, int(port)), CONNECT_SEC).close()
