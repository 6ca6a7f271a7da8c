"""Reloads and upgrades without pause under a flood and mail, some with processes killed: nobody is
refused, no message lost, nothing grows, and every count agrees. LYCHGATE_LONG=1: a thousand."""

import os
import random
import re
import subprocess
import threading
import time
import unittest
import urllib.request

import control
import mail
import shared
from gate import Gate, greet, limits, no_dialogue, pool, route
from scratch import SANITIZED, free_port, kill_quietly, note, resident_bytes, wait_until
from zombies import Zombies

LONG = os.environ.get("LYCHGATE_LONG", "0") == "1"
RATE = 500 if SANITIZED else 5000
WAIT = 1


class Mail(threading.Thread):
    """smtp-source without pause, lots of `size` messages, until end(); counts them."""

    def __init__(self, target, box, size=40):
        super().__init__()
        self.sent = 0
        self.error = None
        self._arguments = (target, box, size, 5_000, 8)
        self._ended = threading.Event()
        self.start()

    def run(self):
        try:
            while not self._ended.is_set():
                mail.smtp_source(*self._arguments)
                self.sent += self._arguments[2]
        except (AssertionError, subprocess.SubprocessError) as error:
            self.error = error

    def end(self):
        self._ended.set()
        self.join(120)
        if self.error is not None:
            raise self.error
        return self.sent


def descriptors(gate):
    """Of the supervisor, the steward and the shards, sorted by name."""
    out = {}
    for pid in gate.processes():
        with open(f"/proc/{pid}/comm", encoding="utf-8") as f:
            name = f.read().strip()
        out[name] = len(os.listdir(f"/proc/{pid}/fd"))
    return out


