"""STARTTLS injection, both ways: plaintext behind the command or behind its 220, which one side
would take for part of the protected session. The other side hears no command and no reply in it."""

import ssl
import time
import unittest

import faces
import scripted
from clients import Client
from dialogue import wait_lines
from gate import Gate, greet, pool, route
from scratch import wait_until
from scripted import ScriptedBackend

EVIL = b"MAIL FROM:<evil@client.test>\r\n"
CLIENT_HELLO = bytes.fromhex("16030100050100000100")
READY = "220 2.0.0 Ready to start TLS\r\n"
TLS_CAPABILITIES = (*scripted.CAPABILITIES, "STARTTLS")


def tearDownModule():
    faces.close()


def _heard(client, seconds=2.0):
    """All that comes until the other side closes or is silent for so long."""
    client.socket.settimeout(seconds)
    heard = ""
    try:
        while line := client.line():
            heard += line
    except (TimeoutError, ConnectionResetError):
        pass
    return heard


class FromTheClient(unittest.TestCase):
    """Commands behind STARTTLS that a server might execute after the handshake."""

    def _gate(self, backend, **settings):
        gate = Gate(greet(wait="0s") + pool("out", backend.address, proxy_protocol="none",
                                            **settings) + route("out"))
        self.addCleanup(gate.stop)
        wait_until(lambda: gate.counter("backend_checks") > 0, 10, "the backend was checked")
        return gate

    def _expect_called_off(self, answers, segments, source):
        """STARTTLS and more in these segments, 0.15 s apart: called off, nothing got through."""
        with ScriptedBackend(capabilities=TLS_CAPABILITIES) as backend:
            gate = self._gate(backend)
            checked = len(backend.sessions)
            backend.answers = answers
            with Client(gate.target, source) as client:
                client.reply()
                self.assertIn("STARTTLS", client.command("EHLO client.test"))
                for segment in segments:
                    client.send(segment)
                    time.sleep(0.15)
                heard = _heard(client)
                self.assertNotRegex(heard, "(?m)^220 ")
            gate.wait_empty()
            told = b"".join(session.raw for session in backend.sessions[checked:])
            self.assertNotIn(b"evil", told)
            self.assertNotIn(CLIENT_HELLO, told)
            self.assertEqual((1, 0), (gate.counter("pipelining"), gate.counter("handed_over")))
            wait_lines(gate, 1, "COMMAND PIPELINING", f"[{source}]")
            return heard

    def test_same_segment(self):
        """MAIL in the segment of STARTTLS: pipelining, no backend hears of it"""
        self._expect_called_off({}, [b"STARTTLS\r\n" + EVIL], "127.121.0.1")

    def test_same_segment_hello(self):
        """a TLS hello in the segment of STARTTLS, as if nobody could refuse: pipelining too"""
        self._expect_called_off({}, [b"STARTTLS\r\n" + CLIENT_HELLO], "127.121.0.2")

    def test_half_a_line(self):
        """half a command in that segment, the rest later: the same"""
        self._expect_called_off({}, [b"STARTTLS\r\n" + EVIL[:12], EVIL[12:]], "127.121.0.3")

    def test_before_the_reply(self):
        """a second segment while the backend thinks about STARTTLS: called off before its 220"""
        self._expect_called_off({"STARTTLS": scripted.late(READY, 0.6)},
                                [b"STARTTLS\r\n", EVIL], "127.121.0.4")

    def test_before_the_banner(self):
        """a second segment while the backend has not even greeted: the same"""
        self._expect_called_off({"BANNER": scripted.late("220 late.test ESMTP\r\n", 0.6)},
                                [b"STARTTLS\r\n", EVIL], "127.121.0.5")

    def test_real_server(self):
        """Postfix, with a handshake behind: nothing of it is executed inside TLS or outside"""
        for index, face in enumerate((faces.by_pass(), faces.by_proxy(), faces.by_exim())):
            with self.subTest(face.name):
                mark = face.server.log_mark()
                with Gate(greet(wait="0s") + face.pool + route("out")) as gate:
                    wait_until(lambda: gate.counter("backend_checks") > 0, 10, "checked")
                    with Client(gate.target, f"127.122.0.{index + 1}") as client:
                        client.reply()
                        client.command("EHLO client.test")
                        client.send(b"STARTTLS\r\n" + EVIL)
                        context = faces.certificate().client_context()
                        with self.assertRaises((ssl.SSLError, OSError)):
                            context.wrap_socket(client.socket, server_hostname="mx.gate.test")
                    gate.wait_empty()
                self.assertNotIn("evil", face.server.log_since(mark))


class FromTheServer(unittest.TestCase):
    """Replies behind the 220 to STARTTLS that a client might take for those of the TLS session."""

    INJECTED = "250 2.0.0 injected\r\n"

    def _session(self, answers, source):
        """What a client hears in answer to STARTTLS; the only backend injects."""
        with ScriptedBackend(capabilities=TLS_CAPABILITIES) as backend, Gate(
                greet(wait="0s") + pool("out", backend.address, proxy_protocol="none", wait="1s")
                + route("out")) as gate:
            wait_until(lambda: gate.counter("backend_checks") > 0, 10, "the backend was checked")
            backend.answers = answers
            with Client(gate.target, source) as client:
                client.reply()
                client.command("EHLO client.test")
                client.send("STARTTLS\r\n")
                heard = _heard(client)
            gate.wait_empty()
            return heard, gate.total()["counters"]

    def _expect_refused(self, answers, source):
        """The backend is not believed: the client hears 421, never the injected reply."""
        heard, counters = self._session(answers, source)
        self.assertNotIn("injected", heard)
        self.assertRegex(heard, r"\A421 [^\r\n]*\r\n\Z")
        self.assertEqual(0, counters["handed_over"])

    def test_same_segment(self):
        """a reply in the segment of the 220: this backend is not gone on with"""
        self._expect_refused({"STARTTLS": READY + self.INJECTED}, "127.123.0.1")

    def test_behind_the_banner(self):
        """a reply in the segment of the banner: the same"""
        self._expect_refused({"BANNER": "220 scripted.test ESMTP\r\n" + self.INJECTED},
                             "127.123.0.2")

    def test_behind_the_hello(self):
        """a reply in the segment of the answer to EHLO: the same"""
        answer = "".join(f"250-{word}\r\n" for word in ("scripted.test", *TLS_CAPABILITIES))
        self._expect_refused({"EHLO": answer + "250 HELP\r\n" + self.INJECTED}, "127.123.0.3")

    def test_second_segment(self):
        """a reply in a segment of its own: a client in its handshake hears no reply, but garbage"""
        def inject(session):
            session.send(READY)
            time.sleep(0.2)
            session.send(self.INJECTED)

        with ScriptedBackend({"STARTTLS": inject}, capabilities=TLS_CAPABILITIES) as backend, \
                Gate(greet(wait="0s") + pool("out", backend.address, proxy_protocol="none")
                     + route("out")) as gate:
            wait_until(lambda: gate.counter("backend_checks") > 0, 10, "the backend was checked")
            with Client(gate.target, "127.123.0.4") as client:
                client.reply()
                client.command("EHLO client.test")
                self.assertEqual(READY, client.command("STARTTLS"))
                self.assertEqual(b"", client._unread)
                context = faces.certificate().client_context()
                with self.assertRaises(ssl.SSLError):
                    context.wrap_socket(client.socket, server_hostname="mx.gate.test")
            gate.wait_empty()
