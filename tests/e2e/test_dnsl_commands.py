"""`lists`, `why`, `check --online` and bad input about DNS lists, as an operator meets them."""

import contextlib
import json
import os
import unittest

from callers import call
from dns_lists import Rbldnsd, Zone
from fault_dns import FaultServer, FaultZone
from gate import Gate, greet, limits, run_command, table
from scratch import ScratchDir, free_port, wait_until
from score_pools import ScorePools, score_in

BAD, CLEAN = "127.95.0.1", "127.95.0.2"
ROUTES = '[[pool]]\nname = "out"\nbackends = ["tcp:127.0.0.1:9"]\n[[route]]\npool = "out"\n'
CONFIG = 78


class DnsListCommands(unittest.TestCase):
    def setUp(self):
        self.scratch = ScratchDir("commands")
        self.addCleanup(self.scratch.remove)

    def _config(self, server, sites, **dnsl):
        return self.scratch.file("lychgate.toml", (
            f'[[listen]]\naddress = "127.0.0.1:{free_port()}"\n[control]\nsocket = ""\n'
            + table("dns", servers=[f"127.0.0.1:{server.port}"], timeout="1s")
            + table("dnsl", sites=sites, **dnsl) + ROUTES))

    def test_lists(self):
        """lists: state, why, since, queries, listed, errors, latency and budget of each"""
        drop_in = ('[[list]]\nzone = "small.test"\ndaily_budget = 10\n'
                   'codes = [{code = "127.0.0.2", is = "listed", weight = 1}]\n')
        with FaultServer(FaultZone("small.test"), FaultZone("up.test", {BAD: "127.0.0.2"}),
                         FaultZone("lies.test", everything="127.0.0.2")) as server, \
                ScorePools(-1, 4) as pools, Gate(
                    greet(wait="1s", early_look="0s") + limits(per_address=0)
                    + table("dns", servers=[f"127.0.0.1:{server.port}"])
                    + table("dnsl", sites=["small.test", "up.test=127.0.0.2*2",
                                           "lies.test=127.0.0.2*2"], threshold=50)
                    + pools.body(), files={"catalogue.d/small.toml": drop_in}) as gate:
            gate.wait_list("up.test", "up")
            gate.wait_list("lies.test", "disabled")
            for source in (BAD, CLEAN):
                self.assertEqual(2 if source == BAD else 0,
                                 score_in(call(gate.target, [source], 5)[source]))
            lists = gate.lists()
            for key in ("state", "why", "since", "queries", "listed", "errors", "p50_ms", "p99_ms",
                        "queries_today", "daily_budget"):
                self.assertIn(key, lists["up.test"])
            self.assertEqual(10, lists["small.test"]["daily_budget"])
            self.assertGreaterEqual(lists["up.test"]["queries"], 4)
            text = run_command("lists", "--socket", gate.control)
            self.assertEqual(0, text.returncode)
            for words in ("up.test", "lies.test", "disabled", "lists an address that no list may"):
                self.assertIn(words, text.stdout)

    @contextlib.contextmanager
    def _use_up(self, **dnsl):
        drop_in = ('[[list]]\nzone = "small.test"\ndaily_budget = 60\ntest_points = "none"\n'
                   'codes = [{code = "127.0.0.2", is = "listed", weight = 1}]\n')
        with FaultServer(FaultZone("small.test")) as server, ScorePools(-1, 4) as pools, Gate(
                greet(wait="1s", early_look="0s") + limits(per_address=0)
                + table("dns", servers=[f"127.0.0.1:{server.port}"])
                + table("dnsl", sites=["small.test"], **dnsl) + pools.body(),
                files={"catalogue.d/small.toml": drop_in}) as gate:
            for block, count in enumerate((35, 15, 40)):
                call(gate.target, [f"127.96.{block}.{index + 1}" for index in range(count)], 10)
            yield gate, server["small.test"]

    def test_budget_stops(self):
        """a budget that stops: warned at 50 and 80 percent, asked no more at 100"""
        with self._use_up(stop_over_budget=True) as (gate, zone):
            said = gate.wait_list("small.test", "disabled")
            self.assertIn("queries of the day", said["why"])
            for part in (50, 80):
                self.assertEqual(1, len(gate.log_lines("small.test", f"{part} %")), gate.log())
            asked = zone.total()
            call(gate.target, ["127.96.9.9"], 10)
            self.assertEqual(asked, zone.total())

    def test_budget_warns(self):
        """by default a budget that is used up is only warned of: a cache may have answered"""
        with self._use_up() as (gate, zone):
            wait_until(lambda: gate.log_lines("small.test", "100 %"), 10, "the last warning")
            for part in (50, 80, 100):
                self.assertEqual(1, len(gate.log_lines("small.test", f"{part} %")), gate.log())
            asked = zone.total()
            call(gate.target, ["127.96.9.9"], 10)
            self.assertEqual(asked + 1, zone.total())

    def test_why(self):
        """why: every list's answer, meaning and weight, and the verdict, looked up now"""
        with Rbldnsd([Zone("a.test", {BAD: "127.0.0.2"}), Zone("b.test", {BAD: "127.0.0.9"}),
                      Zone("zen.spamhaus.org", {BAD: "127.0.0.4", "::1": "127.0.0.10"})]) as lists:
            config = self._config(lists, ["a.test=127.0.0.2*3", "b.test=127.0.0.2*3",
                                          "zen.spamhaus.org"], threshold=11)
            said = run_command("why", BAD, "--config", config)
            self.assertEqual(0, said.returncode, said.stderr)
            for words in ("a.test", "127.0.0.2", "b.test", "127.0.0.9", "neutral",
                          "zen.spamhaus.org", "XBL", "11", "550"):
                self.assertIn(words, said.stdout)
            said = run_command("why", CLEAN, "--config", config)
            self.assertIn("not listed", said.stdout)
            said = run_command("why", "::1", "--config", config)
            self.assertIn("PBL", said.stdout)
            said = run_command("why", "not-an-address", "--config", config)
            self.assertIn(said.returncode, (64, 65), said.stderr)

    def test_check_online(self):
        """check --online: 0 when all lists hold their test points, else what is wrong in words"""
        zones = [FaultZone("a.test"), FaultZone("b.test")]
        with FaultServer(*zones) as server:
            config = self._config(server, ["a.test=127.0.0.2", "b.test=127.0.0.2"])
            said = run_command("check", "--online", "--config", config)
            self.assertEqual(0, said.returncode, said.stdout + said.stderr)
            for manners, words in (({"everything": "127.0.0.2"}, "no list may list"),
                                   ({"everything": "127.255.255.254"}, "error code"),
                                   ({"test_points": False}, "does not list its test point"),
                                   ({"rcode": 5}, "REFUSED"), ({"drop": 100}, "does not answer")):
                with self.subTest(words):
                    zones[1].behave(**{"everything": None, "test_points": True, "rcode": None,
                                       "drop": 0, **manners})
                    said = run_command("check", "--online", "--config", config)
                    self.assertNotEqual(0, said.returncode)
                    self.assertIn("b.test", said.stdout + said.stderr)
                    self.assertIn(words, said.stdout + said.stderr)

    def _refused(self, config, words):
        for command in ("check", "run"):
            said = run_command(command, "--config", config)
            self.assertEqual(CONFIG, said.returncode, said.stdout + said.stderr)
            for word in words:
                self.assertIn(word, said.stdout + said.stderr)

    def test_bad_sites(self):
        """bad grammar: start is refused, the message names the site, the column and the rule"""
        with FaultServer() as server:
            for site, words in (
                    ("a.test=127.0.0.[2..*3", ["column"]),
                    ("a.test=127.0.0.256", ["column", "255"]),
                    ("a.test=127.0.0", ["column"]), ("a.test=127.0.0.[9..2]", ["column"]),
                    ("a.test*300", ["column", "255"]), ("a..test", ["column"]),
                    ("a.test=127.0.0.2*", ["column"]), ("=127.0.0.2", ["column"])):
                with self.subTest(site):
                    self._refused(self._config(server, [site]), [site, *words])

    def test_lists_never_asked(self):
        """a dead list, a list of domains, a key in the configuration: refused by name"""
        with FaultServer() as server:
            for site, words in (("dnsbl.sorbs.net", ["dnsbl.sorbs.net", "June 2024"]),
                                ("dbl.spamhaus.org", ["dbl.spamhaus.org", "domain"]),
                                ("$nokey.zen.dq.spamhaus.net", ["nokey"])):
                with self.subTest(site):
                    self._refused(self._config(server, [site]), words)
            key = "abcdefghijklmnopqrstuvwxyz"
            config = self._config(server, [f"{key}.zen.dq.spamhaus.net"])
            for command in ("check", "run"):
                said = run_command(command, "--config", config)
                self.assertEqual(CONFIG, said.returncode)
                self.assertNotIn(key, said.stdout + said.stderr)

    def test_bad_catalogue(self):
        """a bad drop-in of the catalogue refuses the start, naming file, line and rule"""
        with FaultServer() as server:
            config = self._config(server, ["a.test=127.0.0.2"])
            os.mkdir(os.path.join(self.scratch.path, "catalogue.d"))
            path = self.scratch.file("catalogue.d/own.toml", (
                '[[list]]\nzone = "a.test"\ncodes = [\n'
                '  {code = "127.0.0.2", is = "lised", weight = 1},\n'
                '  {code = "127.255.255.1", is = "listed", weight = 1},\n]\n'))
            self._refused(config, [f"{path}:4:", "lised", f"{path}:5:", "127.255.255.0/24"])

    def test_max_score_without_lists(self):
        """a route by max_score works, and needs lists to score"""
        with FaultServer() as server:
            config = self._config(server, ["a.test=127.0.0.2"])
            with open(config, encoding="utf-8") as f:
                text = f.read() + "when = { max_score = -2 }\n"
            said = run_command("check", "--config", self.scratch.file("with.toml", text))
            self.assertEqual(0, said.returncode, said.stdout + said.stderr)
            shown = run_command("show", "--json", "--config", config)
            if shown.returncode == 0:
                self.assertIn("a.test", json.dumps(shown.stdout))
