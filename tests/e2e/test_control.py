"""Every command that asks the running gate, with real clients behind it; and a control socket that
garbage, crowds and strangers do not trouble."""

import fcntl
import json
import os
import pty
import pwd
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import termios
import time
import unittest

import control
from clients import Client, Crowd, Sink
from gate import Gate, greet, limits, no_dialogue, pool, route, run_command, table
from scratch import (LYCHGATE, SANITIZED, die_with_parent, kill_quietly, loopback,
                     marked_environment, note, wait_until)


def waiting_gate(wait="60s", top="shards = 2", **more):
    return Gate(greet(wait=wait) + limits(per_address=0), top=top, **more)


def relaying_gate(*sinks, top="shards = 2", **settings):
    targets = [f"tcp:127.0.0.1:{sink.port}" for sink in sinks]
    return Gate(greet(wait="0s") + no_dialogue() + limits(per_address=0)
                + pool("mail", *targets, proxy_protocol="none", **settings) + route("mail"),
                top=top)


def sessions(gate, *words):
    result = control.command(gate, "sessions", "--json", *words)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def backends(gate):
    result = control.command(gate, "pools", "--json")
    return json.loads(result.stdout)["pools"][0]["backends"]


class Sessions(unittest.TestCase):
    def test_list_and_filter(self):
        """sessions lists who is held, by state, network, age and id, over all shards"""
        with waiting_gate() as gate, Crowd(gate.target, 300) as crowd:
            wait_until(lambda: gate.held() == crowd.count, 20, "all are held")
            everybody = sessions(gate)
            self.assertEqual((300, 300, 0), tuple(everybody[k] for k in ("matched", "shown",
                                                                         "killed")))
            self.assertEqual({0, 1}, {one["shard"] for one in everybody["sessions"]})
            self.assertEqual(300, len({one["id"] for one in everybody["sessions"]}))
            self.assertEqual({"door"}, {one["listener"] for one in everybody["sessions"]})
            self.assertEqual(300, sessions(gate, "--state", "silent_wait")["matched"])
            self.assertEqual(0, sessions(gate, "--state", "relay")["matched"])
            one = everybody["sessions"][7]
            self.assertEqual([one["id"]], [s["id"] for s in
                                           sessions(gate, "--address", one["address"])["sessions"]])
            self.assertEqual(one["address"],
                             sessions(gate, "--id", one["id"])["sessions"][0]["address"])
            self.assertEqual(250, sessions(gate, "--address", "127.1.0.0/24")["matched"])
            self.assertEqual(0, sessions(gate, "--age", "1h")["matched"])
            few = sessions(gate, "--limit", "5")
            self.assertEqual((300, 5), (few["matched"], len(few["sessions"])))
            text = control.command(gate, "sessions", "--limit", "2").stdout
            self.assertIn("300 sessions match, 2 shown", text)

    def test_kill(self):
        """sessions --kill ends those that match and nobody else; a stale id ends nobody"""
        with waiting_gate() as gate, Crowd(gate.target, 300) as crowd:
            wait_until(lambda: gate.held() == crowd.count, 20, "all are held")
            one = sessions(gate)["sessions"][0]
            told = sessions(gate, "--id", one["id"], "--kill")
            self.assertEqual((1, 1), (told["matched"], told["killed"]))
            wait_until(lambda: gate.held() == 299, 5, "one has gone")
            self.assertEqual(0, sessions(gate, "--id", one["id"], "--kill")["matched"])
            told = sessions(gate, "--address", "127.1.1.0/24", "--kill")
            self.assertEqual(told["matched"], told["killed"])
            self.assertIn(told["killed"], (49, 50))
            wait_until(lambda: gate.held() == 299 - told["killed"], 5, "a network has gone")
            wait_until(lambda: crowd.count_states()["closed"] == 1 + told["killed"], 5, "they know")
            self.assertEqual(1 + told["killed"], gate.counter("killed"))
            self.assertEqual(299 - told["killed"], sessions(gate, "--kill", "--limit",
                                                            "0")["killed"])
            gate.wait_empty()

    def test_kill_relays(self):
        """a relayed session and one that waits for a backend are ended like any other"""
        with Sink() as sink, \
                relaying_gate(sink, connections=1, wait="60s", top="shards = 1") as gate, \
                Client(gate.target) as relayed:
            self.assertEqual("220 sink ESMTP\r\n", relayed.reply())
            with Client(gate.target) as queued:
                wait_until(lambda: gate.total()["phases"]["queued"] == 1, 5, "one waits")
                states = {one["state"]: one for one in sessions(gate)["sessions"]}
                self.assertEqual({"relay", "queued"}, set(states))
                self.assertEqual(f"tcp:127.0.0.1:{sink.port}", states["relay"]["backend"])
                self.assertEqual(2, sessions(gate, "--kill")["killed"])
                self.assertEqual("", relayed.rest())
                queued.rest()
            gate.wait_empty()


