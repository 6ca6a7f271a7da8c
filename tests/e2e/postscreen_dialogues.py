"""The dialogues in which the gate and postscreen are compared: scripts, and who the clients are.

Data only. Every dialogue has an address of its own, which says what lists and the access list tell
of it. Nobody speaks early whom a list may excuse: which of both comes first is a matter of luck.
"""

from dataclasses import dataclass

from postscreen_real import (COMMAND_SECONDS, COMMANDS_MAX, DROP, ENFORCE, GREET_SECONDS, IGNORE,
                             PROFILES)
from postscreen_script import Leave, Pause, Script, Send, say

# The second number of a client's address.
STRANGER, DENIED, PERMITTED, LISTED, HALF_LISTED, WELL_KNOWN = 31, 32, 33, 34, 35, 36
ACCESS = f"127.{DENIED}.0.0/16 reject\n127.{PERMITTED}.0.0/16 permit\n"
LISTED_IN = {"bl.gate.test": LISTED, "half.gate.test": HALF_LISTED, "good.gate.test": WELL_KNOWN}

_FROM, _TO = "MAIL FROM:<a@sender.test>", "RCPT TO:<box0@gate.test>"
_MAIL = [*say("EHLO client.test", _FROM, _TO), *say("QUIT")]


@dataclass(frozen=True)
class Dialogue:
    script: Script
    who: int
    profile: str
    address: str

    @property
    def name(self):
        kinds = {STRANGER: "stranger", DENIED: "denied", PERMITTED: "permitted", LISTED: "listed",
                 HALF_LISTED: "half listed", WELL_KNOWN: "well known"}
        return f"{kinds[self.who]}, {self.profile}: {self.script.name}"

    @property
    def talks_early(self):
        return bool(self.script.early)

    @property
    def judged_at_once(self):
        """By the gate: who is known to be refused need not wait."""
        return self.who in (DENIED, LISTED) and self.profile != IGNORE

    def greeted(self, by_gate):
        """Who is found talking early is not greeted again, if that is a failure."""
        if not self.talks_early or self.profile == IGNORE or self.who == PERMITTED:
            return True
        return by_gate and self.judged_at_once


# What a client does that is polite and talks SMTP.
_PLAIN = [
    Script("EHLO, MAIL, RCPT, QUIT", _MAIL),
    Script("HELO, MAIL, RCPT, QUIT", say("HELO client.test", _FROM, _TO, "QUIT")),
    Script("QUIT at once", say("QUIT")),
    Script("closes in the wait", leave_early="fin"),
    Script("resets in the wait", leave_early="rst"),
    Script("closes after the greeting", [Leave()]),
    Script("EHLO, closes", [*say("EHLO client.test"), Leave()]),
    Script("EHLO, resets", [*say("EHLO client.test"), Leave("rst")]),
]

