"""Ten million remembered clients: how soon a gate starts with them, and whether a client that it
knows hears its 220 later for them, or for the forgetting of old ones (LYCHGATE_LONG=1)."""

import os
import re
import subprocess
import time
import unittest
import urllib.request

from clients import Client, Sink
from gate import Gate, greet, limits, no_dialogue, pool, route, table
from scratch import BUILD, ScratchDir, free_port, note, wait_until

LONG = os.environ.get("LYCHGATE_LONG", "0") == "1"
TEST = os.path.join(BUILD, "tests", "core", "store", "core_store_test")
VISITS = 1000
ROUNDS = 5


class Remembering:
    """A gate with a store, a backend, and one client that it has come to know."""

    def __init__(self, store):
        self.sink = Sink()
        self.metrics = free_port()
        begin = time.monotonic()
        self.gate = Gate(
            greet(wait="1s") + no_dialogue() + limits(per_address=0)
            + pool("sink", f"tcp:127.0.0.1:{self.sink.port}", proxy_protocol="none")
            + route("sink") + table("store", file=store)
            + table("metrics", address=f"127.0.0.1:{self.metrics}"))
        self.started = time.monotonic() - begin
        with Client(self.gate.target) as client:
            client.reply()
        wait_until(lambda: self.time_to_greeting() < 0.5, 10, "the client is known")

    def time_to_greeting(self):
        with Client(self.gate.target) as client:
            client.line()
            return client.seconds()

    def visits(self):
        """Some seconds of them, so that the steward's chores are met as well."""
        times = []
        for _ in range(VISITS):
            times.append(self.time_to_greeting())
            time.sleep(0.003)
        return times

    def metric(self, name):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics}/metrics", timeout=30) as page:
            return float(re.search(rf"(?m)^{name} (\S+)$", page.read().decode()).group(1))

    def stop(self):
        self.gate.stop()
        self.sink.stop()


def milliseconds(times, share):
    return sorted(times)[int(len(times) * share)] * 1000


class KnownLarge(unittest.TestCase):
    def test_ten_million(self):
        """a gate that remembers ten million, and forgets: 220 comes as soon as from an empty one"""
        if not LONG:
            self.skipTest("takes some minutes: LYCHGATE_LONG=1")
        folder = ScratchDir("large")
        self.addCleanup(folder.remove)
        large, small = (os.path.join(folder.path, name) for name in ("large.mdb", "small.mdb"))
        subprocess.run([TEST, "--gtest_filter=Large.*"], check=True, timeout=600,
                       stdout=subprocess.DEVNULL,
                       env={**os.environ, "LYCHGATE_KEEP_STORE": large, "TMPDIR": folder.path})
        times = {}
        many, few = Remembering(large), Remembering(small)
        self.addCleanup(many.stop)
        self.addCleanup(few.stop)
        self.assertLess(many.started, few.started + 1)
        records = many.metric("lychgate_store_records")
        for _ in range(ROUNDS):
            for gate in (many, few):
                times.setdefault(gate, []).extend(gate.visits())
        forgotten = records - many.metric("lychgate_store_records")
        note(f"started in {many.started * 1000:.0f} ms with {records:,.0f} records, "
             f"{few.started * 1000:.0f} ms without; {forgotten:,.0f} forgotten meanwhile")
        for gate, name in ((many, "with them"), (few, "without")):
            note(f"{name}: 220 after {milliseconds(times[gate], 0.5):.2f} ms (p50), "
                 f"{milliseconds(times[gate], 0.99):.2f} ms (p99) of {len(times[gate]):,} visits")
        self.assertGreater(records, 9e6)
        self.assertGreater(forgotten, 10_000)
        self.assertLess(milliseconds(times[many], 0.99), 2 * milliseconds(times[few], 0.99) + 1)