class Pools(unittest.TestCase):
    def test_drain_and_up(self):
        """a drained backend gets nobody new and keeps whom it has; up, it is used again"""
        with Sink() as first, Sink() as second, relaying_gate(first, second) as gate:
            talking = [Client(gate.target, loopback(i)) for i in range(6)]
            for client in talking:
                self.assertEqual("220 sink ESMTP\r\n", client.reply())
            wait_until(lambda: sum(b["open"] for b in backends(gate)) == 6, 5, "all are relayed")
            result = control.command(gate, "pools", "drain", "mail", "0")
            self.assertEqual(0, result.returncode, result.stderr)
            self.assertIn(f"backend tcp:127.0.0.1:{first.port} is set to drain", result.stdout)
            before = backends(gate)
            self.assertEqual(["drain", "up"], [b["state"] for b in before])
            more = [Client(gate.target, loopback(i)) for i in range(10, 18)]
            for client in more:
                self.assertEqual("220 sink ESMTP\r\n", client.reply())
            wait_until(lambda: backends(gate)[1]["open"] == before[1]["open"] + 8, 5, "all there")
            self.assertEqual(before[0]["open"], backends(gate)[0]["open"])
            self.assertEqual("250 ok\r\n"[:3], talking[0].command("NOOP")[:3])
            self.assertEqual(0, control.command(gate, "pools", "up", "mail").returncode)
            self.assertEqual(["up", "up"], [b["state"] for b in backends(gate)])
            for client in talking + more:
                client.hang_up()

    def test_down(self):
        """down ends the relays of that backend only; a pool that is all down says 421"""
        with Sink() as first, Sink() as second, relaying_gate(first, second, wait="0s") as gate:
            talking = [Client(gate.target, loopback(i)) for i in range(8)]
            for client in talking:
                self.assertEqual("220 sink ESMTP\r\n", client.reply())
            wait_until(lambda: sum(b["open"] for b in backends(gate)) == 8, 5, "all are relayed")
            there = backends(gate)[0]["open"]
            self.assertGreater(there, 0)
            result = control.command(gate, "pools", "down", "mail", f"tcp:127.0.0.1:{first.port}")
            self.assertIn(f"{there} relays were ended", result.stdout)
            wait_until(lambda: [b["open"] for b in backends(gate)] == [0, 8 - there], 5, "gone")
            self.assertEqual(0, control.command(gate, "pools", "down", "mail", "1").returncode)
            with Client(gate.target) as client:
                self.assertTrue(client.rest().startswith("421 "))
            for client in talking:
                client.hang_up()

    def test_wrong_names(self):
        """a pool or backend that is not there is named with those that are: exit code 64"""
        with Sink() as sink, relaying_gate(sink) as gate:
            for words, said in ((("drain", "male"), "expected one of mail"),
                                (("drain", "mail", "7"), f"tcp:127.0.0.1:{sink.port}"),
                                (("sideways", "mail"), "drain, up or down")):
                result = control.command(gate, "pools", *words)
                self.assertEqual(64, result.returncode)
                self.assertIn(said, result.stderr)
            self.assertIn("mail", control.command(gate, "pools").stdout)


