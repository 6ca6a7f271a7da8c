"""Half the DNS servers of a gate gone, in every way: the others bring every answer in time."""

import unittest

from callers import call
from dns_message import SERVFAIL
from fault_dns import FaultServer, FaultZone
from gate import Gate, greet, limits, table
from scratch import SANITIZED, loopback, note, scaled
from score_pools import ScorePools, score_in

WAIT = 2.0
LATE = 3.0 if SANITIZED else 0.7
BAD = "127.80.0.1"
SITES = ["good.test=127.0.0.2*2", "bad.test=127.0.0.[2..9]*3"]


class DnsListServers(unittest.TestCase):
    def _gate(self, pools, servers):
        return Gate(greet(wait=f"{int(WAIT)}s", early_look="0s") + limits(per_address=0)
                    + table("dns", servers=[f"127.0.0.1:{server.port}" for server in servers])
                    + table("dnsl", sites=SITES, threshold=100, allow_threshold=0)
                    + pools.body(), top="shards = 1")

    def test_half_the_servers(self):
        """half the servers gone, silent or refusing: every client has its whole score in time"""
        for how in ("silent", "closed", "SERVFAIL", "truncating without TCP"):
            with self.subTest(how):
                ill = [FaultServer(FaultZone("good.test"), FaultZone("bad.test"))
                       for _ in range(2)]
                well = [FaultServer(FaultZone("good.test", {BAD: "127.0.0.2"}),
                                    FaultZone("bad.test", {BAD: "127.0.0.3"})) for _ in range(2)]
                for server in ill + well:
                    self.addCleanup(server.stop)
                for server in ill:
                    server.silent = how == "silent"
                    for zone in server.zones.values():
                        zone.rcode = SERVFAIL if how == "SERVFAIL" else None
                        zone.truncate = how.startswith("truncating")
                        zone.tcp = "reset"
                    if how == "closed":
                        server.stop()
                count = scaled(300, least=50)
                sources = [loopback(index, 82) for index in range(count)]
                for server in well:
                    for zone in server.zones.values():
                        zone.listed = {source: "127.0.0.2" for source in sources[::2]}
                with ScorePools(-1, 6) as pools, self._gate(
                        pools, [ill[0], well[0], ill[1], well[1]]) as gate:
                    for name in ("good.test", "bad.test"):
                        gate.wait_list(name, "up")
                    heard = call(gate.target, sources, WAIT + 5)
                    wrong = [one for index, source in enumerate(sources)
                             if score_in(one := heard[source]) != (0 if index % 2 else 5)]
                    self.assertEqual([], wrong[:5], f"{len(wrong)} of {count}")
                    self.assertLess(max(one.seconds for one in heard.values()), WAIT + LATE)
                    note(f"{how}: {gate.counter('dns_asked')} questions, "
                         f"{gate.counter('dns_sent')} packets, "
                         f"{gate.counter('dns_timed_out')} timed out")
