"""Where the gate is meant to differ from postscreen, each with its reason.

A row rewrites what postscreen did into what the gate is to do. The test fails when the gate then
does something else, and when a row has changed nothing: then the difference is gone, or was never
tried. Owns no processes.
"""

import re
from dataclasses import dataclass, replace
from typing import Callable

from postscreen_dialogues import DENIED, LISTED
from postscreen_real import DROP, IGNORE
from postscreen_script import CLOSED

CONDUCT = re.compile("COMMAND PIPELINING|NON-SMTP COMMAND|BARE NEWLINE")
_COME_BACK = "450 4.3.2 Service currently unavailable"


@dataclass(frozen=True)
class Outcome:
    """Codes as the client heard them, and the lines of the log without what differs each time."""
    heard: tuple
    lines: tuple

    def without(self, pattern):
        return replace(self, lines=tuple(line for line in self.lines
                                         if not re.search(pattern, line)))

    def reworded(self, old, new):
        return replace(self, lines=tuple(line.replace(old, new) for line in self.lines))

    def hearing(self, old, new):
        return replace(self, heard=tuple(new if code == old else code for code in self.heard))

    def logs(self, pattern):
        return any(re.search(pattern, line) for line in self.lines)


@dataclass(frozen=True)
class Difference:
    """rewrite: (dialogue, outcome) -> outcome, the same one where it does not apply."""
    reason: str
    rewrite: Callable


def _hand_over(dialogue, outcome):
    if not outcome.logs(_COME_BACK):
        return outcome
    outcome = outcome.hearing("450", "250")
    if "554" in outcome.heard:  # to DATA, when no recipient was accepted
        sent = b"".join(getattr(step, "data", b"") for step in dialogue.script.steps)
        heard = outcome.heard[:outcome.heard.index("554")] + ("354",)
        outcome = replace(outcome, heard=heard + (("250",) if b"\r\n.\r\n" in sent else ()))
    return outcome.without(f"{_COME_BACK}|^DISCONNECT|^DATA without")


def _count_no_pass(dialogue, outcome):
    failed = dialogue.profile == IGNORE and outcome.logs(CONDUCT.pattern)
    return outcome.without("^PASS NEW") if failed else outcome


def _end_injection(dialogue, outcome):
    if dialogue.profile != IGNORE or not outcome.logs("COMMAND PIPELINING .* after STARTTLS"):
        return outcome
    return outcome.hearing("502", "521").without("^HANGUP")


# Lines with more than one fault; postscreen ends the session at the first.
_FAULTS = {
    "all three": ("NON-SMTP COMMAND from C after CONNECT: GET / HTTP/1.0",
                  r"COMMAND PIPELINING from C after GET: EHLO client.test\n"),
    "POST with headers": (r"COMMAND PIPELINING from C after POST: Host: gate.test\r\n"
                          r"User-Agent: x\r\n\r\nEHLO x\r\nQUIT\r\n",),
    "bytes of TLS": (r"NON-SMTP COMMAND from C after CONNECT: \026\003\001",),
}


def _tell_all_faults(dialogue, outcome):
    more = _FAULTS.get(dialogue.script.name, ())
    if dialogue.profile != DROP or not outcome.logs(CONDUCT.pattern):
        return outcome
    *lines, last = outcome.lines
    return replace(outcome, lines=(*lines, *more, last))


def _escape(_, outcome):
    return outcome.reworded("after CONNECT: ??? ", r"after CONNECT: \026\003\001")


def _judge_at_once(dialogue, outcome):
    """Denied and listed clients that talk early, or leave before the wait would have been over."""
    if not dialogue.judged_at_once:
        return outcome
    if outcome.logs("^PREGREET") and dialogue.profile != DROP:
        if dialogue.who == DENIED:
            outcome = outcome.reworded("550 5.5.1 Protocol error",
                                       "550 5.3.2 Service currently unavailable")
        if not dialogue.script.leave_early:
            outcome = replace(outcome, heard=("220", *outcome.heard))
        return outcome.without("^PREGREET")
    if not outcome.logs("before SMTP handshake"):
        return outcome
    outcome = outcome.reworded("before SMTP", "after SMTP")
    if dialogue.who == LISTED:
        first, *others = outcome.lines
        outcome = replace(outcome, lines=(first, "DNSBL rank 2 for C", *others))
    return outcome.without("^HANGUP") if dialogue.profile == DROP else outcome


DIFFERENCES = (
    Difference("nobody who behaves is told to come back: the session goes on with the server",
               _hand_over),
    Difference("a failure that is ignored is still no pass: the test is made again next time",
               _count_no_pass),
    Difference("what came behind STARTTLS never reaches a server, even if pipelining is ignored",
               _end_injection),
    Difference("a line that ends the session is told of with all its faults", _tell_all_faults),
    Difference("another protocol's words are escaped, as are all others, not masked", _escape),
    Difference("who is known to be refused is not kept waiting, so nothing it sends is too early",
               _judge_at_once),
)


def expected(dialogue, outcome):
    """What the gate is to do, and the differences that say so."""
    used = []
    for difference in DIFFERENCES:
        changed = difference.rewrite(dialogue, outcome)
        if changed != outcome:
            used.append(difference)
        outcome = changed
    return outcome, used


def outcome_of(heard, lines):
    """Addresses, ports and times differ from one connection to the next."""
    def plain(line):
        line = re.sub(r" to \[[\d.]+\]:\d+$", "", line)
        line = re.sub(r"\[[\d.]+\]:\d+", "C", line)
        return re.sub(r"(?<= after )[\d.]+(?= from C)", "T", line)
    return Outcome(tuple(heard), tuple(map(plain, lines)))


def describe(dialogue, real, wanted, got):
    """A failure in words."""
    def told(outcome):
        return "".join(f"\n      {line}" for line in (" ".join(outcome.heard), *outcome.lines))
    return (f"{dialogue.name}\n    postscreen:{told(real)}\n    the gate is to do:{told(wanted)}"
            f"\n    it does:{told(got)}")


def is_whole(outcome):
    """Whether anything was heard or logged at all."""
    return bool(outcome.lines) and outcome.heard != (CLOSED,)
