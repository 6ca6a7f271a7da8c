"""The gate beside the real postscreen of Postfix: the same dialogues with both at once, by the same
DNS lists and the same access list. What clients hear and what is logged is the same, or the
difference is listed with its reason (postscreen_differences.py).
"""

import threading
import time
import unittest

from dns_lists import Rbldnsd, Zone
from postscreen_dialogues import ACCESS, LISTED_IN, dialogues
from postscreen_differences import DIFFERENCES, describe, expected, is_whole, outcome_of
from postscreen_gates import Gates
from postscreen_real import GREET_SECONDS, Postscreen
from postscreen_script import Player
from scratch import note, wait_until

DIALOGUES_LEAST = 120
WRONG_TOLD = 20


class _Round:
    """All dialogues with one side. speak() returns at once, outcomes() when all is over."""

    def __init__(self, table, targets, said_of, by_gate):
        self._table = table
        self._said_of = said_of
        self._players = [Player(one.script, targets(one.profile), one.address,
                                one.greeted(by_gate)) for one in table]
        self._threads = [threading.Thread(target=player.play, args=(GREET_SECONDS / 2,))
                         for player in self._players]

    def speak(self):
        for thread in self._threads:
            thread.start()

    def wait(self):
        for thread in self._threads:
            thread.join()

    def lines(self):
        return [self._said_of(one.profile, one.address) for one in self._table]

    def outcomes(self):
        return [outcome_of(player.heard, lines)
                for player, lines in zip(self._players, self.lines(), strict=True)]


class PostscreenAlike(unittest.TestCase):
    def _open(self):
        self.doCleanups()
        zones = [Zone(zone, {one.address: "127.0.0.2" for one in dialogues() if one.who == who})
                 for zone, who in LISTED_IN.items()]
        self.lists = Rbldnsd(zones)
        self.addCleanup(self.lists.stop)
        self.postscreen = Postscreen(ACCESS, self.lists.server)
        self.addCleanup(self.postscreen.stop)
        self.gates = Gates(ACCESS, self.postscreen.friendly, self.lists.server)
        self.addCleanup(self.gates.stop)

    def _play(self, table):
        """Outcomes with postscreen, and with the gate; both begin without a memory."""
        self._open()
        ports = self.postscreen.ports
        real = _Round(table, lambda profile: ("127.0.0.1", ports[profile]),
                      self.postscreen.said_of, by_gate=False)
        ours = _Round(table, lambda profile: self.gates[profile].target, self.gates.said_of,
                      by_gate=True)
        for side in (real, ours):
            side.speak()
        for side in (real, ours):
            side.wait()
        self._wait_quiet(real, ours)
        return real.outcomes(), ours.outcomes()

    def _wait_quiet(self, *sides):
        """Until both logs say no more: the last sessions end when their clients have left."""
        def is_quiet():
            before = [side.lines() for side in sides]
            time.sleep(1)
            return before == [side.lines() for side in sides]
        wait_until(is_quiet, 15, "the logs say no more")

    def _judge(self, table, used):
        """{address: what is wrong there}; adds to `used` the reasons of differences that were met.
        """
        wrong = {}
        for dialogue, theirs, got in zip(table, *self._play(table), strict=True):
            wanted, reasons = expected(dialogue, theirs)
            if is_whole(theirs) and got == wanted:
                used.extend(difference.reason for difference in reasons)
            else:
                wrong[dialogue.address] = describe(dialogue, theirs, wanted, got)
        return wrong

    def test_alike(self):
        """replies and log lines are postscreen's in 300 dialogues, or else it is meant so"""
        table = dialogues()
        self.assertGreaterEqual(len(table), DIALOGUES_LEAST)
        used = []
        wrong = self._judge(table, used)
        if wrong:
            # Where the machine is busy postscreen's lists answer too late for its wait: what is
            # wrong must be so once more, with fewer at once.
            note(f"{len(wrong)} dialogues are held again")
            wrong = self._judge([one for one in table if one.address in wrong], used)
        note(f"{len(table)} dialogues: {len(table) - len(used)} alike to the word, "
             f"{len(used)} with one of {len(DIFFERENCES)} listed differences")
        if wrong:
            self.fail(f"{len(wrong)} dialogues:\n" + "\n".join(list(wrong.values())[:WRONG_TOLD]))
        unseen = [one.reason for one in DIFFERENCES if one.reason not in used]
        self.assertEqual([], unseen, "listed differences that no longer occur")


if __name__ == "__main__":
    unittest.main()
