"""Waiting for what a server does."""

import time

import httpx

FINISHED = ("completed", "failed", "cancelled", "interrupted")
POLL_SEC = 0.1


def wait_for(client: httpx.Client, path: str) -> dict:
    """Return the record under `path` as soon as nothing more comes of it."""
    while (record := client.get(path).json())["status"] not in FINISHED:
        time.sleep(POLL_SEC)
    return record
