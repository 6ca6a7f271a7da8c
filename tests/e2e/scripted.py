"""A backend that follows a script: polite where nothing is said, faulty where a test says so.

Each connection has a thread that runs the polite server of RFC 5321, with the test's reaction in
the place of the banner or of the answer to a verb. Owns its sockets and threads; remembers every
line that it heard. Knows nothing of lychgate.
"""

import os
import socket
import struct
import threading
import time

from scratch import ScratchDir

CAPABILITIES = ("PIPELINING", "SIZE 10240000", "ENHANCEDSTATUSCODES", "8BITMIME")


class Gone(Exception):
    """The connection is over, by either side."""


class Session:
    """One connection as the server sees it."""

    def __init__(self, connection):
        self.connection = connection
        self.lines = []     # that came, without their ends
        self.raw = b""      # everything that came
        self._unread = b""

    def send(self, data):
        try:
            self.connection.sendall(data if isinstance(data, bytes) else data.encode())
        except OSError as error:
            raise Gone from error

    def line(self):
        while b"\n" not in self._unread:
            try:
                data = self.connection.recv(65536)
            except OSError as error:
                raise Gone from error
            if not data:
                raise Gone
            self.raw += data
            self._unread += data
        line, _, self._unread = self._unread.partition(b"\n")
        self.lines.append(line.rstrip(b"\r").decode(errors="replace"))
        return self.lines[-1]

    def close(self):
        self.connection.close()
        raise Gone

    def reset(self):
        """Closes with RST instead of FIN."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()


# Reactions that a test may put in the place of an answer; a str or bytes is sent as it is.
def close(session):
    session.close()


def reset(session):
    session.reset()


def silent(session):
    """Says nothing more until the other side goes."""
    while True:
        session.line()


def endless(piece):
    """The same bytes until the other side goes."""
    def react(session):
        while True:
            session.send(piece)
    return react


def slowly(text, pause=0.005):
    """A byte at a time."""
    def react(session):
        for byte in text.encode():
            session.send(bytes([byte]))
            time.sleep(pause)
    return react


def late(text, seconds):
    def react(session):
        time.sleep(seconds)
        session.send(text)
    return react


def both(first, second):
    def react(session):
        perform(session, first)
        perform(session, second)
    return react


def perform(session, reaction):
    if callable(reaction):
        reaction(session)
    else:
        session.send(reaction)


class ScriptedBackend:
    """answers: {"BANNER" or a verb: a reaction}; may be changed while it runs."""

    def __init__(self, answers=None, capabilities=CAPABILITIES):
        self.answers = answers or {}
        self._capabilities = capabilities
        self.sessions = []
        self.connections = 0
        self._stopping = False
        self._listen()
        self._threads = []
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def _listen(self):
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1000)
        self.port = self._listener.getsockname()[1]
        self.address = f"tcp:127.0.0.1:{self.port}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self._stopping = True
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listener.close()
        for session in self.sessions:
            try:
                session.connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        for thread in [self._acceptor, *self._threads]:
            thread.join(5)

    def _accept(self):
        while not self._stopping:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            spoken = self._received(connection)
            if spoken is None:
                continue
            session = Session(spoken)
            self.sessions.append(session)
            thread = threading.Thread(target=self._serve, args=(session,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, session):
        try:
            perform(session, self.answers.get("BANNER", "220 scripted.test ESMTP\r\n"))
            while True:
                self._obey(session, session.line())
        except Gone:
            session.connection.close()

    def _obey(self, session, line):
        verb = line.split(" ")[0].upper()
        if verb in self.answers:
            perform(session, self.answers[verb])
        elif verb == "EHLO":
            words = ("scripted.test", *self._capabilities)
            session.send("".join(f"250-{word}\r\n" for word in words[:-1])
                         + f"250 {words[-1]}\r\n")
        elif verb == "DATA":
            session.send("354 go on\r\n")
            while session.line() != ".":
                pass
            session.send("250 2.0.0 Ok: taken\r\n")
        elif verb == "STARTTLS":
            session.send("220 2.0.0 Ready to start TLS\r\n")
        elif verb == "QUIT":
            session.send("221 2.0.0 Bye\r\n")
            session.close()
        else:
            session.send(f"250 2.0.0 Ok {verb}\r\n")

    def _received(self, connection):
        """The socket to speak on, when a client has connected."""
        return connection

    def heard(self, word):
        """Lines of all sessions that hold the word."""
        return [line for session in list(self.sessions) for line in list(session.lines)
                if word in line]


class ScriptedPass(ScriptedBackend):
    """The same as a Postfix `pass` service: takes descriptors, and speaks on what it was given.

    answers may have "TAKE": "close" for a service that takes none, "ignore" for one that hangs."""

    def _listen(self):
        self._ignored = []
        self._scratch = ScratchDir("pass")
        self._listener = socket.socket(socket.AF_UNIX)
        path = self._scratch.file("service")
        self._listener.bind(path)
        self._listener.listen(1000)
        self.address = f"pass:{path}"

    def _received(self, connection):
        """Its end of file tells the sender that the descriptor was taken."""
        if self.answers.get("TAKE") == "ignore":
            self._ignored.append(connection)
            return None
        with connection:
            connection.settimeout(5)
            try:
                _, descriptors, _, _ = socket.recv_fds(connection, 4096, 1)
            except OSError:
                return None
            if not descriptors:
                return None
            if self.answers.get("TAKE") == "close":
                os.close(descriptors[0])
                return None
            return socket.socket(fileno=descriptors[0])

    def stop(self):
        super().stop()
        for connection in self._ignored:
            connection.close()
        self._scratch.remove()
