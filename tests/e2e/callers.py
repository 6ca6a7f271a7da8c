"""Many silent clients that each wait for their verdict, and what each of them heard, and when.

Callers spreads them over a few processes, because the descriptor limit is per process; each runs
this file as a program. A client says nothing until its verdict (a final reply line), then one of
its commands for each final reply; after the reply to the last, or at once when it has none, it
hangs up and remembers what it heard. Knows SMTP replies, not lychgate.
"""

import collections
import json
import os
import re
import resource
import selectors
import socket
import subprocess
import sys
import time

from scratch import die_with_parent, marked_environment

Heard = collections.namedtuple("Heard", "source text seconds")  # seconds from connect to verdict
_FINAL = re.compile(rb"^\d\d\d [^\n]*\n", re.M)
# What a client says that would send mail: up to the command that is refused under "enforce".
TO_RCPT = ("EHLO caller.test", "MAIL FROM:<a@caller.test>", "RCPT TO:<b@gate.test>")
_IN_FLIGHT = 300


class Callers:
    """One connection from each of `sources` (an address may be named several times), which says
    each of `commands` when it has the reply to what came before.

    The constructor returns when all are connected; results() waits for the last verdict. Verdicts
    that come while others still connect are timed right all the same.
    """

    def __init__(self, target, sources, processes=1, connect_seconds=60, commands=()):
        sources = list(sources)
        self.count = len(sources)
        self._workers = [subprocess.Popen(
            [sys.executable, os.path.abspath(__file__), target[0], str(target[1])],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=marked_environment(),
            preexec_fn=die_with_parent) for _ in range(processes)]
        try:
            for index, worker in enumerate(self._workers):
                share = [sources[index::processes], connect_seconds, commands]
                worker.stdin.write(json.dumps(share) + "\n")
                worker.stdin.flush()
            for worker in self._workers:
                self._line(worker)
        except BaseException:
            self.leave()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.leave()

    @staticmethod
    def _line(worker):
        line = worker.stdout.readline()
        if not line:
            raise AssertionError("a process of callers has ended")
        return json.loads(line)

    def results(self, seconds):
        """[Heard ...] of all; who had no verdict after `seconds` has None for seconds. The text is
        all that was heard, replies to commands too."""
        for worker in self._workers:
            worker.stdin.write(f"{seconds}\n")
            worker.stdin.flush()
        return [Heard(*one) for worker in self._workers for one in self._line(worker)]

    def leave(self):
        for worker in self._workers:
            worker.stdin.close()
            worker.wait(30)
            worker.stdout.close()
        self._workers = []


def call(target, sources, seconds, processes=1, commands=()):
    """All of it: {source: Heard}. REQUIRES: each source once."""
    with Callers(target, sources, processes, commands=commands) as callers:
        return {heard.source: heard for heard in callers.results(seconds)}


class _Worker:
    """The inside of one process."""

    def __init__(self, target, commands):
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self._target = target
        self._commands = [f"{command}\r\n".encode() for command in commands]
        self._selector = selectors.DefaultSelector()
        self._calls = {}    # socket: [source, text, when connect was called, verdict, said]
        self._results = []
        self._connecting = 0

    def connect_all(self, sources, seconds):
        end = time.monotonic() + seconds
        waiting = collections.deque(sources)
        while waiting or self._connecting:
            while waiting and self._connecting < _IN_FLIGHT:
                self._connect(waiting.popleft())
            self._turn(0.1)
            if time.monotonic() > end:
                raise TimeoutError(f"{len(waiting) + self._connecting} clients not connected")

    def _connect(self, source):
        family = socket.AF_INET6 if ":" in source else socket.AF_INET
        client = socket.socket(family)
        client.setblocking(False)
        client.setsockopt(socket.IPPROTO_IP, socket.IP_BIND_ADDRESS_NO_PORT, 1)
        client.bind((source, 0))
        self._calls[client] = [source, b"", time.monotonic(), None, 0]
        client.connect_ex(self._target)
        self._connecting += 1
        self._selector.register(client, selectors.EVENT_WRITE)

    def _turn(self, seconds):
        for key, events in self._selector.select(seconds):
            if events & selectors.EVENT_WRITE:
                error = key.fileobj.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if error:
                    raise OSError(error, os.strerror(error))
                self._connecting -= 1
                self._selector.modify(key.fileobj, selectors.EVENT_READ)
            else:
                self._hear(key.fileobj)

    def _hear(self, client):
        call = self._calls[client]
        try:
            data = client.recv(4096)
        except ConnectionResetError:
            data = b""
        call[1] += data
        finals = len(_FINAL.findall(call[1]))
        if call[3] is None and (finals or not data):
            call[3] = time.monotonic() - call[2]
        if not data or finals > len(self._commands):
            self._end(client)
        elif finals > call[4]:
            call[4] = finals
            self._say(client, self._commands[finals - 1])

    @staticmethod
    def _say(client, command):
        try:
            client.send(command)
        except (BrokenPipeError, ConnectionResetError):
            pass  # what was heard tells it: the reply is missing

    def _end(self, client):
        source, text, _, seconds, _ = self._calls.pop(client)
        self._results.append((source, text.decode(errors="replace"), seconds))
        self._selector.unregister(client)
        client.close()

    def wait(self, stdin):
        """Goes on listening until all have heard, or the time that comes on stdin is over."""
        end = None
        self._selector.register(stdin, selectors.EVENT_READ)
        while end is None or (self._calls and time.monotonic() < end):
            for key, _ in self._selector.select(0.1):
                if key.fileobj is not stdin:
                    self._hear(key.fileobj)
                    continue
                line = stdin.readline()
                if not line:
                    return None
                end = time.monotonic() + float(line)
                self._selector.unregister(stdin)
        for client in list(self._calls):
            self._end(client)
        return self._results


def _main():
    sources, seconds, commands = json.loads(sys.stdin.readline())
    worker = _Worker((sys.argv[1], int(sys.argv[2])), commands)
    worker.connect_all(sources, seconds)
    print(json.dumps("connected"), flush=True)
    results = worker.wait(sys.stdin)
    if results is not None:
        print(json.dumps(results), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    _main()
