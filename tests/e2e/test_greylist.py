"""The action `defer`: who fails a test is told 450, and is let on when its network comes back
later, from another address of it or the same; who tries again too soon does not prolong it."""

import os
import time
import unittest

from clients import Client, Sink
from dialogue import body
from gate import Gate, table
from scratch import ScratchDir, wait_until

DELAY_S = 4
DEFER = ('[dialogue]\nbare_newline.action = "defer"\n'
         f'[greylist]\ndelay = "{DELAY_S}s"\n')


class Greylist(unittest.TestCase):
    def setUp(self):
        self.scratch = ScratchDir("greylist")
        self.addCleanup(self.scratch.remove)
        self.sink = Sink()
        self.addCleanup(self.sink.stop)

    def _gate(self):
        store = table("store", file=os.path.join(self.scratch.path, "clients.mdb"))
        gate = Gate(body(f"tcp:127.0.0.1:{self.sink.port}", dialogue=DEFER) + store)
        self.addCleanup(gate.stop)
        return gate

    def _say(self, gate, source):
        """What a client that ends a line with LF alone hears to its RCPT."""
        told = gate.counter("visits_told")
        with Client(gate.target, source) as client:
            client.reply()
            client.send("EHLO client.test\n")
            client.reply()
            client.command("MAIL FROM:<sender@client.test>")
            reply = client.command("RCPT TO:<box@gate.test>")
            client.command("QUIT")
        wait_until(lambda: gate.counter("visits_told") > told, 5, "the visit was told")
        time.sleep(0.5)  # and written
        return reply

    def test_comes_back(self):
        """450, 450 again too soon; after the delay of the first its network is let on, and only it"""
        gate = self._gate()
        self.assertRegex(self._say(gate, "127.140.1.1"), r"\A450 4\.\d\.\d ")
        began = time.monotonic()
        time.sleep(DELAY_S / 4)
        self.assertRegex(self._say(gate, "127.140.1.2"), r"\A450 ")
        self.assertLess(time.monotonic() - began, DELAY_S - 1, "too slow to show anything")
        time.sleep(DELAY_S + 1 - (time.monotonic() - began))
        self.assertRegex(self._say(gate, "127.140.1.3"), r"\A250 ")
        self.assertRegex(self._say(gate, "127.140.1.1"), r"\A250 ")
        self.assertRegex(self._say(gate, "127.140.2.1"), r"\A450 ")
        self.assertEqual((3, 2), (gate.counter("deferred"), gate.counter("greylist_pass")))

    def test_without_store(self):
        """without a store nobody is let on, and nobody is refused for good"""
        gate = Gate(body(f"tcp:127.0.0.1:{self.sink.port}", dialogue=DEFER))
        self.addCleanup(gate.stop)
        with Client(gate.target, "127.140.3.1") as client:
            client.reply()
            client.send("EHLO client.test\n")
            client.reply()
            client.command("MAIL FROM:<sender@client.test>")
            self.assertRegex(client.command("RCPT TO:<box@gate.test>"), r"\A450 ")
