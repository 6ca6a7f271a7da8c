"""The kernel's waiting room (greet.hold = "kernel") on the real kernel: who comes out of it when,
what it costs, what the lists have said by then, and what of it nobody ever sees."""

import ctypes
import os
import time
import unittest

from callers import call
from clients import Client, Crowd, Sink
from dns_lists import Rbldnsd, Zone
from fault_dns import FaultServer, FaultZone
from gate import Gate, greet, limits, no_dialogue, pool, route, table
from scratch import SANITIZED, free_port, loopback, note, scaled, wait_until

LATE = 3.0 if SANITIZED else 0.8
LISTED = "127.70.9.1"
_PR_CAPBSET_DROP = 24
_CAP_SYS_ADMIN, _CAP_BPF = 21, 39
BYTES_PER_CLIENT = 400


def without_bpf():
    """preexec_fn: what is executed next may load no BPF program, root or not."""
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in (_CAP_SYS_ADMIN, _CAP_BPF):
        if libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "PR_CAPBSET_DROP")


def extra_door(port, backlog=4096):
    return f'[[listen]]\naddress = "127.0.0.1:{port}"\nbacklog = {backlog}\n'


def slab(name):
    """(objects, bytes of their slabs) of one cache of the kernel."""
    with open("/proc/slabinfo", encoding="ascii") as f:
        for line in f:
            words = line.split()
            if words[0] == name:
                pages = int(words[-2]) * int(words[5])
                return int(words[1]), pages * os.sysconf("SC_PAGE_SIZE")
    raise unittest.SkipTest(f"/proc/slabinfo does not tell {name} apart")


