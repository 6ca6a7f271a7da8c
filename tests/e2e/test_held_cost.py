"""What a held client costs in user memory, at 15,000 held."""

import unittest

from clients import Crowd
from gate import Gate, greet, limits, no_dialogue, pool, route
from scratch import SANITIZED, free_port, note, resident_bytes, scaled, wait_until

SLOT_BYTES = 64


class HeldCost(unittest.TestCase):
    def test_fifteen_thousand(self):
        """15,000 held: at most 64 bytes of user memory each, and nothing left when they go"""
        if SANITIZED:
            self.skipTest("a sanitizer's shadow memory grows with what is touched")
        count = scaled(15_000, least=1000)
        body = (greet(wait="20s", early_look="0s") + no_dialogue() + limits(per_address=0)
                + pool("none", f"tcp:127.0.0.1:{free_port()}") + route("none"))
        with Gate(body, top="shards = 1") as gate:
            pid = gate.shard_pids()[0]
            with Crowd(gate.target, 20, block=50):
                wait_until(lambda: gate.held() == 20, 10, "the first are held")
                empty = resident_bytes(pid)
                with Crowd(gate.target, count, block=51) as crowd:
                    wait_until(lambda: gate.held() == count + 20, 60, f"{count} are held")
                    full = resident_bytes(pid)
                    self.assertEqual(count, crowd.count_states()["open"])
                    self.assertEqual(count + 20, gate.total()["phases"]["silent_wait"])
            gate.wait_empty(30)  # nothing is armed, so leaving is seen at the end of the wait
            note(f"shard memory {empty / 1024:.0f} kB with 20 held, {full / 1024:.0f} kB with "
                 f"{count} more: {(full - empty) / count:.1f} bytes each on top of the table "
                 f"reserved at start ({SLOT_BYTES} bytes a slot)")
            self.assertLessEqual(full - empty, count * SLOT_BYTES)
            self.assertLess(resident_bytes(pid), empty * 1.02 + 256 * 1024)
