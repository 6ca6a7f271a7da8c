"""The comparison with postscreen, HAProxy and the floor: its table, its pictures, its manners.

No figure is judged here; they mean something only with thousands of clients on an idle machine.
"""

import json
import os
import signal
import subprocess
import sys
import unittest
import xml.etree.ElementTree as tree

from scratch import (ROOT, SANITIZED, ScratchDir, marked_environment, processes_marked,
                     wait_until)

_SECONDS = 170
_SERVERS = ("lychgate", "postscreen", "HAProxy", "floor")
_MARK = "LYCHGATE_E2E_COMPARE"


class Compare(unittest.TestCase):
    def setUp(self):
        if SANITIZED:
            self.skipTest("it measures what the release build costs")
        self.scratch = ScratchDir("compare")
        self.addCleanup(self.scratch.remove)

    def start_compare(self, *arguments):
        return subprocess.Popen(
            [sys.executable, "-B", os.path.join(ROOT, "bench", "compare", "compare.py"),
             *arguments, "--out", self.scratch.path],
            env=marked_environment(**{_MARK: self.scratch.path}), text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def run_compare(self, *arguments):
        """(exit code, what it told), once every process it started has gone."""
        with self.start_compare(*arguments) as running:
            _, told = running.communicate(timeout=_SECONDS)
        self.assertEqual([], processes_marked(f"{_MARK}={self.scratch.path}"))
        return running.returncode, told

    def page(self):
        with open(os.path.join(self.scratch.path, "benchmarks.md"), encoding="utf-8") as f:
            return f.read()

    def test_quick_burst(self):
        """a small burst of all four servers: table, pictures, and nothing stays running"""
        self.scratch.file("benchmarks.md", "# Mine\n\n<!-- compare:begin -->\nold\n"
                                           "<!-- compare:end -->\n\nAnd more.\n")
        code, told = self.run_compare("--quick", "--only", "burst")
        self.assertEqual((0, "burst: run 1 of 1 done\n"), (code, told))
        page = self.page()
        self.assertTrue(page.startswith("# Mine\n\n<!-- compare:begin -->\n## The comparison\n"))
        self.assertTrue(page.endswith("\n<!-- compare:end -->\n\nAnd more.\n"))
        self.assertNotIn("old", page)
        for server in _SERVERS:
            for setting in ("hangs up", "talks early"):
                self.assertRegex(page, rf"\n\| {server} \| {setting} \| [0-9.,]+ \|")
        self.check_plots(page)
        with open(os.path.join(self.scratch.path, "plots", "burst.json"), encoding="utf-8") as f:
            rows = json.load(f)
        self.assertEqual([], [row for row in rows if None in row["runs"]])
        self.assertEqual({*_SERVERS, "bare life"}, {row["server"] for row in rows})

    def check_plots(self, page):
        for name in ("burst-cpu.svg", "burst-first-byte.svg"):
            self.assertIn(f"](plots/{name})", page)
            picture = tree.parse(os.path.join(self.scratch.path, "plots", name)).getroot()
            text = " ".join(picture.itertext())
            for word in ("lychgate", "postscreen", "hangs up", "talks early"):
                self.assertIn(word, text)

    def test_ended_early(self):
        """SIGTERM in the middle of a measurement leaves no process and no directory"""
        before = self.own_directories()
        with self.start_compare("--quick", "--only", "burst") as running:
            name = f"{_MARK}={self.scratch.path}"
            wait_until(lambda: len(processes_marked(name)) > 3, 30, "a server is running")
            running.terminate()
            self.assertEqual(128 + signal.SIGTERM, running.wait(60))
        self.assertEqual([], processes_marked(name))
        self.assertEqual(set(), self.own_directories() - before)

    def own_directories(self):
        """Scratch directories that only a comparison makes."""
        return {name for name in os.listdir(os.path.dirname(self.scratch.path))
                if name.startswith(("lychgate-sink-", "lychgate-haproxy-", "lychgate-resolv-"))}

    def test_unknown_work(self):
        """a work that does not exist is named with those that do"""
        code, told = self.run_compare("--only", "nonsense")
        self.assertEqual(2, code)
        self.assertIn("'preferred'", told)


if __name__ == "__main__":
    unittest.main()