# Of clients that will be refused: all that the dialogue can be asked.
_AT_LENGTH = [
    Script("several recipients", say("EHLO client.test", _FROM, _TO, "RCPT TO:<box1@gate.test>",
                                     "RCPT TO:<@a.test,@b.test:box2@gate.test>", "QUIT")),
    Script("MAIL, closes", [*say("EHLO client.test", _FROM), Leave()]),
    Script("no name", say("EHLO", "HELO", "HELO ", "QUIT")),
    Script("EHLO after HELO", say("HELO one.test", "EHLO two.test", _FROM, _TO, "QUIT")),
    Script("HELO after EHLO", say("EHLO one.test", "HELO two.test", _FROM, _TO, "QUIT")),
    Script("EHLO forgets MAIL", say("EHLO client.test", _FROM, "EHLO client.test", _TO, "QUIT")),
    Script("several words of a name", say("EHLO one two three", _FROM, _TO, "QUIT")),
    Script("no HELO", say(_FROM, _TO, "QUIT")),
    Script("the empty sender", say("EHLO client.test", "MAIL FROM:<>", _TO, "QUIT")),
    Script("sender without brackets", say("EHLO client.test", "MAIL FROM:a@sender.test SIZE=5",
                                          "RCPT TO:box0@gate.test NOTIFY=NEVER", "QUIT")),
    Script("sender with parameters", say("EHLO client.test", _FROM + " SIZE=99999999999 X=Y", _TO,
                                         "QUIT")),
    Script("MAIL without a colon", say("EHLO client.test", "MAIL", "MAIL FROM <a@b.test>", "QUIT")),
    Script("MAIL twice", say("EHLO client.test", _FROM, _FROM, _TO, "QUIT")),
    Script("RCPT before MAIL", say("EHLO client.test", _TO, "QUIT")),
    Script("RCPT without a colon", say("EHLO client.test", _FROM, "RCPT <a@b.test>", "QUIT")),
    Script("RSET forgets MAIL", say("EHLO client.test", _FROM, "RSET", _TO, _FROM, _TO, "QUIT")),
    Script("DATA", say("EHLO client.test", _FROM, _TO, "DATA")),
    Script("DATA with an argument", say("EHLO client.test", _FROM, "DATA now")),
    Script("DATA without MAIL", say("EHLO client.test", "DATA")),
    Script("BDAT", [*say("EHLO client.test", _FROM, _TO), Send(b"BDAT 5 LAST\r\nhello", 1)]),
    Script("BDAT without a size", say("EHLO client.test", _FROM, "BDAT")),
    Script("BDAT without MAIL", say("EHLO client.test", "BDAT 5")),
    Script("VRFY", say("EHLO client.test", "VRFY", "VRFY box0", "QUIT")),
    Script("ETRN", say("EHLO client.test", "ETRN", "ETRN gate.test", "QUIT")),
    Script("NOOP and RSET", say("NOOP", "RSET", "NOOP with words", "RSET", "QUIT")),
    Script("unknown commands", say("EHLO client.test", "EXPN staff", "HELP", "FOO bar", "QUIT")),
    Script("AUTH and XCLIENT", say("EHLO client.test", "AUTH PLAIN AGEAYg==", "XCLIENT ADDR=1",
                                   "XFORWARD ADDR=1", "QUIT")),
    Script("STARTTLS", say("EHLO client.test", "STARTTLS", "QUIT")),
    Script("an empty line", say("", "   ", "QUIT")),
    Script("blanks", say("   EHLO   client.test  ", "  MAIL   FROM:<a@b.test>",
                         "RCPT  TO: <c@d.test>", "QUIT")),
    Script("small letters", say("ehlo client.test", "mail from:<a@b.test>", "rcpt to:<c@d.test>",
                                "quit")),
    Script("a TAB is no blank", say("EHLO client.test", "MAIL\tFROM:<a@b.test>", "QUIT")),
    Script("a NUL ends a line", say("EHLO client.test\0x", "NOOP\0QUIT", "QUIT")),
    Script("eight bits", say("EHLO cl\xefent.test", "NOOP \xff\xfe", "QUIT")),
    Script("quoted local parts", say("EHLO client.test", 'MAIL FROM:<"a b"@sender.test>',
                                     'RCPT TO:<"c>d"@gate.test>', "QUIT")),
]

# Limits, for each kind of end.
_LIMITS = [
    Script("too many commands", say(*["NOOP"] * (COMMANDS_MAX + 1))),
    Script("QUIT as one too many", say(*["NOOP"] * COMMANDS_MAX, "QUIT")),
    Script("too many commands, the last unknown",
           say(*["NOOP"] * (COMMANDS_MAX - 1), "FOO", "FOO")),
    Script("a line too long", [Send(b"EHLO " + b"x" * 3000 + b"\r\n", 1)]),
    Script("a line too long after others", [*say("EHLO client.test"), Send(b"x" * 4096, 1)]),
    Script("no command in time", [Pause(COMMAND_SECONDS - 1), Send(b"", 1)]),
    Script("half a command in time", [*say("EHLO client.test"), Send(b"NOO", 1)]),
]