class Memory(unittest.TestCase):
    def test_without_store(self):
        """without a store allow, deny and forget say so and end with 69; why still answers"""
        with waiting_gate() as gate:
            for words in (("allow", "127.1.0.5"), ("deny", "127.1.0.5", "--for", "1h"),
                          ("forget", "127.1.0.5")):
                result = control.command(gate, *words)
                self.assertEqual(69, result.returncode, words)
                self.assertIn("not remembered", result.stderr)
            why = run_command("why", "127.1.0.5", "--config", gate.config)
            self.assertEqual(0, why.returncode, why.stderr)
            self.assertIn("remembered   nothing", why.stdout)

    def test_allow_deny_forget(self):
        """allow lets on at once, deny refuses, forget makes a stranger of them again"""
        with Sink() as sink:
            store = "/store.mdb"
            body = (greet(wait="30s") + pool("mail", f"tcp:127.0.0.1:{sink.port}",
                                             proxy_protocol="none") + route("mail"))
            with _stored_gate(body, store) as gate:
                self._check(gate)

    def _check(self, gate):
        address = "127.1.0.5"
        result = control.command(gate, "allow", address, "--for", "1h")
        self.assertEqual(0, result.returncode, result.stderr)
        self.assertIn("allowed    until", result.stdout)

        def greeted():
            with Client(gate.target, address) as client:
                line = client.line()
                return line if not line.startswith("220-") else None
        self.assertEqual("220 sink ESMTP\r\n", wait_until(greeted, 5, "let on at once"))
        self.assertEqual(0, control.command(gate, "deny", address).returncode)
        refused = wait_until(lambda: (greeted() or "").startswith("5"), 5, "refused")
        self.assertTrue(refused)
        why = run_command("why", address, "--config", gate.config, "--json")
        record = json.loads(why.stdout)["remembered"]
        self.assertEqual(address, record["client"])
        self.assertIsNone(record["record"]["allowed_until"])
        self.assertEqual(2 ** 32 - 1, record["record"]["denied_until"])
        self.assertIn("is forgotten", control.command(gate, "forget", address).stdout)
        self.assertIn("was not known", control.command(gate, "forget", address).stdout)

        def teased():
            with Client(gate.target, address) as client:
                return client.line().startswith("220-")
        wait_until(teased, 5, "a stranger waits")


def _stored_gate(body, name):
    """A gate that remembers clients in its own directory."""
    class Stored(Gate):
        def _configuration(self, top, body_, access, reject):
            text = super()._configuration(top, body_, access, reject)
            return (text + table("store", file=self.dir + name)
                    + table("access", reject="drop"))
    return Stored(body)


class Stop(unittest.TestCase):
    def test_stop(self):
        """stop does what SIGTERM does, and returns when nobody is left"""
        with Sink() as sink, relaying_gate(sink) as gate:
            begin = time.monotonic()
            result = control.command(gate, "stop")
            self.assertEqual((0, "stopping\n"), (result.returncode, result.stdout))
            self.assertLess(time.monotonic() - begin, 10)
            self.assertFalse(os.path.exists(gate.control))
            gate.wait_gone(5)
            self.assertEqual(69, control.command(gate, "status").returncode)


class Steward(unittest.TestCase):
    def test_killed(self):
        """a killed steward comes back: commands work again, drained backends stay drained"""
        with Sink() as first, Sink() as second, relaying_gate(first, second) as gate:
            self.assertEqual(0, control.command(gate, "pools", "drain", "mail", "0").returncode)
            steward = self._steward(gate)
            os.kill(steward, signal.SIGKILL)
            wait_until(lambda: self._steward(gate) not in (None, steward), 5, "a new steward")
            wait_until(lambda: control.command(gate, "sessions").returncode == 0, 5, "it answers")
            self.assertEqual(["drain", "up"], [b["state"] for b in backends(gate)])

    @staticmethod
    def _steward(gate):
        for pid in gate.processes():
            try:
                with open(f"/proc/{pid}/comm", encoding="ascii") as name:
                    if name.read().startswith("lychgate/stewar"):
                        return pid
            except OSError:
                continue
        return None