class ReloadFlood(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.postfix = shared.the_postfix()

    def _gate(self):
        body = (greet(wait=f"{WAIT}s", early_look="0s") + no_dialogue() + limits(per_address=0)
                + pool("passed", f"pass:{self.postfix.friendly}")
                + pool("spliced", f"tcp:127.0.0.1:{self.postfix.proxied_port}",
                       proxy_protocol="v2")
                + route("passed", 'allowlisted = true, max_score = -1')
                + route("spliced", "allowlisted = true"))
        self.metrics = free_port()
        body += f'[metrics]\naddress = "127.0.0.1:{self.metrics}"\n'
        return Gate(body, top='shards = 2\ndrain = "10s"', access="127.0.0.1 permit\n")

    def _settle(self, gate):
        """Waits until one generation is left, with its steward, and returns its descriptors."""
        wait_until(lambda: not gate.status()["generation"]["retiring_pids"], 30,
                   "the generation before has gone")
        wait_until(lambda: len(gate.processes()) == 4, 30, "two shards and their two keepers")
        return descriptors(gate)

    def _storm(self, gate, box, change, count):
        """`count` changes under flood and mail. Returns (flood's report, messages, seconds)."""
        with Zombies.at_rate(gate.target, RATE, WAIT + 1) as zombies:
            messages = Mail(gate.target, box)
            try:
                time.sleep(WAIT + 1)
                begin = time.monotonic()
                for index in range(count):
                    change(index)
                seconds = time.monotonic() - begin
            finally:
                sent = messages.end()
            return zombies.end(), sent, seconds

    def _compare(self, gate, report, sent):
        """What flood, status, metrics and log say agrees to the last connection."""
        wait_until(lambda: gate.held() == 0, 30, "all have been let go")
        counters = gate.total()["counters"]
        self.assertEqual(({}, 0), (report["connect_errors"], report["endings"]["reset"]),
                         "no connection is refused or reset")
        self.assertEqual(report["connected"] + sent, counters["accepted"])
        unlogged = counters["accepted"] - gate.log().count("]: CONNECT from")
        self.assertGreaterEqual(unlogged, 0)
        self.assertLessEqual(unlogged, counters["log_lost"], "lines of any kind")
        self.assertEqual((0, 0), (counters["carry_lost"], counters["accept_failed"]))
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics}/metrics", timeout=30) as page:
            told = re.search(r"(?m)^lychgate_accepted_total (\S+)$", page.read().decode())
        self.assertEqual(counters["accepted"], float(told.group(1)))
        return counters

    def test_reloads(self):
        """reloads under 5,000 connects a second and mail: nobody refused, no message lost, no
        descriptor or memory more, and flood, status, metrics and log agree"""
        count = 1000 if LONG else 30
        with self._gate() as gate:
            def change(_index):
                result = control.command(gate, "reload", timeout=60)
                self.assertEqual(0, result.returncode, result.stderr)
            for index in range(3):
                change(index)
            before, memory = self._settle(gate), resident_bytes(gate.pid)
            report, sent, seconds = self._storm(gate, "box17", change, count)
            altered = mail.altered(self.postfix.wait_delivered("box17", sent))
            status = self._compare(gate, report, sent)
            wait_until(lambda: before == self._settle(gate), 10, "no descriptor is left over")
            grown = resident_bytes(gate.pid) - memory
        self.postfix.clear("box17")
        note(f"{count} reloads in {seconds:.1f} s, {report['connected']:,} zombies at "
             f"{report['rate_achieved']:.0f}/s, {sent} messages; {status['carried']:,} clients "
             f"carried; supervisor grew by {grown / 1024:.0f} kB")
        self.assertEqual([], altered)
        if not SANITIZED:
            self.assertLess(grown, 1 << 20)

    def test_upgrades(self):
        """the same for upgrades"""
        with self._gate() as gate:
            def change(_index):
                result = control.command(gate, "upgrade", timeout=60)
                self.assertEqual(0, result.returncode, result.stderr)
                time.sleep(0.2)
            for index in range(3):
                change(index)
            before = self._settle(gate)
            report, sent, seconds = self._storm(gate, "box18", change, 20)
            self.postfix.wait_delivered("box18", sent)
            status = self._compare(gate, report, sent)
            wait_until(lambda: before == self._settle(gate), 10, "no descriptor is left over")
        self.postfix.clear("box18")
        note(f"20 upgrades in {seconds:.1f} s, {report['connected']:,} zombies at "
             f"{report['rate_achieved']:.0f}/s, {sent} messages; {status['carried']:,} clients "
             f"carried")

    def test_with_kills(self):
        """the same with shards and steward killed at random: only a killed shard's clients are
        lost, and every reload that is said to be done is done"""
        draw = random.Random(20261121)
        with self._gate() as gate:
            lost = [0]

            def change(index):
                victims = gate.status()
                pids = [shard["pid"] for shard in victims["shards"]]
                if index % 3 == 0:
                    victim = draw.randrange(2)
                    lost[0] += victims["shards"][victim]["held"]
                    kill_quietly(pids[victim])
                elif index % 3 == 1:
                    keepers = [pid for pid in gate.processes() if pid not in pids + [gate.pid]]
                    for pid in keepers[:1]:
                        kill_quietly(pid)
                time.sleep(draw.random() * 0.2)
                wait_until(lambda: control.command(gate, "reload", timeout=60).returncode == 0, 20,
                           "a reload succeeds")

            with Zombies.at_rate(gate.target, RATE, WAIT + 1) as zombies:
                time.sleep(WAIT + 1)
                for index in range(100 if LONG else 12):
                    change(index)
                wait_until(lambda: 0 not in gate.shard_pids(), 10, "all shards live")
                report = zombies.end()
            gate.wait_empty(30)
            mail.smtp_source(gate.target, "box19", 20, 5_000, 4)
            self.postfix.wait_delivered("box19", 20)
        self.postfix.clear("box19")
        endings = report["endings"]
        cut = endings["reset"] + endings["closed"]
        note(f"{report['connected']:,} zombies, {cut:,} cut by kills of shards that held "
             f"{lost[0]:,}")
        self.assertEqual({}, report["connect_errors"], "no connection is refused")
        # Who came between the look and the kill is lost, too.
        self.assertLess(cut, lost[0] * 2 + RATE)
