"""The action `hold`: failed clients hear a reply one byte at a time, the oldest are let go first
and hear its end. LYCHGATE_LONG=1 keeps 100,000 there for a minute and measures what they cost."""

import os
import re
import socket
import time
import unittest

import forbid
from clients import Client
from fault_dns import FaultServer, FaultZone
from gate import Gate, greet, limits, pool, route, table
from scratch import SANITIZED, free_port, loopback, note, wait_until
from test_hold_tables import FIXED_BYTES, SLOT_BYTES, cpu_seconds, free_memory, user_memory
from zombies import Zombies

LONG = os.environ.get("LYCHGATE_LONG", "0") == "1"
REJECTED = "127.140.0.0/16 reject\n"
LISTED = "127.141.0.1"
DESCRIPTORS = 20_000
CROWD = 100_000


def tarpit_gate(tarpit, more="", **options):
    """A gate that nobody leaves for a backend; who talks early or is rejected is held."""
    body = (greet(wait="1s", early_look="0s", banner="", pregreet="hold")
            + table("tarpit", **tarpit) + more
            + pool("none", f"tcp:127.0.0.1:{free_port()}", check_interval="0s") + route("none"))
    return Gate(body, access=REJECTED, access_reject="hold", **options)


def whole_reply(text, code):
    """Whether it is one reply: lines that go on, and one that does not."""
    return re.fullmatch(rf"(?:{code}-[^\r\n]*\r\n)*{code} [^\r\n]*\r\n", text) is not None


