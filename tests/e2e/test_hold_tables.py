"""More clients than the descriptor limit allows in one table: held, delivered, released. The
zombies are those of lychgate-flood; LYCHGATE_LONG=1 holds a million of them."""

import os
import time
import unittest

import forbid
import mail
import shared
from gate import Gate, greet, limits, no_dialogue, pool, route
from scratch import SANITIZED, free_port, note, scaled, wait_until
from zombies import Zombies, same_wait

LONG = os.environ.get("LYCHGATE_LONG", "0") == "1"
SLOT_BYTES = 64
FIXED_BYTES = 64 << 20
LIMIT = 1024  # descriptors of a gate that must take further tables


def user_memory(pids):
    """Bytes of user memory of some processes, shared pages counted once."""
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
            total += sum(int(line.split()[1]) for line in f if line.startswith("Pss:")) * 1024
    return total


def cpu_seconds(pids):
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat", encoding="ascii") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def free_memory():
    with open("/proc/meminfo", encoding="ascii") as f:
        return {line.split(":")[0]: int(line.split()[1]) * 1024 for line in f}["MemAvailable"]


class HoldTables(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.postfix = shared.the_postfix()

    def _deliver(self, box, pool_text):
        """Messages of permitted clients among silent zombies, in a gate of few descriptors."""
        body = (greet(wait="9s", early_look="0s") + no_dialogue()
                + limits(per_address=0, per_shard=5000) + pool_text
                + route("out", "allowlisted = true"))
        held, messages = scaled(4000, least=1500), scaled(200, least=40)
        with Gate(body, access="127.0.0.1 permit\n", before=forbid.descriptors(LIMIT)) as gate:
            # They come first and fill the main table; their wait outlasts the mail.
            with Zombies.all_at_once(gate.target, held, 60):
                wait_until(lambda: gate.held() == held, 15, f"{held} are held")
                mail.smtp_source(gate.target, box, messages, 20_000, sessions=40)
                paths = self.postfix.wait_delivered(box, messages)
                self.assertGreaterEqual(gate.held(), held)
            counters = gate.wait_empty(40)["total"]["counters"]
        self.assertEqual(messages, len(paths))
        self.assertEqual([], mail.altered(paths))
        self.assertEqual(0, counters["accept_failed"])
        self.assertEqual((messages, 0), (counters["handed_off"], counters["move_failed"]))
        # Some may find a slot of the main table that has just become free.
        self.assertGreater(counters["moved"], messages / 2)
        self.assertEqual(held, counters["hangup"])

    def test_delivery_by_pass(self):
        """4,000 zombies and 200 messages in a gate of 1,024 descriptors: mail passes whole"""
        self._deliver("box15", pool("out", f"pass:{self.postfix.friendly}"))
        self.postfix.clear("box15")

    def test_delivery_by_splice(self):
        """the same by splice: a client of a table that holds is relayed from the main one"""
        self._deliver("box16", pool(
            "out", f"tcp:127.0.0.1:{self.postfix.proxied_port}", proxy_protocol="v2"))
        self.postfix.clear("box16")

    def _hold(self, count, seconds, wait, duration):
        """Holds `count`, looks at memory and CPU, sees all released. Returns the flood's result."""
        body = (greet(wait=wait, early_look="0s") + no_dialogue() + same_wait(wait)
                + limits(per_shard=count)
                + pool("none", f"tcp:127.0.0.1:{free_port()}") + route("none"))
        with Gate(body) as gate:
            pids = gate.processes()
            with Zombies.all_at_once(gate.target, count, seconds, duration) as zombies:
                wait_until(lambda: gate.held() == count, duration + 10, f"{count} are held", 0.5)
                self.assertEqual(count, gate.total()["phases"]["silent_wait"])
                memory = user_memory(pids)
                begin, cpu = time.monotonic(), cpu_seconds(pids)
                time.sleep(3)
                idle = (cpu_seconds(pids) - cpu) / (time.monotonic() - begin)
                self.assertEqual(count, gate.total()["phases"]["silent_wait"])
                result = zombies.result(seconds + duration)
            counters = gate.wait_empty(180)["total"]["counters"]
            after = user_memory(pids)
        note(f"{count:,} held: user memory {memory / 2**20:.1f} MiB of all processes, "
             f"{idle * 100:.2f} % of a core while idle; {after / 2**20:.1f} MiB afterwards")
        self.assertEqual((count, count), (result["connected"], result["open_most"]))
        self.assertEqual(count, counters["accepted"])
        self.assertEqual(count, counters["hangup"] + counters["pass_new"])
        self.assertEqual((0, 0), (counters["accept_failed"], counters["stale_completions"]))
        if not SANITIZED:
            self.assertLessEqual(memory, SLOT_BYTES * count + FIXED_BYTES)
            self.assertLess(idle, 0.01)
            self.assertLess(after, memory * 1.02 + (1 << 20))

    def test_hundred_thousand(self):
        """100,000 held by one shard whose limit is 20,000: memory and CPU as promised, all go"""
        if SANITIZED:
            self.skipTest("measures memory and CPU, which a sanitizer changes")
        if free_memory() < 1.5e9:
            self.skipTest("needs 1.5 GB of free memory for both ends")
        self._hold(scaled(100_000), 10, "12s", 60)

    def test_million(self):
        """a million held by one shard, idle, and all let go (LYCHGATE_LONG=1)"""
        if not LONG or SANITIZED:
            self.skipTest("takes some minutes: LYCHGATE_LONG=1")
        if free_memory() < 10e9:
            self.skipTest("needs 10 GB of free memory for both ends")
        self._hold(1_000_000, 60, "60s", 120)


if __name__ == "__main__":
    unittest.main()
