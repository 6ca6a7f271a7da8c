"""Everything that a backend can answer when it is to go on where the gate has stopped: with another
backend beside it the client notices nothing, without one it hears 421; nothing hangs or is left."""

import concurrent.futures
import random
import re
import unittest

import scripted
from clients import Client
from dialogue import open_files, said_of, wait_checked, wait_nothing_left
from gate import Gate, greet, limits, pool, route
from scripted import ScriptedBackend, ScriptedPass

TIMES = {"connect_timeout": "1s", "greeting_timeout": "1500ms", "wait": "500ms"}
CLIENTS = 3
CLOSED_WITHIN = 15

FAULTS = {
    "nothing": scripted.silent,
    "close": scripted.close,
    "reset": scripted.reset,
    "half a line, then close": scripted.both("25", scripted.close),
    "421": "421 4.3.2 busy\r\n",
    "554": "554 5.3.2 no service here\r\n",
    "garbage": random.Random(5).randbytes(3000),
    "words": "good morning\r\n",
    "no such code": "999 what\r\n",
    "endless multi-line reply": scripted.endless(b"250-more\r\n"),
    "endless line": scripted.endless(b"250 " + b"x" * 4096),
    "a byte a second": scripted.slowly("250 ok\r\n", 1.0),
    "two replies": "250 ok\r\n250 injected\r\n",
}
# At EHLO, after the health check has seen more.
LESS = {
    "a capability less": "250-scripted.test\r\n250-PIPELINING\r\n250 8BITMIME\r\n",
    "no capability": "250 scripted.test\r\n",
    "no EHLO": "502 5.5.2 what?\r\n",
    "a smaller SIZE": "250-scripted.test\r\n250-SIZE 1000\r\n250-ENHANCEDSTATUSCODES\r\n"
                      "250 8BITMIME\r\n",
}
# Right answers that a client may hear from any backend at MAIL.
PASSED_ON = {("MAIL", "554")}
SLOW = {"BANNER": scripted.slowly("220 scripted.test ESMTP\r\n"),
        "EHLO": scripted.slowly("250-scripted.test\r\n" + "".join(
            f"250-{word}\r\n" for word in scripted.CAPABILITIES) + "250 HELP\r\n"),
        "MAIL": scripted.slowly("250 2.1.0 Ok\r\n")}


class _Case:
    """One faulty backend, in a pool of its own and in another with a good one beside it."""

    def __init__(self, index, reaction, backend):
        self.index = index
        self.reaction = reaction
        self.faulty = backend()
        self.good = backend()

    def configuration(self):
        alone, beside = f"alone{self.index}", f"beside{self.index}"
        settings = {"proxy_protocol": "none", **TIMES}
        return (pool(alone, self.faulty.address, **settings)
                + pool(beside, self.faulty.address, self.good.address, **settings)
                + route(alone, f'networks = ["127.141.{self.index}.0/24"]')
                + route(beside, f'networks = ["127.142.{self.index}.0/24"]'))

    def stop(self):
        self.faulty.stop()
        self.good.stop()


def _split(configuration):
    """Tables in the order the gate wants them: pools, then routes."""
    tables = re.split(r"(?m)^(?=\[\[)", configuration)
    return "".join(sorted(tables, key=lambda text: text.startswith("[[route]]")))