class BadRequests(unittest.TestCase):
    def test_garbage(self):
        """garbage, half, oversize and empty requests: each is told what is wrong, and closed"""
        with waiting_gate() as gate:
            rows = ((b"\x00\xff\x1b[2J\n", "error 64: a request is a line of printable ASCII"),
                    (b"\n", "error 64: the request is empty"),
                    (b"GET /metrics HTTP/1.1\r\n\r\n", "error 64: unknown request"),
                    (b"reload2\n", "error 64: unknown request"),
                    (b"x" * 512, "error 64: the request is longer than 512 bytes"),
                    (b"x" * 100_000, "error 64: the request is longer than 512 bytes"),
                    (b"sessions state=nowhere\n", "error 64: no state is called"),
                    (b"sessions id=99:0:0\n", "error 64: there are only 2 shards"))
            for data, said in rows:
                with self.subTest(data[:20]):
                    self.assertIn(said, self._told(gate, data))
            self.assertIn("no end of line", control.ask(gate.control, b"status", end=True))
            begin = time.monotonic()
            self.assertIn("no whole line within a second", control.ask(gate.control, b"stat"))
            self.assertLess(time.monotonic() - begin, 3)
            self.assertEqual(0, gate.held())

    @staticmethod
    def _told(gate, data):
        try:
            return control.ask(gate.control, data)
        except BrokenPipeError:  # it had said what is wrong and closed while we still spoke
            return "error 64: the request is longer than 512 bytes"

    def test_crowd(self):
        """100 clients at once are all answered, though as many others never end their request"""
        with waiting_gate() as gate:
            idle = []
            for _ in range(40):
                client = socket.socket(socket.AF_UNIX)
                client.connect(gate.control)
                client.sendall(b"stat")
                idle.append(client)
            crowd = []
            for _ in range(100):
                client = socket.socket(socket.AF_UNIX)
                client.connect(gate.control)
                client.settimeout(20)
                client.sendall(b"status json\n")
                crowd.append(client)
            begin = time.monotonic()
            for client in crowd:
                self.assertIn("held", json.loads(control.rest(client))["total"])
                client.close()
            note(f"100 answers in {time.monotonic() - begin:.2f} s beside 40 idle clients")
            for client in idle:
                client.close()

    def test_unread(self):
        """a client that never reads its answer holds nobody up"""
        with waiting_gate() as gate, Crowd(gate.target, 2000):
            wait_until(lambda: gate.held() == 2000, 30, "all are held")
            deaf = [socket.socket(socket.AF_UNIX) for _ in range(20)]
            for client in deaf:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                client.connect(gate.control)
                client.sendall(b"sessions json limit=20000\n")
            begin = time.monotonic()
            self.assertEqual(2000, gate.held())
            self.assertLess(time.monotonic() - begin, 2)
            for client in deaf:
                client.close()

    def test_other_users(self):
        """another user may look where the mode lets him in, and change nothing"""
        if os.geteuid() != 0:
            self.skipTest("needs root to be somebody else")
        nobody = pwd.getpwnam("nobody").pw_uid
        with waiting_gate() as gate:
            self.assertIn("Permission denied", control.ask_as(nobody, gate.control, "status"))
            os.chmod(gate.control, 0o666)
            self.assertIn("held", control.ask_as(nobody, gate.control, "status"))
            self.assertIn("0 sessions", control.ask_as(nobody, gate.control, "sessions"))
            for line in ("stop", "sessions kill", "allow 127.0.0.1", "deny 127.0.0.1",
                         "forget 127.0.0.1", "pools drain mail"):
                self.assertIn("error 77: only root and the gate's own user",
                              control.ask_as(nobody, gate.control, line), line)
            self.assertIn("{\"error\":{\"code\":77,", control.ask_as(nobody, gate.control,
                                                                 "sessions json kill"))