class Tarpit(unittest.TestCase):
    def _hears_bytes(self, client, start, interval):
        """Reads for a while; each byte must come alone and an interval after the one before."""
        heard, times = b"", []
        while len(heard) < 12:
            data = client.socket.recv(4096)
            self.assertEqual(1, len(data), f"{data} after {heard}")
            heard += data
            times.append(time.monotonic())
        self.assertTrue(start.startswith(heard.decode()), heard)
        gaps = [after - before for before, after in zip(times, times[1:])]
        # The average is exact; single bytes come up to some grains of the machine early or late.
        self.assertAlmostEqual(interval, sum(gaps) / len(gaps), delta=0.25 * interval)
        self.assertGreater(min(gaps), 0.3 * interval, gaps)

    def test_pregreet(self):
        """who speaks early hears the refusal one byte an interval"""
        with tarpit_gate({"interval": "200ms"}) as gate:
            with Client(gate.target) as client:
                client.send("EHLO early.test\r\n")
                self._hears_bytes(client, "550-5.5.1 Protocol error\r\n", 0.2)
                self.assertEqual(1, gate.total()["phases"]["tarpit"])
            counters = gate.wait_empty()["total"]["counters"]
            self.assertEqual((1, 1), (counters["pregreet"], counters["tarpitted"]))
            self.assertGreaterEqual(counters["tarpit_bytes"], 12)
            self.assertGreaterEqual(counters["tarpit_seconds"], 2)

    def test_access_list(self):
        """who is rejected by the access list is held at once"""
        with tarpit_gate({"interval": "200ms"}) as gate:
            with Client(gate.target, "127.140.0.1") as client:
                self._hears_bytes(client, "550-5.3.2 Service currently unavailable\r\n", 0.2)
            gate.wait_empty()
            self.assertEqual(1, gate.counter("denylisted"))
            self.assertEqual(1, gate.counter("tarpitted"))

    def test_lists(self):
        """who is listed is held once the lists have spoken"""
        server = FaultServer(FaultZone("bad.test", {LISTED: "127.0.0.2"}))
        self.addCleanup(server.stop)
        lists = (table("dns", servers=[f"127.0.0.1:{server.port}"])
                 + table("dnsl", sites=["bad.test=127.0.0.2*9"], action="hold"))
        with tarpit_gate({"interval": "200ms"}, lists) as gate:
            gate.wait_list("bad.test", "up")
            with Client(gate.target, LISTED) as client:
                self._hears_bytes(client, "550-5.7.1 Service unavailable; client blocked", 0.2)
            gate.wait_empty()
            self.assertEqual((1, 1), (gate.counter("dnsl_failed"), gate.counter("tarpitted")))

    def test_time(self):
        """after tarpit.time a client hears the rest of a whole reply and is closed"""
        with tarpit_gate({"interval": "100ms", "time": "2s"}) as gate:
            with Client(gate.target, "127.140.0.1") as client:
                text = client.rest()
                self.assertTrue(whole_reply(text, 550), text)
                self.assertAlmostEqual(2, client.seconds(), delta=1)
            # One that has talked all the while is not reset either.
            with Client(gate.target, "127.140.0.2") as client:
                client.send("EHLO x\r\nMAIL FROM:<>\r\n" * 10)
                text = client.rest()
                self.assertTrue(whole_reply(text, 550), text)
            gate.wait_empty()
            self.assertEqual((2, 0), (gate.counter("tarpitted"), gate.counter("tarpit_pressed")))
            self.assertEqual(2, len(gate.log_lines("DISCONNECT [127.140.0.")), gate.log())

    def test_oldest_makes_room(self):
        """in a full tarpit the oldest is let go for each who comes, and hears a whole reply"""
        room, comers = 6, 4
        with tarpit_gate({"interval": "100ms", "clients": room}) as gate:
            clients = []
            for index in range(room + comers):
                clients.append(Client(gate.target, loopback(index, 140)))
                self.addCleanup(clients[-1].hang_up)
                wait_until(lambda: gate.counter("tarpitted") == len(clients), 5, "is held")
                time.sleep(0.2)
            for client in clients[:comers]:
                text = client.rest()
                self.assertTrue(whole_reply(text, 550), text)
            for client in clients[comers:]:
                client.socket.setblocking(False)
                self.assertRegex(client.socket.recv(4096), rb"\A5")
                with self.assertRaises(BlockingIOError, msg="still open"):
                    client.socket.recv(4096)
            status = gate.total()
            self.assertEqual(comers, status["counters"]["tarpit_pressed"])
            self.assertEqual(room, status["phases"]["tarpit"])
            closed = [line.split("[")[-1].split("]")[0] for line in gate.log_lines("DISCONNECT")]
            self.assertEqual([loopback(index, 140) for index in range(comers)], closed)

    def test_windows_are_small(self):
        """a held client that goes on talking has to wait: its window is full"""
        with tarpit_gate({"interval": "1s"}) as gate:
            with Client(gate.target, "127.140.0.1") as client:
                wait_until(lambda: gate.total()["phases"]["tarpit"] == 1, 5, "is held")
                client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
                client.socket.setblocking(False)
                sent = 0
                with self.assertRaises(BlockingIOError):
                    while sent < 1 << 22:
                        sent += client.socket.send(b"x" * 4096)
                        time.sleep(0.001)
                self.assertLess(sent, 256 << 10)

    def test_hang_ups(self):
        """who leaves the tarpit by itself, in any way, is forgotten at the next byte"""
        with tarpit_gate({"interval": "100ms"}) as gate:
            clients = [Client(gate.target, loopback(index, 140)) for index in range(20)]
            wait_until(lambda: gate.total()["phases"]["tarpit"] == 20, 5, "all are held")
            for client in clients[::2]:
                client.hang_up()
            for client in clients[1::2]:
                client.reset()
            counters = gate.wait_empty()["total"]["counters"]
            self.assertEqual((20, 20), (counters["tarpitted"], counters["hangup"]))
            self.assertEqual(0, counters["stale_completions"])

    def test_stop(self):
        """a gate that stops lets everybody go with a whole reply"""
        with tarpit_gate({"interval": "100ms"}) as gate:
            clients = [Client(gate.target, loopback(index, 140)) for index in range(50)]
            wait_until(lambda: gate.total()["phases"]["tarpit"] == 50, 5, "all are held")
            time.sleep(0.5)
            self.assertEqual(0, gate.stop())
            for client in clients:
                text = client.rest()
                client.hang_up()
                self.assertTrue(whole_reply(text, 550), text)

    def test_hundred_thousand(self):
        """100,000 in the tarpit for 60 s: CPU and memory as promised, pressure lets the oldest go
        (LYCHGATE_LONG=1)"""
        if not LONG or SANITIZED:
            self.skipTest("takes some minutes: LYCHGATE_LONG=1")
        if free_memory() < 2e9:
            self.skipTest("needs 2 GB of free memory for both ends")
        more = limits(per_address=0, per_shard=CROWD + 5000)
        body = (greet(wait="1s", early_look="0s", banner="") + table("tarpit", clients=CROWD) + more
                + pool("none", f"tcp:127.0.0.1:{free_port()}", check_interval="0s")
                + route("none"))
        with Gate(body, access="127.0.0.0/8 reject\n", access_reject="hold",
                  before=forbid.descriptors(DESCRIPTORS)) as gate:
            pids = gate.processes()
            with Zombies.all_at_once(gate.target, CROWD, 240, 90):
                wait_until(lambda: gate.total()["phases"]["tarpit"] == CROWD, 120,
                           f"{CROWD} are held", 0.5)
                # The first round begins an interval after the first client.
                wait_until(lambda: gate.counter("tarpit_bytes") > CROWD / 20, 60, "all are told")
                memory = user_memory(pids)
                bytes_before = gate.counter("tarpit_bytes")
                begin, cpu = time.monotonic(), cpu_seconds(pids)
                time.sleep(60)
                seconds = time.monotonic() - begin
                share = (cpu_seconds(pids) - cpu) / seconds
                told = gate.counter("tarpit_bytes") - bytes_before
                note(f"{CROWD:,} in the tarpit for {seconds:.0f} s: {share * 100:.2f} % of a core, "
                     f"{told:,} bytes told; user memory {memory / 2**20:.1f} MiB of all processes")
                self._press(gate, 1000)
            gate.wait_empty(300)
        self.assertGreater(told, 1.9 * CROWD)
        self.assertLess(share, 0.05)
        self.assertLessEqual(memory, SLOT_BYTES * CROWD + FIXED_BYTES)

    def _press(self, gate, count):
        """As many as come, the first that have come are let go."""
        mark = len(gate.log_lines("DISCONNECT"))
        arrived = [line.split("from ")[1].split(" to ")[0] for line in
                   gate.log_lines("CONNECT from")][:count]
        with Zombies.all_at_once(gate.target, count, 30):
            wait_until(lambda: gate.counter("tarpit_pressed") == count, 30, "the oldest are let go")
            self.assertEqual(CROWD, gate.total()["phases"]["tarpit"])
            wait_until(lambda: len(gate.log_lines("DISCONNECT")) >= mark + count, 30, "and told so")
            gone = [line.split("DISCONNECT ")[1] for line in
                    gate.log_lines("DISCONNECT")[mark:mark + count]]
        self.assertEqual(set(arrived), set(gone))


if __name__ == "__main__":
    unittest.main()
