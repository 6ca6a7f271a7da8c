"""SMTP smuggling: ends of a message, or of a command, that one server sees and another does not.

Behind a hand-over the gate reads no line any more: it relays bytes, so it is the mail server that
must know where a message ends, and it sees exactly what it would see without a gate. Before the
hand-over the gate itself reads lines; what it sends on is one command, whatever was in it.
"""

import os
import unittest

import faces
from clients import Client
from gate import Gate, greet, pool, route
from postfix import DOMAIN, split_message
from scratch import note, wait_until
from scripted import ScriptedBackend
from tls_postfix import TlsPostfix

# Between the honest text and the smuggled command; the names are what a report prints.
ENDINGS = {
    r"\n.\n": b"\n.\n", r"\n.\r\n": b"\n.\r\n", r"\r\n.\n": b"\r\n.\n",
    r"\r.\r": b"\r.\r", r"\r.\n": b"\r.\n", r"\r.\r\n": b"\r.\r\n",
    r"\n.\r": b"\n.\r", r"\r\n.\r": b"\r\n.\r", r"\r\n.\r\r\n": b"\r\n.\r\r\n",
    r"\r\r\n.\r\r\n": b"\r\r\n.\r\r\n", r"\r\n\0.\r\n": b"\r\n\0.\r\n",
    r"\r\n.\0\r\n": b"\r\n.\0\r\n", r"\n\0.\n": b"\n\0.\n", r"\n\n.\n\n": b"\n\n.\n\n",
    r"\r\n.\n\r\n": b"\r\n.\n\r\n", r"\r\n.\x85": b"\r\n.\x85", r"\n.\x0b\n": b"\n.\x0b\n",
}
NORMALIZE = "smtpd_forbid_bare_newline = normalize\nsmtpd_forbid_bare_newline_exclusions =\n"


def tearDownModule():
    faces.close()


def _smuggled(ending, box):
    """One message that holds another behind an ending."""
    return (b"Subject: honest\r\n\r\nhonest text" + ending
            + f"MAIL FROM:<smuggler@client.test>\r\nRCPT TO:<{box}@{DOMAIN}>\r\nDATA\r\n".encode()
            + b"Subject: smuggled\r\n\r\nsmuggled text\r\n.\r\n")


def _replies(client):
    """All that comes within 0.3 s of silence."""
    client.socket.settimeout(0.3)
    heard = ""
    try:
        while line := client.line():
            heard += line
    except (TimeoutError, ConnectionResetError):
        pass
    return heard


def _send(target, source, box, ending):
    """A whole session; the codes of what was heard behind the message, without that of QUIT."""
    with Client(target, source) as client:
        client.reply()
        for command in ("EHLO smuggler.test", "MAIL FROM:<honest@client.test>",
                        f"RCPT TO:<{box}@{DOMAIN}>", "DATA"):
            reply = client.command(command)
            assert reply[0] in "23", (command, reply)
        client.send(_smuggled(ending, box))
        client.send("QUIT\r\n")
        codes = [line[:3] for line in client.rest().splitlines()]
        return codes[:-1] if codes[-1:] == ["221"] else codes


def _subjects(face, box, codes):
    """Of what arrived of a session with these replies; the mailbox is empty afterwards."""
    # Each DATA that was smuggled had its 354; a first code that is not 250 refused it all.
    wanted = codes.count("354") + 1 if codes[:1] == ["250"] else 0
    subjects = []
    for path in faces.wait_delivered(face, box, wanted, seconds=10):
        head, _ = split_message(path)
        subjects += [line for line in head.splitlines() if line.startswith("Subject: ")]
        os.unlink(path)
    return sorted(subjects)


