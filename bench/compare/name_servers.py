"""DNS lists for the comparison: a real rbldnsd on port 53, and a forwarder that answers late.

Both live in the namespace of world.py, on the load's core. rbldnsd lists nobody but its test
points, so each client costs one lookup per list and passes. The forwarder holds each question for a
constant time and then asks rbldnsd, many at once; it drops what rbldnsd does not answer.
"""

import collections
import multiprocessing
import os
import select
import socket
import struct
import time
from unittest import mock

import dns_lists
from relay_compare import pinned
from world import LOAD_CORE

ZONES = ("one.test", "two.test", "three.test")
FAST, SLOW = "127.0.0.1", "127.0.0.53"
_PORT = 53
_BATCH = 64
_BUFFER_BYTES = 4 << 20
_SO_RCVBUFFORCE = 33  # asm-generic/socket.h


def start(stack, delay):
    """rbldnsd on FAST, the forwarder on SLOW."""
    with pinned(LOAD_CORE), mock.patch.object(dns_lists, "free_port", return_value=_PORT):
        stack.enter_context(dns_lists.Rbldnsd([dns_lists.Zone(name) for name in ZONES]))
    server = _bound(SLOW)
    process = multiprocessing.Process(target=_forward, args=(server, delay), daemon=True)
    process.start()
    stack.callback(process.join)
    stack.callback(process.kill)
    server.close()


def _bound(address):
    server = socket.socket(type=socket.SOCK_DGRAM)
    server.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
    server.bind((address, _PORT))
    server.setblocking(False)
    return server


def _forward(server, delay):
    os.sched_setaffinity(0, {LOAD_CORE})
    upstream = socket.socket(type=socket.SOCK_DGRAM)
    upstream.connect((FAST, _PORT))
    upstream.settimeout(0.2)
    waiting = collections.deque()  # (due, question, client): the delay is constant, so in order
    while True:
        pause = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
        select.select([server], [], [], pause)
        _take(server, waiting, delay)
        while waiting and waiting[0][0] <= time.monotonic():
            batch = [waiting.popleft() for _ in range(min(len(waiting), _BATCH))
                     if waiting[0][0] <= time.monotonic()]
            _answer(server, upstream, batch)
            _take(server, waiting, delay)


def _take(server, waiting, delay):
    """What has arrived, with the time of its arrival as near as one knows."""
    try:
        while True:
            question, client = server.recvfrom(4096)
            waiting.append((time.monotonic() + delay, question, client))
    except BlockingIOError:
        pass


def _answer(server, upstream, batch):
    """Asks them all under ids of ours, which are places in the batch."""
    for place, (_, question, _) in enumerate(batch):
        upstream.send(struct.pack("!H", place) + question[2:])
    for _ in batch:
        try:
            answer = upstream.recv(4096)
        except TimeoutError:
            return
        _, question, client = batch[struct.unpack_from("!H", answer)[0] % len(batch)]
        server.sendto(question[:2] + answer[2:], client)