class Top(unittest.TestCase):
    def test_plain(self):
        """where there is no terminal, top prints one screen"""
        with waiting_gate() as gate, Crowd(gate.target, 50):
            wait_until(lambda: gate.held() == 50, 20, "all are held")
            result = control.command(gate, "top", "--interval", "200ms")
            self.assertEqual(0, result.returncode, result.stderr)
            self.assertRegex(result.stdout, r"2 shards   50 clients of")
            self.assertRegex(result.stdout, r"silent_wait +50  #+")
            self.assertNotIn("\x1b", result.stdout)

    def test_terminal(self):
        """on a terminal it fits, redraws on a resize, goes with q and leaves all as it was"""
        with waiting_gate() as gate, Crowd(gate.target, 50):
            for way_out in ("q", signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                with self.subTest(way_out):
                    self._on_terminal(gate, way_out)

    def _on_terminal(self, gate, way_out):
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 12, 60, 0, 0))
        before = termios.tcgetattr(slave)
        top = subprocess.Popen([LYCHGATE, "top", "--socket", gate.control, "--interval", "100ms"],
                               stdin=slave, stdout=slave, stderr=slave, env=marked_environment(),
                               preexec_fn=die_with_parent)
        try:
            shown = self._read_until(master, "50 clients")
            for line in self._last_screen(shown):
                self.assertLessEqual(len(line), 60)
            self.assertLessEqual(len(self._last_screen(shown)), 12)
            self.assertNotEqual(before, termios.tcgetattr(slave), "keys come one by one")
            fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
            top.send_signal(signal.SIGWINCH)
            shown += self._read_until(master, "closing")
            if way_out == "q":
                os.write(master, b"q")
            else:
                top.send_signal(way_out)
            shown += self._read_until(master, "\x1b[?1049l")
            self.assertEqual(0 if way_out == "q" else 128 + way_out, top.wait(10))
            self.assertEqual(before, termios.tcgetattr(slave))
            self.assertIn("\x1b[?25h", shown, "the cursor is back")
        finally:
            kill_quietly(top.pid)
            top.wait()
            os.close(slave)
            os.close(master)

    @staticmethod
    def _last_screen(shown):
        screen = shown.split("\x1b[H")[-1].split("\x1b[J")[0]
        lines = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen).split("\n")
        return [line.rstrip("\r") for line in lines]

    def _read_until(self, master, words):
        shown, end = "", time.monotonic() + (20 if SANITIZED else 10)
        while words not in shown:
            self.assertLess(time.monotonic(), end, f"{words!r} is not shown: {shown!r}")
            if select.select([master], [], [], 0.1)[0]:
                shown += os.read(master, 65536).decode()
        # The rest of that screen.
        while select.select([master], [], [], 0.05)[0]:
            shown += os.read(master, 65536).decode()
            if "\x1b[J" in shown[shown.rfind(words):] or "1049l" in words:
                break
        return shown


class Completion(unittest.TestCase):
    def _text(self, shell):
        result = run_command("completion", shell)
        self.assertEqual(0, result.returncode, result.stderr)
        return result.stdout

    def _commands(self):
        """The commands that --help names."""
        text = run_command("--help").stdout
        return re.findall(r"^  ([a-z]+) +\S", text[text.index("Subcommands:"):], re.MULTILINE)

    def test_syntax(self):
        """bash -n, zsh -n and fish --no-execute take the completion files"""
        for shell, check in (("bash", ["bash", "-n"]), ("zsh", ["zsh", "-n"]),
                             ("fish", ["fish", "--no-execute"])):
            with self.subTest(shell):
                self.assertIsNotNone(shutil.which(check[0]), f"{shell} is not installed")
                path = f"/dev/fd/0" if shell != "fish" else "/dev/stdin"
                result = subprocess.run([*check, path], input=self._text(shell), text=True,
                                        capture_output=True, timeout=20)
                self.assertEqual((0, ""), (result.returncode, result.stderr))

    def test_same_as_help(self):
        """what bash and fish offer is what the help names, commands and options alike"""
        commands = self._commands()
        self.assertGreater(len(commands), 10)
        offered = self._bash(["lychgate", ""])
        self.assertEqual(sorted([*commands, "--help", "--version"]), sorted(offered))
        for command in commands:
            with self.subTest(command):
                text = run_command(command, "--help").stdout
                named = set(re.findall(r"(?<![\w-])--[a-z]+", text))
                offered = {word for word in self._bash(["lychgate", command, "--"])}
                self.assertEqual(named, offered)
        fish = subprocess.run(["fish", "-c", self._text("fish") + "\ncomplete -C 'lychgate '"],
                              text=True, capture_output=True, timeout=20)
        self.assertEqual(sorted(commands),
                         sorted(line.split("\t")[0] for line in fish.stdout.splitlines()))

    def _bash(self, words):
        script = (self._text("bash") + "\nCOMP_WORDS=(\"$@\")\nCOMP_CWORD=$(($# - 1))\n_lychgate\n"
                  "printf '%s\\n' \"${COMPREPLY[@]}\"\n")
        result = subprocess.run(["bash", "-c", script, "bash", *words], text=True,
                                capture_output=True, timeout=20)
        self.assertEqual("", result.stderr)
        return result.stdout.split()