class SmugglingBehind(unittest.TestCase):
    """In DATA, behind a hand-over: nobody but the mail server reads it."""

    def _compare(self, face, box, block):
        """{ending: (replies, subjects)}, which are the same with and without the gate."""
        results = {}
        plain = ("127.0.0.1", face.server.plain_port)
        with Gate(greet(wait="0s") + face.pool + route("out")) as gate:
            wait_until(lambda: gate.counter("backend_checks") > 0, 10, "the backend was checked")
            for index, (name, ending) in enumerate(ENDINGS.items()):
                with self.subTest(ending=name):
                    source = f"127.{block}.1.{index + 1}"
                    codes = _send(plain, source, box, ending)
                    direct = codes, _subjects(face, box, codes)
                    codes = _send(gate.target, source, box, ending)
                    results[name] = codes, _subjects(face, box, codes)
                    self.assertEqual(direct, results[name], "not what happens without a gate")
            gate.wait_empty()
            self.assertEqual(len(ENDINGS), gate.counter("handed_over"))
        return results

    def _one_at_most(self, results):
        for name, (codes, subjects) in results.items():
            with self.subTest(ending=name):
                self.assertEqual(1, len(codes), codes)
                self.assertLessEqual(len(subjects), 1)
        whole = sum(codes == ["250"] for codes, _ in results.values())
        note(f"{len(results)} endings: {whole} taken as text, {len(results) - whole} refused")

    def test_postfix(self):
        """Postfix with smtpd_forbid_bare_newline = normalize: one message, whatever the ending"""
        server = TlsPostfix(faces.certificate(), NORMALIZE)
        self.addCleanup(server.stop)
        face = faces.Face("this Postfix", server, pool("out", f"pass:{server.friendly}"), None)
        self._one_at_most(self._compare(face, "box41", 111))

    def test_postfix_as_shipped(self):
        """Postfix as Debian 12 ships it takes some for the end; with the gate it takes the same"""
        results = self._compare(faces.by_pass(), "box42", 112)
        through = [name for name, (_, subjects) in results.items() if len(subjects) > 1]
        note(f"taken for the end of a message by Postfix itself: {', '.join(through)}")

    def test_exim(self):
        """Exim: one message, whatever the ending"""
        self._one_at_most(self._compare(faces.by_exim(), "box43", 113))

    def test_opensmtpd(self):
        """OpenSMTPD: one message or none, whatever the ending"""
        self._one_at_most(self._compare(faces.by_opensmtpd(), "box44", 114))


# What a client sends to the gate itself, in one segment; "evil" must reach no backend.
IN_COMMANDS = {
    "two commands behind one bare LF": b"EHLO client.test\nMAIL FROM:<evil@client.test>\r\n",
    "MAIL and RCPT with a bare LF between":
        b"MAIL FROM:<a@client.test>\nRCPT TO:<evil@gate.test>\r\n",
    "MAIL and RCPT with a bare CR between":
        b"MAIL FROM:<a@client.test>\rRCPT TO:<evil@gate.test>\r\n",
    "STARTTLS and MAIL with a bare CR between": b"STARTTLS\rMAIL FROM:<evil@client.test>\r\n",
    "MAIL, NUL, RCPT": b"MAIL FROM:<a@client.test>\0RCPT TO:<evil@gate.test>\r\n",
    "MAIL, NUL, bare CR, RCPT": b"MAIL FROM:<a@client.test>\0\rRCPT TO:<evil@gate.test>\r\n",
    "MAIL, NUL, CRLF, RCPT": b"MAIL FROM:<a@client.test>\0\r\nRCPT TO:<evil@gate.test>\r\n",
    "EHLO, bare CR, MAIL": b"EHLO client.test\rMAIL FROM:<evil@client.test>\r\n",
    "EHLO, tab, MAIL": b"EHLO client.test\tMAIL FROM:<evil@client.test>\r\n",
    "EHLO of many words": b"EHLO client.test MAIL FROM:<evil@client.test>\r\n",
    "MAIL and RCPT in one segment": b"MAIL FROM:<a@client.test>\r\nRCPT TO:<evil@gate.test>\r\n",
    "CR CR LF": b"MAIL FROM:<a@client.test>\r\r\nRCPT TO:<evil@gate.test>\r\r\n",
    "LF CR": b"NOOP\n\rMAIL FROM:<evil@client.test>\n\r",
    "VT, FF and NEL for a line end":
        b"MAIL FROM:<a@client.test>\x0bRCPT TO:<evil@x>\x0cDATA\x85DATA\r\n",
}


class SmugglingBefore(unittest.TestCase):
    """In commands, before a hand-over: one line is one command, or it goes nowhere."""

    def _session(self, gate, source, sent):
        with Client(gate.target, source) as client:
            client.reply()
            client.command("EHLO first.test")
            client.send(sent)
            return _replies(client)

    def test_commands(self):
        """line ends that are none, or that only some see: no second command reaches a backend"""
        with ScriptedBackend() as backend, Gate(
                greet(wait="0s") + pool("out", backend.address, proxy_protocol="none")
                + route("out")) as gate:
            wait_until(lambda: gate.counter("backend_checks") > 0, 10, "the backend was checked")
            for index, (name, sent) in enumerate(IN_COMMANDS.items()):
                with self.subTest(name):
                    before = len(backend.sessions)
                    heard = self._session(gate, f"127.115.1.{index + 1}", sent)
                    self.assertRegex(heard, r"\A(\d\d\d[ -][^\r\n]*\r\n)*\Z")
                    gate.wait_empty()
                    told = [line for session in backend.sessions[before:]
                            for line in session.lines]
                    # A name is said again as it was understood, but only as a name.
                    self.assertEqual([], [line for line in told if "evil" in line and not
                                          line.startswith("EHLO ")], told)
                    self.assertEqual([], [line for line in told if "\r" in line or "\0" in line])
