"""A customer's key in the name of a zone is asked for and never shown: not in the log, a reply, the
answer of a command or a core dump."""

import os
import re
import resource
import signal
import unittest

from callers import TO_RCPT, Callers, call
from fault_dns import FaultServer, FaultZone
from gate import Gate, greet, limits, run_command, table
from scratch import SANITIZED, loopback, note, wait_until
from score_pools import ScorePools, score_in

# Letters only, so that any case the wire may give it is found too; nowhere else in any process.
KEY = "qzkxvwjhpbtsecretlabel"
BAD = "127.90.0.1"
SITES = ["$feed.keyed.test=127.0.0.2*3", "$feed.zen.dq.spamhaus.net", "open.test=127.0.0.2*2"]
WAIT = 2
COMMANDS = [["check"], ["check", "--online"], ["show"], ["why", BAD]]


class DnsListSecrets(unittest.TestCase):
    def setUp(self):
        self.zones = [FaultZone(name, {BAD: "127.0.0.2"}, reason="see ?$")
                      for name in (f"{KEY}.keyed.test", f"{KEY}.zen.dq.spamhaus.net", "open.test")]
        self.server = FaultServer(*self.zones)
        self.addCleanup(self.server.stop)
        self.pools = ScorePools(-1, 12)
        self.addCleanup(self.pools.stop)

    def _gate(self, source="file", key=f"{KEY}\n", sites=None, **options):
        """source: where the key comes from, "file" or "credential"; without one if `sites` of the
        test need none."""
        options.setdefault("files", {})["secrets/feed"] = key
        directory = {}
        if source == "credential":
            secret, directory["CREDENTIALS_DIRECTORY"] = 'credential = "feed"', "secrets"
        else:
            secret = 'file = "secrets/feed"'
        dnsl = {"threshold": 100, "allow_threshold": 0, **options.pop("dnsl", {})}
        body = (greet(wait=f"{WAIT}s", early_look="0s") + limits(per_address=0)
                + ("" if sites else f'[[secret]]\nname = "feed"\n{secret}\n')
                + table("dns", servers=[f"127.0.0.1:{self.server.port}"], timeout="1s")
                + table("dnsl", sites=sites or SITES, **dnsl) + self.pools.body())
        return _InItsDirectory(body, environment=directory, **options)

    def _nowhere(self, text, where):
        found = re.search(KEY[:8], text, re.I)
        self.assertIsNone(found, f"the key is in {where}: "
                                 f"{text[max(0, found.start() - 80):found.end() + 40]}"
                          if found else None)

    def _look_everywhere(self, gate):
        self._nowhere(gate.log(), "the log")
        self._nowhere(gate.stderr(), "stderr")
        for command in (["status"], ["status", "--json"], ["lists"], ["lists", "--json"]):
            said = run_command(*command, "--socket", gate.control)
            self.assertEqual(0, said.returncode, said.stderr)
            self._nowhere(said.stdout + said.stderr, command)
        for command in COMMANDS:
            said = run_command(*command, "--config", gate.config, env=gate.variables)
            self.assertIn(said.returncode, (0, 69), f"{command}: {said.stderr}")
            self.assertTrue(said.stdout + said.stderr, command)
            self._nowhere(said.stdout + said.stderr, command)
        self.assertIn("$feed.keyed.test", gate.lists())

    def test_file_and_credential(self):
        """the key from a file and from a credential is used, and no command shows it"""
        for source in ("file", "credential"):
            with self.subTest(source), self._gate(source) as gate:
                for zone in self.zones:
                    zone.names.clear()
                heard = call(gate.target, [BAD], WAIT + 5)[BAD]
                self.assertEqual(3 + 6 + 2, score_in(heard))
                for zone in self.zones:
                    self.assertEqual(1, sum(count for (label, kind), count in zone.names.items()
                                            if label == "1.0.90.127" and kind == 1), zone.name)
                self._nowhere(heard.text, "the greeting")
                self._look_everywhere(gate)

    def test_refused(self):
        """a refused client reads the list's name without the key, or its reply_name"""
        drop_in = ('[[list]]\nzone = "keyed.test"\nkeyed = true\nreply_name = "our.feed.test"\n'
                   'codes = [{code = "127.0.0.2", is = "listed", weight = 3}]\n')
        for files, name in (({}, "keyed.test"), ({"catalogue.d/own.toml": drop_in},
                                                 "our.feed.test")):
            with self.subTest(name):
                self.zones[1].listed = {}
                with self._gate(files=dict(files), dnsl={"threshold": 3, "reason": True}) as gate:
                    heard = call(gate.target, [BAD], WAIT + 5, commands=TO_RCPT)[BAD]
                    self.assertTrue(heard.text.endswith(
                        f"550 5.7.1 Service unavailable; client [{BAD}] blocked using {name}; "
                        f"see ?{BAD}\r\n"), heard.text)
                    self._nowhere(heard.text, "the reply")
                    wait_until(lambda: gate.log_lines("reject: RCPT", f"using {name}; from="), 5,
                               "the log has the reply")
                    self._look_everywhere(gate)

    def test_troubles(self):
        """log lines about a list that fails, lies or returns, and its TXT reason, hold no key"""
        with self._gate(dnsl={"probe_interval": "1s", "threshold": 3, "reason": True}) as gate:
            gate.wait_list("$feed.keyed.test", "up")
            # A list may even say the key itself, in its reason; then there is none.
            self.zones[0].reason = self.zones[1].reason = f"see ?$.{KEY.upper()}.keyed.test"
            heard = call(gate.target, [BAD], WAIT + 5, commands=TO_RCPT)[BAD].text
            self.assertIn("blocked using", heard)
            self._nowhere(heard, "the reply to a listed client")
            self._look_everywhere(gate)
            for manners in ({"everything": "127.0.0.2"}, {"everything": "127.255.255.255"}):
                for zone in self.zones:
                    zone.behave(**manners)
                gate.wait_list("$feed.keyed.test", "disabled", 15)
                for zone in self.zones:
                    zone.everything = None
                gate.wait_list("$feed.keyed.test", "up", 30)
            self.server.silent = True
            gate.wait_list("$feed.keyed.test", "disabled", 30)
            self._nowhere(call(gate.target, [BAD], WAIT + 5)[BAD].text, "the greeting")
            self._look_everywhere(gate)

    def test_bad_keys(self):
        """a key that is no label, empty or missing is refused at start, and not shown"""
        for key, words in ((f"{KEY}.{KEY}\n", ["feed"]), ("\n", ["feed"]),
                           (f"{KEY} two\n", ["feed"]), (f"{KEY * 4}\n", ["feed"])):
            with self.subTest(key), self.assertRaises(AssertionError) as refused:
                self._gate(key=key).stop()
            said = str(refused.exception)
            for word in words:
                self.assertIn(word, said)
            self.assertIn("ended with 78", said)
            self._nowhere(said, "the refusal")

    def test_core_dump(self):
        """who knows a key leaves no core dump, root or not; without a key each process does"""
        if SANITIZED:
            self.skipTest("a sanitizer writes no core dump: its shadow memory is too large")
        with open("/proc/sys/kernel/core_pattern", encoding="ascii") as f:
            if f.read().strip() != "core":
                self.skipTest("kernel.core_pattern sends core dumps elsewhere")
        for user, key in (("", False), ("", True), ("nobody", True)):
            if user and os.geteuid() != 0:
                continue
            with self.subTest(user=user, key=key):
                self._abort_all(user, key)

    def _abort_all(self, user, key):
        for zone in self.zones:
            zone.delay = 0
        options = {"sites": ["open.test=127.0.0.2*2"]} if not key else {}
        top = "shards = 1" + (f'\nuser = "{user}"' if user else "")
        with self._gate(top=top, owner=user or None, before=_unlimited_cores, **options) as gate:
            for name in gate.lists():
                gate.wait_list(name, "up")
            for zone in self.zones:
                zone.delay = 0.8
            with Callers(gate.target, [loopback(index, 91) for index in range(500)]):
                wait_until(lambda: self.zones[2].waiting > 50, 5, "lookups are in flight")
                shards = gate.shard_pids()
                others = [pid for pid in gate.processes() if pid not in [*shards, gate.pid]]
                for pid in [*shards, *others, gate.pid]:
                    _abort(pid)
                    self.assertEqual(not key, bool(_cores(gate)), f"core of {pid}")
                    for core in _cores(gate):
                        os.unlink(core)
            note(f"{len(shards) + len(others) + 1} processes aborted: "
                 f"{'no core' if key else 'a core each'}")


def _unlimited_cores():
    resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2)


def _cores(gate):
    return [os.path.join(gate.dir, name) for name in os.listdir(gate.dir)
            if name == "core" or name.startswith("core.")]


def _abort(pid):
    """Returns when the process is no more: its core, if it leaves one, is whole then."""
    def gone():
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii") as f:
                return f.read().rpartition(")")[2].split()[0] == "Z"
        except (FileNotFoundError, ProcessLookupError):
            return True
    os.kill(pid, signal.SIGABRT)
    wait_until(gone, 20, f"process {pid} has ended")


class _InItsDirectory(Gate):
    """Paths in the tables may be relative to the gate's directory, which is not known before."""

    def _configuration(self, top, body, access, access_reject):
        text = super()._configuration(top, body, access, access_reject)
        path = os.path.join(self.dir, "secrets")
        self.variables = {**os.environ, **{name: path for name in self._environment}}
        self._environment = {name: path for name in self._environment}
        return text.replace('file = "secrets/', f'file = "{path}/')
