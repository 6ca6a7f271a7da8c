"""lychgate-flood against the real gate and Postfix's smtp-sink: counts agree on both sides, what it
cannot or must not do is refused before anything starts, and it always ends by itself."""

import csv
import errno
import glob
import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import time
import unittest

import forbid
from gate import Gate, greet, limits, pool, route
from scratch import (BUILD, SANITIZED, ScratchDir, die_with_parent, free_port, kill_quietly,
                     marked_environment, note, scaled, wait_until)

FLOOD = os.environ.get("LYCHGATE_FLOOD", os.path.join(BUILD, "bench", "flood", "lychgate-flood"))
# TEST-NET-1 (RFC 5737): nobody's.
STRANGER = "192.0.2.77:25"


def start(*arguments, **options):
    return subprocess.Popen([FLOOD, *map(str, arguments)], text=True, stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            env=marked_environment(),
                            preexec_fn=options.pop("before", die_with_parent), **options)


class Run:
    """One flood from begin to end: code, out, err, seconds."""

    def __init__(self, *arguments, **options):
        begin = time.monotonic()
        process = start(*arguments, **options)
        try:
            self.out, self.err = process.communicate(timeout=120)
        except BaseException:
            kill_quietly(process.pid)
            process.communicate()
            raise
        self.seconds = time.monotonic() - begin
        self.code = process.returncode

    def result(self):
        return json.loads(self.out)


