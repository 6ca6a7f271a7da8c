"""A dialogue as a client's script: what it sends, when it waits, what it heard.

Pure data and a player over one socket. Knows SMTP's replies by their form only, and neither
postscreen nor the gate.
"""

import select
import socket
import struct
import time
from dataclasses import dataclass, field

_REPLY_SECONDS = 12
_END_SECONDS = 0.5
CLOSED, SILENT = "closed", "silent"


@dataclass(frozen=True)
class Send:
    """Bytes in one piece; then so many replies are awaited."""
    data: bytes
    replies: int = 0


@dataclass(frozen=True)
class Pause:
    seconds: float


@dataclass(frozen=True)
class Leave:
    """Closes its side: with a FIN, with a RST, or its sending side only."""
    how: str = "fin"


def say(*lines):
    """Each line with its end, and its reply awaited before the next."""
    return [Send(line.encode("latin-1") + b"\r\n", 1) for line in lines]


@dataclass(frozen=True)
class Script:
    """What a client does. early: sent at once, before any greeting, and so many replies to it."""
    name: str
    steps: list = field(default_factory=list)
    early: bytes = b""
    early_replies: int = 1
    leave_early: str = ""  # before the greeting, after half of the wait: "fin" or "rst"


class Player:
    """Plays a script; `heard` are the codes of the replies in their order, at the end CLOSED when
    the server was first to close, SILENT when it did not reply. greeted: whether a greeting is
    awaited; who spoke early is not greeted by all servers."""

    def __init__(self, script, target, source, greeted=True):
        self._script = script
        self._greeted = greeted
        self._target = target
        self._source = source
        self._unread = b""
        self.heard = []

    def play(self, early_seconds):
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            client.bind((self._source, 0))
            client.settimeout(_REPLY_SECONDS)
            client.connect(self._target)
            try:
                self._speak(client, early_seconds)
            except OSError:  # reset, or closed for good when our side was to be half closed
                if self.heard[-1:] != [CLOSED]:
                    self.heard.append(CLOSED)

    def _speak(self, client, early_seconds):
        script = self._script
        if script.early:
            client.sendall(script.early)
        if script.leave_early:
            time.sleep(early_seconds)
            self._leave(client, script.leave_early)
            return
        self._hear(client, self._greeted + (script.early_replies if script.early else 0))
        for step in script.steps:
            if self.heard[-1:] in ([CLOSED], [SILENT]):
                return
            if isinstance(step, Pause):
                time.sleep(step.seconds)
            elif isinstance(step, Leave):
                self._leave(client, step.how)
            else:
                client.sendall(step.data)
                self._hear(client, step.replies)
        if self.heard[-1:] not in ([CLOSED], [SILENT]) and client.fileno() != -1:
            self._see_end(client)

    def _see_end(self, client):
        """Whether the server closes by itself, as it does at once or not at all."""
        readable, _, _ = select.select([client], [], [], _END_SECONDS)
        if readable:
            self._hear(client, 1)

    @staticmethod
    def _leave(client, how):
        if how == "half":
            client.shutdown(socket.SHUT_WR)
            return
        if how == "rst":
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()

    def _hear(self, client, count):
        for _ in range(count):
            code = self._reply(client)
            self.heard.append(code)
            if code in (CLOSED, SILENT):
                return

    def _reply(self, client):
        """The code of the next whole reply; lines that say another follows are not told of."""
        while True:
            line, newline, rest = self._unread.partition(b"\n")
            if newline:
                self._unread = rest
                if line[3:4] != b"-":
                    return line[:3].decode("latin-1")
                continue
            try:
                piece = client.recv(65536)
            except TimeoutError:
                return SILENT
            if not piece:
                return CLOSED
            self._unread += piece