# Failures of the tests behind the greeting.
_RUDE = [
    Script("MAIL behind EHLO", [Send(b"EHLO client.test\r\n" + _FROM.encode() + b"\r\n", 2),
                                *say(_TO, "QUIT")]),
    Script("half a command behind EHLO", [Send(b"EHLO client.test\r\nNO", 1), Send(b"OP\r\n", 1),
                                          *say(_FROM, _TO, "QUIT")]),
    Script("all at once", [Send(f"EHLO client.test\r\n{_FROM}\r\n{_TO}\r\nQUIT\r\n".encode(), 4)]),
    Script("all at once up to DATA", [Send(f"EHLO client.test\r\n{_FROM}\r\n{_TO}\r\nDATA\r\n"
                                           "Subject: x\r\n\r\nx\r\n.\r\nQUIT\r\n".encode(), 4)]),
    Script("behind NOOP", [Send(b"NOOP\r\nNOOP\r\n", 2),
                           *say("EHLO client.test", _FROM, _TO, "QUIT")]),
    Script("behind STARTTLS", [*say("EHLO client.test"),
                               Send(b"STARTTLS\r\n\x16\x03\x01\x00\x05hello", 1), Leave()]),
    Script("GET", [Send(b"GET / HTTP/1.0\r\n", 1), *say("EHLO client.test", _FROM, _TO, "QUIT")]),
    Script("POST with headers", [Send(b"POST / HTTP/1.1\r\nHost: gate.test\r\nUser-Agent: x\r\n\r\n"
                                      b"EHLO x\r\nQUIT\r\n", 6)]),
    Script("CONNECT in small letters", [Send(b"connect gate.test:25 HTTP/1.0\r\n", 1),
                                        *say("QUIT")]),
    Script("a header", [*say("EHLO client.test"), Send(b"Subject: cheap\r\n", 1),
                        *say(_FROM, _TO, "QUIT")]),
    Script("bytes of TLS", [Send(b"\x16\x03\x01\x00\xa5\x01\n", 1), *say("QUIT")]),
    Script("a digit", [*say("EHLO client.test"), Send(b"250 ok\r\n", 1), *say(_FROM, _TO, "QUIT")]),
    Script("a bare newline", [Send(b"EHLO client.test\n", 1), *say(_FROM, _TO, "QUIT")]),
    Script("bare newlines", [Send(b"EHLO client.test\n", 1), Send(_FROM.encode() + b"\n", 1),
                             Send(_TO.encode() + b"\n", 1), Send(b"QUIT\n", 1)]),
    Script("a bare newline in QUIT", [*say("EHLO client.test"), Send(b"QUIT\n", 1)]),
    Script("all three", [Send(b"GET / HTTP/1.0\nEHLO client.test\n", 2), *say(_FROM, _TO, "QUIT")]),
    Script("a newline that is one too many", [Send(b"EHLO client.test\r\n\n", 2),
                                              *say(_FROM, _TO, "QUIT")]),
    Script("a CR too many", [Send(b"EHLO client.test\r\r\n", 1), *say(_FROM, _TO, "QUIT")]),
]

# Clients that speak first.
_EARLY = [
    Script("EHLO too early", say(_FROM, _TO, "QUIT"), early=b"EHLO client.test\r\n"),
    Script("QUIT too early", early=b"QUIT\r\n"),
    Script("all too early", early=f"EHLO client.test\r\n{_FROM}\r\n{_TO}\r\nQUIT\r\n".encode(),
           early_replies=4),
    Script("all too early up to DATA",
           early=f"HELO client.test\r\n{_FROM}\r\n{_TO}\r\nDATA\r\n".encode(), early_replies=4),
    Script("GET too early", early=b"GET / HTTP/1.0\r\n\r\n", early_replies=2),
    Script("bytes of TLS too early", [Leave()], early=b"\x16\x03\x01\x00\xa5\x01\r\n"),
    Script("a bare newline too early", say(_FROM, _TO, "QUIT"), early=b"EHLO client.test\n"),
    Script("EHLO too early, closes", early=b"EHLO client.test\r\n", leave_early="fin"),
    Script("EHLO too early, half closed", [Leave("half")], early=b"EHLO client.test\r\n"),
]

# Not where the first half ends the connection: the second would meet a RST, with or without the
# reply before it.
_HALVES = [
    Script("half a command too early", [Pause(GREET_SECONDS + 0.5), Send(b"client.test\r\n", 1),
                                        *say(_FROM, _TO, "QUIT")], early=b"EHLO ", early_replies=0),
]


def _cases():
    everywhere = PROFILES
    yield from ((script, STRANGER, everywhere) for script in _PLAIN + _RUDE + _EARLY)
    yield from ((script, STRANGER, (ENFORCE, IGNORE)) for script in _HALVES)
    yield from ((script, STRANGER, (ENFORCE,)) for script in _LIMITS)
    yield from ((script, DENIED, (ENFORCE,)) for script in _AT_LENGTH)
    yield from ((script, LISTED, (ENFORCE,)) for script in _LIMITS + _RUDE + _EARLY)
    for who in (DENIED, PERMITTED, LISTED, HALF_LISTED, WELL_KNOWN):
        yield from ((script, who, everywhere) for script in _PLAIN[:4])
    for who in (DENIED, PERMITTED):
        yield from ((script, who, (ENFORCE, DROP)) for script in (_EARLY[0], _RUDE[0]))


def dialogues():
    """All of them, each with an address."""
    out = []
    for script, who, profiles in _cases():
        for profile in profiles:
            number = len(out)
            address = f"127.{who}.{number // 250}.{number % 250 + 1}"
            out.append(Dialogue(script, who, profile, address))
    return out