class SmtpSink:
    """Postfix's smtp-sink on a port of its own; keeps every message in a file when asked to."""

    def __init__(self, *options, keep=False):
        self._scratch = ScratchDir("flood-sink")
        os.chmod(self._scratch.path, 0o777)
        command = ["smtp-sink", *(["-u", "nobody"] if os.geteuid() == 0 else []), *options]
        if keep:
            command += ["-R", self._scratch.path, "-d", "mail."]
        self.port = free_port()
        self.target = f"127.0.0.1:{self.port}"
        self._process = subprocess.Popen(
            [*command, "-m", "1000", self.target, "4000"], env=marked_environment(),
            preexec_fn=die_with_parent, cwd=self._scratch.path, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(self._listens, 10, "smtp-sink listens")

    def _listens(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def messages(self):
        out = []
        for path in glob.glob(os.path.join(glob.escape(self._scratch.path), "mail.*")):
            with open(path, encoding="latin-1", newline="") as f:
                out.append(f.read())
        return out

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()
        self._scratch.remove()


def waiting_gate(wait):
    """Holds every client for `wait`, one of each address; nobody takes them afterwards."""
    return Gate(greet(wait=wait, pregreet="drop") + limits(per_address=1)
                + pool("none", f"tcp:127.0.0.1:{free_port()}") + route("none"))


class FloodSink(unittest.TestCase):
    def test_legit(self):
        """300 whole messages of 20 kB: all arrive as said, each from an address of its own"""
        with SmtpSink(keep=True) as sink:
            run = Run("--profile", "legit", "--count", 300, "--parallel", 20, "--size", "20k",
                      "--from", "me@flood.test", "--to", "you@flood.test", "--ehlo", "flood.test",
                      "--json", "-", sink.target)
            self.assertEqual(0, run.code, run.err)
            kept = sink.messages()
        result = run.result()
        for name in ("started", "connected", "first_bytes", "greeted", "delivered"):
            self.assertEqual(300, result[name], name)
        self.assertEqual({"220": 300, "221": 300, "250": 1200, "354": 300}, result["replies"])
        self.assertEqual(300, result["endings"]["done"])
        self.assertEqual(300, result["profiles"]["legit"]["latency_us"]["transaction"]["count"])
        self.assertLessEqual(result["open_most"], 20)
        self.assertEqual(300, len(kept))
        sources = {re.search(r"^X-Client-Addr: (\S+)", text, re.M)[1] for text in kept}
        self.assertEqual(300, len(sources))
        for text in kept:
            self.assertIn("me@flood.test", text)
            self.assertIn("you@flood.test", text)
            self.assertGreaterEqual(len(text), 20 * 1024)
        latency = result["latency_us"]["transaction"]
        self.assertLessEqual(latency["min"], latency["p50"])
        self.assertLessEqual(latency["p50"], latency["p99"])
        self.assertLessEqual(latency["p999"], latency["max"])

    def test_legit_refused(self):
        """a server that refuses every recipient: exit code 1, and the replies say why"""
        for option, code in (("-r", "450"), ("-f", "500")):
            with self.subTest(code), SmtpSink(option, "RCPT") as sink:
                run = Run("--profile", "legit", "--count", 20, "--json", "-", sink.target)
                self.assertEqual(1, run.code, run.err)
                self.assertEqual(20, run.result()["endings"]["refused"])
                self.assertEqual(20, run.result()["replies"][code])
                self.assertEqual(0, run.result()["delivered"])
                self.assertIn("not every legit client was served", run.err)

    def test_mix(self):
        """all eight profiles in one open loop: each gets its share, the course is in the CSV"""
        scratch = ScratchDir("flood")
        self.addCleanup(scratch.remove)
        names = ["zombie", "early", "bot", "drip", "never-reads", "reset", "hangup", "legit"]
        mix = scratch.file("mix.toml", "".join(
            f'[{name}]\nweight = {2 if name == "zombie" else 1}\nhold = "1s"\n' for name in names))
        course, outcome = scratch.file("course.csv"), scratch.file("result.json")
        with SmtpSink() as sink:
            run = Run("--mix", mix, "--rate", 300, "--duration", "3s", "--interval", "500ms",
                      "--csv", course, "--json", outcome, "--quiet", sink.target)
        self.assertEqual((0, "", ""), (run.code, run.out, run.err))
        with open(outcome, encoding="utf-8") as f:
            result = json.load(f)
        self.assertEqual(names, list(result["profiles"]))
        total = result["started"]
        self.assertAlmostEqual(900, total, delta=30)
        self.assertEqual(total, sum(result["endings"].values()))
        for name, counts in result["profiles"].items():
            share = total * (2 if name == "zombie" else 1) / 9
            self.assertAlmostEqual(share, counts["started"], delta=share / 2, msg=name)
            self.assertEqual(counts["started"], sum(counts["endings"].values()), name)
        self.assertEqual(total, result["latency_us"]["lateness"]["count"])
        if not SANITIZED:
            self.assertAlmostEqual(300, result["rate_achieved"], delta=30)
        self.assertAlmostEqual(300, result["rate_intended"], delta=3)
        self._check_course(course, result)

    def _check_course(self, path, result):
        with open(path, encoding="ascii") as f:
            rows = list(csv.DictReader(f))
        self.assertEqual("elapsed_s started connected open held greeted delivered refused closed "
                         "errors rate".split(), list(rows[0]))
        self.assertGreaterEqual(len(rows), 6)
        for name in ("elapsed_s", "started", "connected", "greeted", "delivered"):
            values = [float(row[name]) for row in rows]
            self.assertEqual(sorted(values), values, name)
        self.assertEqual(result["started"], int(rows[-1]["started"]))
        self.assertEqual("0", rows[-1]["open"])

    def test_several_rings(self):
        """400 clients held by a process of 64 descriptors, in seven rings"""
        with SmtpSink() as sink:
            run = Run("--count", 400, "--hold", "1s", "--json", "-", sink.target,
                      before=forbid.descriptors(64))
        self.assertEqual(0, run.code, run.err)
        self.assertEqual(7, run.result()["rings"])
        self.assertEqual((400, 400), (run.result()["connected"], run.result()["open_most"]))

    def test_terminal(self):
        """a terminal gets one live line, no wider than itself, and then the table"""
        with SmtpSink() as sink:
            shown = self._on_a_terminal("--count", 50, "--hold", "1s", "--interval", "200ms",
                                        sink.target)
        lines = re.findall(r"\r\x1b\[K([^\r\n]+)", shown)
        self.assertGreaterEqual(sum("started" in line for line in lines), 3, shown)
        head, _, table = shown.rpartition("\r\x1b[K")
        self.assertNotIn("\n", head, "the live line stays on its line")
        for text in (*lines, *table.splitlines()):
            plain = re.sub(r"\x1b\[[0-9;]*[mK]", "", text)
            self.assertLessEqual(len(plain), 100, text)
        self.assertIn("\x1b[1m", table)
        self.assertRegex(table, r"zombie +50 +50 ")

    @staticmethod
    def _on_a_terminal(*arguments):
        master, slave = pty.openpty()
        process = subprocess.Popen([FLOOD, *map(str, arguments)], stdin=slave, stdout=slave,
                                   stderr=slave, env=marked_environment(),
                                   preexec_fn=die_with_parent)
        os.close(slave)
        shown, end = b"", time.monotonic() + 60
        try:
            while time.monotonic() < end:
                if not select.select([master], [], [], 0.1)[0]:
                    continue
                try:
                    shown += os.read(master, 65536)
                except OSError as error:  # EIO: nobody has the other end open any more
                    if error.errno != errno.EIO:
                        raise
                    break
        finally:
            kill_quietly(process.pid)
            process.wait()
            os.close(master)
        return shown.decode()


class FloodGate(unittest.TestCase):
    def test_zombies(self):
        """10,000 zombies are held by the gate at once, each from its own address, and let go"""
        count = scaled(10_000, least=500)
        with waiting_gate("40s") as gate:
            flood = start("--count", count, "--hold", "8s", "--json", "-",
                          f"127.0.0.1:{gate.port}")
            wait_until(lambda: gate.held() == count, 30, "all are held")
            out, err = flood.communicate(timeout=60)
            self.assertEqual(0, flood.returncode, err)
            self.assertEqual(count, gate.counter("accepted"))
        result = json.loads(out)
        for name in ("started", "connected", "first_bytes", "open_most"):
            self.assertEqual(count, result[name], name)
        self.assertEqual(0, result["greeted"], "a teaser is no greeting")
        self.assertEqual(count, result["endings"]["done"])
        note(f"{count} held; the flood used {result['cpu_s'] / count * 1e6:.0f} us of CPU each")

    def test_early(self):
        """early talkers are caught by the gate, every one: 521 and done with"""
        with waiting_gate("2s") as gate:
            run = Run("--profile", "early", "--count", 200, "--json", "-",
                      f"127.0.0.1:{gate.port}")
            self.assertEqual(200, gate.counter("pregreet"))
        self.assertEqual(0, run.code, run.err)
        self.assertEqual({"521": 200}, run.result()["replies"])
        self.assertEqual(200, run.result()["endings"]["refused"])

    def test_legit_behind_zombies(self):
        """legit clients are served by smtp-sink behind the gate while zombies come, too"""
        scratch = ScratchDir("flood")
        self.addCleanup(scratch.remove)
        mix = scratch.file("mix.toml", '[zombie]\nweight = 9\nhold = "1s"\n[legit]\nweight = 1\n')
        with SmtpSink() as sink:
            body = (greet(wait="2s") + limits(per_address=1)
                    + pool("sink", f"tcp:{sink.target}", proxy_protocol="none") + route("sink"))
            with Gate(body) as gate:
                run = Run("--mix", mix, "--count", 1000, "--parallel", 1000, "--json", "-",
                          f"127.0.0.1:{gate.port}")
                self.assertEqual(1000, gate.counter("accepted"))
        self.assertEqual(0, run.code, run.err)
        legit = run.result()["profiles"]["legit"]
        self.assertGreater(legit["started"], 50)
        self.assertEqual(legit["started"], legit["delivered"])
        self.assertGreaterEqual(legit["latency_us"]["greeting"]["min"], 2_000_000)

    def test_signals(self):
        """SIGINT and SIGTERM: everybody is reset at once, the report is printed all the same"""
        for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            with self.subTest(number.name), waiting_gate("3s") as gate:
                flood = start("--count", 300, "--hold", "60s", f"127.0.0.1:{gate.port}")
                wait_until(lambda: gate.held() == 300, 20, "all are held")
                flood.send_signal(number)
                begin = time.monotonic()
                out, _ = flood.communicate(timeout=20)
                self.assertLess(time.monotonic() - begin, 5)
                self.assertEqual(code, flood.returncode)
                self.assertIn("cut off 300", out)
                self.assertIn("stopped by a signal", out)
                gate.wait_empty(20)


class FloodRefusals(unittest.TestCase):
    """None of these starts anything, so no server is needed."""

    def test_too_many(self):
        """ten million are refused with limit, remedy and a count; nearly that many then pass"""
        run = Run("--count", 10_000_000, "127.0.0.1:2525")
        self.assertEqual((69, ""), (run.code, run.out))
        self.assertRegex(run.err, r"memory|files|ports")
        told = " ".join(run.err.split())
        count = re.search(r"--count (\d+) would do", told)[1]
        # Less by a tenth, since what is free changes meanwhile.
        fewer = int(count) * 9 // 10
        self.assertEqual(0, Run("--dry-run", "--count", fewer, "127.0.0.1:2525").code, told)
        note(f"this machine carries {int(count):,} clients at once, both ends on it")

    def test_too_few_ports(self):
        """more clients than ports on one pair of addresses: the sysctl and the option are named"""
        run = Run("--dry-run", "--json", "-", "--count", 100_000, "--sources", "none",
                  "127.0.0.1:2525")
        self.assertEqual(69, run.code)
        fatal = [one for one in run.result()["preflight"] if one["fatal"]]
        self.assertEqual(["ports"], [one["limit"] for one in fatal])
        self.assertIn("net.ipv4.ip_local_port_range", fatal[0]["is"])
        self.assertIn("--sources", fatal[0]["remedy"])

    def test_no_io_uring(self):
        """without io_uring: 69, and the sentence says who forbids it"""
        run = Run("127.0.0.1:2525", before=forbid.io_uring_by_seccomp(errno.EPERM))
        self.assertEqual(69, run.code)
        self.assertIn("seccomp", run.err)

    def test_strangers(self):
        """another machine's address: 77 with the reason; --i-own must name it exactly"""
        run = Run(STRANGER)
        self.assertEqual((77, ""), (run.code, run.out))
        for words in (STRANGER, "neither loopback nor an address of this machine", "--i-own"):
            self.assertIn(words, run.err)
        self.assertEqual(77, Run("127.0.0.1:25", STRANGER).code)
        self.assertEqual(77, Run("126.0.0.0/7:25").code)
        self.assertEqual(64, Run("--i-own", "192.0.2.0/24:25", STRANGER).code)
        self.assertEqual(0, Run("--dry-run", "--i-own", STRANGER, STRANGER).code)

    def test_bad_words(self):
        """a bad command line is 64, a bad mix file 78 with every place, a missing one 66"""
        for words in ([], ["--bogus", "127.0.0.1:25"], ["127.0.0.1"], ["--rate", "0", "127.0.0.1:1"],
                      ["--profile", "ghost", "127.0.0.1:25"], ["mail.example.org:25"]):
            with self.subTest(words):
                run = Run(*words)
                self.assertEqual((64, ""), (run.code, run.out))
                self.assertIn("lychgate-flood: ", run.err)
        scratch = ScratchDir("flood")
        self.addCleanup(scratch.remove)
        mix = scratch.file("mix.toml", '[zombi]\nweight = 1\n[legit]\nweight = 0\n')
        run = Run("--mix", mix, "127.0.0.1:25")
        self.assertEqual(78, run.code)
        self.assertIn(f"{mix}:1:2: unknown profile", run.err)
        self.assertIn("nearest known one is zombie", run.err)
        self.assertIn(f"{mix}:4:10: weight is the integer 0", run.err)
        self.assertEqual(66, Run("--mix", mix + ".none", "127.0.0.1:25").code)
        self.assertEqual(73, Run("--json", mix + "/none", "127.0.0.1:25").code)

    def test_nobody_listens(self):
        """nobody listens: exit code 1 at once, with the errno, its meaning and the remedy"""
        run = Run("--count", 50, f"127.0.0.1:{free_port()}")
        self.assertEqual(1, run.code)
        self.assertLess(run.seconds, 10)
        self.assertRegex(run.out, r"ECONNREFUSED +50 +nobody listens there")
        self.assertIn("nobody could connect", run.out)

    def test_help(self):
        """--help names every profile and fits a terminal; --version is one line"""
        run = Run("--help")
        self.assertEqual((0, ""), (run.code, run.err))
        for name in "zombie early bot drip never-reads reset hangup legit".split():
            self.assertIn(f"  {name} ", run.out)
        self.assertLessEqual(max(map(len, run.out.splitlines())), 100)
        self.assertRegex(Run("--version").out, r"\Alychgate-flood \d+\.\d+\.\d+\n\Z")