class KernelHold(unittest.TestCase):
    def setUp(self):
        self.sink = Sink()
        self.addCleanup(self.sink.stop)

    def _gate(self, wait, extra="", **settings):
        return Gate(greet(hold="kernel", wait=wait, pregreet="drop") + no_dialogue()
                    + limits(per_address=0)
                    + pool("p", f"tcp:127.0.0.1:{self.sink.port}", proxy_protocol="none",
                           connections=30_000, check_interval="0s")
                    + route("p") + extra, **settings)

    def _expect_counters(self, gate, **wanted):
        def reached():
            counters = gate.total()["counters"]
            return all(counters[name] == value for name, value in wanted.items())
        wait_until(reached, 5, f"{wanted}: {gate.total()['counters']}")

    def test_talker(self):
        """who speaks is dropped with 521 at once, long before the wait is over"""
        with self._gate("15s") as gate:
            with Client(gate.target) as client:
                time.sleep(0.3)
                self.assertEqual(0, gate.counter("accepted"))
                client.send("EHLO early.test\r\n")
                self.assertEqual("521 5.5.1 Protocol error\r\n", client.rest())
                self.assertLess(client.seconds(), 0.3 + LATE)
            self._expect_counters(gate, pregreet=1, dropped=1, kernel_held=0)

    def test_silent(self):
        """who is silent meets the backend after the wait in the kernel's steps, without a teaser"""
        for wait, kept in (("1s", 1), ("2s", 3), ("5s", 7)):
            with self.subTest(wait), self._gate(wait) as gate, Client(gate.target) as client:
                self.assertTrue(gate.log_lines("the kernel keeps silent clients", f"{kept}s"))
                self.assertEqual("220 sink ESMTP\r\n", client.line())
                self.assertGreaterEqual(client.seconds(), kept - 0.05)
                self.assertLess(client.seconds(), kept + LATE)
                self.assertEqual("250 ok\r\n", client.command("EHLO x"))
                self._expect_counters(gate, accepted=1, pass_new=1, kernel_held=1, pregreet=0)

    def test_leavers(self):
        """a FIN comes out at once as a hang-up; of a reset the gate never hears"""
        with self._gate("3s") as gate:
            Client(gate.target).hang_up()
            self._expect_counters(gate, accepted=1, hangup=1)
            before = gate.total()["counters"]
            kernel = gate.status()["tcp_defer_accept_drop"]
            clients = [Client(gate.target) for _ in range(5)]
            time.sleep(0.2)
            for client in clients:
                client.reset()
            time.sleep(4)
            self.assertEqual(before, gate.total()["counters"])
            self.assertEqual(kernel + 5, gate.status()["tcp_defer_accept_drop"])

    def test_backlog(self):
        """past the backlog clients come at once by SYN cookies: none is lost"""
        port = free_port()
        with self._gate("3s", extra_door(port, backlog=8)) as gate:
            count = 14
            heard = call(("127.0.0.1", port), [loopback(i, 71) for i in range(count)], 20)
            times = sorted(one.seconds for one in heard.values() if one.seconds is not None)
            self.assertEqual(["220 sink ESMTP\r\n"] * count, [one.text for one in heard.values()])
            at_once = [seconds for seconds in times if seconds < 1.5]
            note(f"backlog 8: of {count} clients {len(at_once)} came at once, "
                 f"{count - len(at_once)} after {times[-1]:.1f} s")
            self.assertTrue(0 < len(at_once) < count)
            self._expect_counters(gate, accepted=count, pass_new=count, kernel_held=count)

    def test_repeated_handshake(self):
        """each silent client's bare ACK is dropped once, its answer to the repeated SYN-ACK makes
        one connection"""
        count = 200
        with self._gate("1s") as gate:
            heard = call(gate.target, [loopback(i, 72) for i in range(count)], 20)
            self.assertEqual({"220 sink ESMTP\r\n"}, {one.text for one in heard.values()})
            self.assertGreaterEqual(min(one.seconds for one in heard.values()), 0.95)
            self.assertEqual(count, gate.status()["tcp_defer_accept_drop"])
            self._expect_counters(gate, accepted=count, kernel_held=count)
            self.assertEqual(count, self.sink.connections)

    def test_restart(self):
        """clients in the waiting room outlive a killed shard"""
        with self._gate("3s") as gate, Client(gate.target) as client:
            os.kill(gate.shard_pids()[0], 9)
            self.assertEqual("220 sink ESMTP\r\n", client.line())
            self._expect_counters(gate, restarts=1, kernel_held=1)

    def _lists(self, server):
        return (table("dns", servers=[f"127.0.0.1:{server.port}"], timeout="2s")
                + table("dnsl", sites=["bl.test=127.0.0.2*8"], threshold=8,
                        action="drop"))

    def test_lists(self):
        """with the SYN feed the lists have spoken when their client comes out"""
        count = 150
        listed = {loopback(i, 73): "127.0.0.2" for i in range(0, count, 3)}
        with Rbldnsd([Zone("bl.test", listed)]) as server, \
                self._gate("1s", self._lists(server), top="shards = 2") as gate:
            gate.wait_list("bl.test", "up")
            heard = call(gate.target, [loopback(i, 73) for i in range(count)], 20)
            for source, one in heard.items():
                self.assertTrue(one.text.startswith("521" if source in listed else "220"), one)
            counters = gate.total()["counters"]
            self.assertEqual((count, 0), (counters["syn_prefetched"], counters["dnsl_partial"]))
            self.assertEqual(count, counters["dnsl_cached"] + counters["dnsl_joined"])
            # A question lost on a busy machine is asked again after 0.4 s.
            self.assertGreaterEqual(counters["dnsl_cached"], count * 0.9)
            self.assertEqual([], gate.log_lines("without the SYN feed"))
            note(f"verdicts after {max(one.seconds for one in heard.values()):.2f} s at most")

    def _slow_verdict(self, before=None):
        """Seconds to a refusal whose list takes 0.7 s; the kernel keeps the client for 1 s."""
        zone = FaultZone("bl.test", {LISTED: "127.0.0.2"})
        with FaultServer(zone) as server, \
                self._gate("1s", self._lists(server), before=before) as gate:
            gate.wait_list("bl.test", "up")
            zone.delay = 0.7
            heard = call(gate.target, [LISTED], 20)[LISTED]
            self.assertTrue(heard.text.startswith("521 5.7.1"), heard)
            self._expect_counters(gate, dnsl_failed=1, dnsl_partial=0,
                                  syn_prefetched=0 if before else 1)
            return heard.seconds, gate.log_lines("warning", "without the SYN feed", "CAP_BPF")

    def test_slow_list(self):
        """a list that is slower than nothing delays no verdict with the feed"""
        seconds, warnings = self._slow_verdict()
        self.assertEqual([], warnings)
        self.assertTrue(0.95 <= seconds < 1.5, seconds)

    def test_without_bpf(self):
        """without CAP_BPF one line says so, and lists are asked after the accept"""
        seconds, warnings = self._slow_verdict(before=without_bpf)
        self.assertEqual(1, len(warnings))
        self.assertTrue(1.65 <= seconds < 1.75 + LATE, seconds)

    def test_memory(self):
        """20,000 silent clients: at most 400 bytes of the kernel each, nothing in the gate"""
        count = scaled(20_000, least=2000)
        ports = [free_port() for _ in range(6)]  # net.core.somaxconn (4096) bounds each
        with self._gate("31s", "".join(map(extra_door, ports))) as gate:
            pid = gate.shard_pids()[0]
            descriptors = len(os.listdir(f"/proc/{pid}/fd"))
            before = slab("request_sock_TCP")
            crowds = []
            try:
                for index, port in enumerate(ports):
                    crowds.append(Crowd(("127.0.0.1", port), count // len(ports), 74 + index))
                held = sum(crowd.count for crowd in crowds)
                more, grown = (now - then for now, then in zip(slab("request_sock_TCP"), before))
                self.assertEqual(0, gate.counter("accepted"))
                self.assertEqual(descriptors, len(os.listdir(f"/proc/{pid}/fd")))
                self.assertEqual(held, gate.status()["tcp_defer_accept_drop"])
            finally:
                for crowd in crowds:
                    crowd.leave()
            note(f"{held} held: {more} more request sockets, {grown / held:.0f} bytes each")
            self.assertGreaterEqual(more, held * 0.95)  # some had been free before
            self.assertLessEqual(grown, held * BYTES_PER_CLIENT)
            gate.wait_empty(30)


if __name__ == "__main__":
    unittest.main()
