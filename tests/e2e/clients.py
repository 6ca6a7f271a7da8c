"""Raw SMTP clients of every kind, and a sink they can be sent to. No retry, no politeness.

Client is one blocking connection. Crowd holds thousands of silent ones in processes of their own,
because the descriptor limit is per process; it runs this file as a program. Sink is a tiny SMTP
server for tests that want a backend without Postfix. None of them knows lychgate.
"""

import json
import os
import re
import resource
import selectors
import socket
import struct
import subprocess
import sys
import threading
import time

from scratch import die_with_parent, loopback, marked_environment

_SINK_UNSENT_MAX = 1 << 20


class Client:
    """One connection; `source` is the address to come from."""

    def __init__(self, target, source=None, timeout=20, receive_buffer=None):
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if source:
            # The kernel picks the port at connect: bind alone would run out of them.
            self.socket.setsockopt(socket.IPPROTO_IP, socket.IP_BIND_ADDRESS_NO_PORT, 1)
            self.socket.bind((source, 0))
        self.socket.settimeout(timeout)
        self.started = time.monotonic()
        self.socket.connect(target)
        self.name = self.socket.getsockname()
        self._unread = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.hang_up()

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode())

    def line(self):
        """One line with its end; what is left at end of file; "" after it."""
        while b"\n" not in self._unread:
            data = self.socket.recv(65536)
            if not data:
                break
            self._unread += data
        line, end, self._unread = self._unread.partition(b"\n")
        return (line + end).decode(errors="replace")

    def reply(self):
        """All lines of one reply: the last is the one without '-' after the code."""
        lines = [self.line()]
        while re.match(r"\d\d\d-", lines[-1]):
            lines.append(self.line())
        return "".join(lines)

    def command(self, text):
        self.send(text + "\r\n")
        return self.reply()

    def ask_rcpt(self, helo="client.test"):
        """Says EHLO, MAIL and RCPT; returns the reply to the last of them."""
        for text in (f"EHLO {helo}", "MAIL FROM:<sender@client.test>"):
            reply = self.command(text)
            if not re.search(r"(?m)^250 ", reply):
                raise AssertionError(f"{text} was answered with {reply!r}")
        return self.command("RCPT TO:<box@gate.test>")

    def rest(self):
        """Everything until the server closes; a reset ends it too."""
        data = self._unread
        self._unread = b""
        try:
            while chunk := self.socket.recv(65536):
                data += chunk
        except ConnectionResetError:
            pass
        return data.decode(errors="replace")

    def seconds(self):
        """Since just before connect."""
        return time.monotonic() - self.started

    def hang_up(self):
        self.socket.close()

    def reset(self):
        """Closes with RST instead of FIN."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def send_slowly(self, text, pause):
        """One byte at a time; stops when the server is gone."""
        try:
            for byte in text.encode():
                self.socket.sendall(bytes([byte]))
                time.sleep(pause)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True


class Crowd:
    """`count` silent clients with addresses of their own, held by a few processes."""

    PER_PROCESS = 6000

    def __init__(self, target, count, block=1):
        self.count = count
        self._workers = []
        first = 0
        while first < count:
            share = min(self.PER_PROCESS, count - first)
            self._workers.append(subprocess.Popen(
                [sys.executable, os.path.abspath(__file__), target[0], str(target[1]), str(share),
                 str(first), str(block)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                env=marked_environment(), preexec_fn=die_with_parent))
            first += share
        for worker in self._workers:
            if json.loads(worker.stdout.readline() or "{}").get("connected") is None:
                self.leave()
                raise AssertionError("a crowd process could not connect its clients")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.leave()

    def count_states(self):
        """{"open": silent or teased and alive, "closed": n, "greeted": heard a final 220}."""
        sums = {}
        for worker in self._workers:
            worker.stdin.write("count\n")
            worker.stdin.flush()
            for key, value in json.loads(worker.stdout.readline()).items():
                sums[key] = sums.get(key, 0) + value
        return sums

    def leave(self):
        """Everybody hangs up."""
        for worker in self._workers:
            worker.stdin.close()
            worker.wait(30)
            worker.stdout.close()
        self._workers = []


class _CrowdWorker:
    """The inside of one crowd process: connects, then answers `count` lines on stdin."""

    IN_FLIGHT = 500

    def __init__(self, target, count, first, block):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self._target = target
        self._selector = selectors.DefaultSelector()
        self._heard = {}
        self._closed = 0
        self._connect_all(count, first, block)

    def _connect_all(self, count, first, block):
        waiting = selectors.DefaultSelector()
        started = finished = 0
        while finished < count:
            while started < count and started - finished < self.IN_FLIGHT:
                client = socket.socket()
                client.setblocking(False)
                client.setsockopt(socket.IPPROTO_IP, socket.IP_BIND_ADDRESS_NO_PORT, 1)
                client.bind((loopback(first + started, block), 0))
                client.connect_ex(self._target)
                waiting.register(client, selectors.EVENT_WRITE)
                started += 1
            for key, _ in waiting.select(10):
                client = key.fileobj
                waiting.unregister(client)
                error = client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if error:
                    raise OSError(error, os.strerror(error))
                self._heard[client] = b""
                self._selector.register(client, selectors.EVENT_READ)
                finished += 1

    def _listen(self):
        while events := self._selector.select(0):
            for key, _ in events:
                self._hear(key.fileobj)

    def _hear(self, client):
        try:
            data = client.recv(4096)
        except ConnectionResetError:
            data = b""
        if data:
            self._heard[client] = (self._heard[client] + data)[-512:]
            return
        self._selector.unregister(client)
        client.close()
        del self._heard[client]
        self._closed += 1

    def serve(self):
        print(json.dumps({"connected": len(self._heard)}), flush=True)
        for _ in sys.stdin:
            self._listen()
            greeted = sum(1 for text in self._heard.values()
                          if re.search(rb"(^|\n)220 ", text))
            print(json.dumps({"open": len(self._heard), "closed": self._closed,
                              "greeted": greeted}), flush=True)


class Sink:
    """A backend in a thread: greets, answers every line with 250, counts its connections.

    A line of "QUIT" closes; "BURST n" answers with n bytes. `greeting` may be empty: then the
    backend accepts and says nothing.
    """

    def __init__(self, greeting="220 sink ESMTP\r\n", address="127.0.0.1"):
        self._greeting = greeting.encode()
        self._listener = socket.create_server((address, 0), backlog=4096)
        self._listener.setblocking(False)
        self.port = self._listener.getsockname()[1]
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._pending = {}
        self._out = {}
        self.connections = 0
        self._stopping = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self._stopping = True
        self._thread.join(5)
        for client in list(self._pending):
            client.close()
        self._listener.close()
        self._selector.close()

    def _run(self):
        while not self._stopping:
            for key, events in self._selector.select(0.1):
                if key.fileobj is self._listener:
                    self._accept()
                    continue
                if events & selectors.EVENT_READ:
                    self._read(key.fileobj)
                if key.fileobj in self._pending and events & selectors.EVENT_WRITE:
                    self._write(key.fileobj)

    def _accept(self):
        try:
            client, _ = self._listener.accept()
        except OSError:
            return
        client.setblocking(False)
        self.connections += 1
        self._pending[client] = b""
        self._out[client] = self._greeting
        self._selector.register(client, selectors.EVENT_READ)
        self._write(client)

    def _read(self, client):
        try:
            data = client.recv(65536)
        except OSError:
            data = b""
        if not data:
            self._close(client)
            return
        *lines, self._pending[client] = (self._pending[client] + data).split(b"\n")
        for line in lines:
            self._answer(client, line.strip().upper())
        if client in self._pending:
            self._write(client)

    def _answer(self, client, line):
        if line == b"QUIT":
            self._out[client] += b"221 bye\r\n"
            self._write(client)
            self._close(client)
        elif line.startswith(b"BURST ") and client in self._out:
            self._out[client] += b"x" * int(line.split()[1]) + b"\r\n"
        elif client in self._out:
            self._out[client] += b"250 ok\r\n"

    def _write(self, client):
        try:
            sent = client.send(self._out[client]) if self._out[client] else 0
            self._out[client] = self._out[client][sent:]
        except BlockingIOError:
            pass
        except OSError:
            self._close(client)
            return
        # A client that does not read is not read either, as a real server would do it.
        wanted = selectors.EVENT_READ if len(self._out[client]) < _SINK_UNSENT_MAX else 0
        wanted |= selectors.EVENT_WRITE if self._out[client] else 0
        self._selector.modify(client, wanted)

    def _close(self, client):
        if client in self._pending:
            self._selector.unregister(client)
            del self._pending[client], self._out[client]
            client.close()


if __name__ == "__main__":
    _CrowdWorker((sys.argv[1], int(sys.argv[2])), *map(int, sys.argv[3:6])).serve()