class ReplayFaults(unittest.TestCase):
    """Over TCP."""

    backend = ScriptedBackend

    def _session(self, gate, source):
        """(reply to MAIL, what follows it until the end)"""
        with Client(gate.target, source, timeout=CLOSED_WITHIN) as client:
            client.reply()
            client.command("EHLO client.test")
            reply = client.command("MAIL FROM:<a@client.test>")
            if not reply.startswith("250"):
                return reply, client.rest() if reply.startswith("421") else ""
            return reply, client.command("RCPT TO:<b@gate.test>") + client.command("QUIT")

    def _clients(self, gate, network):
        with concurrent.futures.ThreadPoolExecutor(CLIENTS) as executor:
            return list(executor.map(lambda n: self._session(gate, f"{network}.{n + 1}"),
                                     range(CLIENTS)))

    def _run(self, step, faults):
        """{name: (what clients of the backend alone heard, what those with another one heard)}"""
        cases = {name: _Case(index, fault, self.backend)
                 for index, (name, fault) in enumerate(faults.items())}
        for case in cases.values():
            self.addCleanup(case.stop)
        configuration = _split("".join(case.configuration() for case in cases.values()))
        with Gate(greet(wait="0s") + limits(per_address=0) + configuration) as gate:
            wait_checked(gate, checks=3 * len(cases))
            before, pids = open_files(gate), gate.shard_pids()
            for case in cases.values():
                case.checked = case.faulty.connections
                case.faulty.answers = {step: case.reaction}
            with concurrent.futures.ThreadPoolExecutor(2 * len(cases)) as executor:
                heard = {name: [executor.submit(self._clients, gate, f"127.{block}.{case.index}")
                                for block in (141, 142)] for name, case in cases.items()}
                heard = {name: tuple(one.result() for one in two) for name, two in heard.items()}
            wait_nothing_left(gate, 30)
            self.assertEqual(before, open_files(gate))
            self.assertEqual(pids, gate.shard_pids())
            for name, case in cases.items():
                with self.subTest(f"{name} at {step}: log"):
                    self.assertGreater(case.faulty.connections, case.checked)
                    for block, group in zip((141, 142), heard[name]):
                        for number, (reply, _) in enumerate(group):
                            source = f"127.{block}.{case.index}.{number + 1}"
                            self._expect_one_outcome(gate, source, served=reply[:3] != "421")
        return heard

    def _expect_one_outcome(self, gate, source, served):
        """As in postscreen, who was let on and found no server has a line more."""
        wanted = ["CONNECT from", "PASS NEW"]
        if not served:
            wanted += ["NOQUEUE: reject: CONNECT from", "DISCONNECT"]
        said = [line.partition(" [")[0] for line in said_of(gate, source, until=wanted[-1])]
        self.assertEqual(wanted, said)

    def _expect_faults(self, step, faults):
        for name, (alone, beside) in self._run(step, faults).items():
            with self.subTest(f"{name} at {step}"):
                if (step, name) in PASSED_ON:
                    self.assertEqual({faults[name]}, {reply for reply, _ in alone})
                    self.assertLessEqual({reply[:3] for reply, _ in beside}, {"250", "554"})
                    continue
                for reply, rest in alone:
                    self.assertRegex(reply, r"\A421 ")
                    self.assertEqual("", rest)
                for reply, rest in beside:
                    self.assertRegex(reply, r"\A250 ")
                    self.assertRegex(rest, r"\A250 [^\n]*\n221 [^\n]*\n\Z")

    def test_banner(self):
        """instead of a banner: another backend, else 421"""
        self._expect_faults("BANNER", FAULTS)

    def test_hello(self):
        """in answer to EHLO: another backend, else 421"""
        self._expect_faults("EHLO", FAULTS)

    def test_less(self):
        """less than was announced to the client: another backend, else 421"""
        self._expect_faults("EHLO", LESS)

    def test_last_command(self):
        """in answer to the client's own command: a refusal is sent on; else another, else 421"""
        self._expect_faults("MAIL", FAULTS)

    def test_slow(self):
        """a backend that is right, but slow: the client waits and is served"""
        for step, reaction in SLOW.items():
            alone, _ = self._run(step, {"slow": reaction})["slow"]
            self.assertEqual({"250"}, {reply[:3] for reply, _ in alone}, step)


class ReplayFaultsOfPass(ReplayFaults):
    """Through a `pass` service, which gets one end of a socketpair."""

    backend = ScriptedPass

    def test_take(self):
        """instead of taking the descriptor: another backend, else 421"""
        self._expect_faults("TAKE", {"closed": "close", "not looked at": "ignore"})
