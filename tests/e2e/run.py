#!/usr/bin/env python3
"""Runs the end-to-end tests: one line per test, measured facts below it, one closing line.

python3 tests/e2e/run.py [--only WORD ...] [--list]; exit 0 only if nothing failed.
Takes the daemon from LYCHGATE_BUILD (default build/release). Skipped is not passed: it is counted.
"""

import argparse
import os
import resource
import signal
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True

import scratch  # noqa: E402  (needs the path above)
import shared   # noqa: E402


class LineResult(unittest.TestResult):
    """One line per test: outcome, seconds, the test's sentence."""

    def startTest(self, test):
        super().startTest(test)
        self._started = time.monotonic()

    def _line(self, outcome, test, detail=""):
        seconds = time.monotonic() - self._started
        group = type(test).__name__ if hasattr(test, "_testMethodName") else "setup"
        sentence = test.shortDescription() or test.id()
        print(f"{outcome:7} {seconds:6.1f} s  {group}: {sentence}{detail}", flush=True)
        for text in scratch.take_notes():
            print(f"{'':19}{text}", flush=True)

    def addSuccess(self, test):
        super().addSuccess(test)
        self._line("ok", test)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._line("skipped", test, f" ({reason})")

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._line("FAILED", test)
        print(self.failures[-1][1], flush=True)

    def addError(self, test, err):
        super().addError(test, err)
        if not hasattr(self, "_started"):
            self._started = time.monotonic()
        self._line("FAILED", test)
        print(self.errors[-1][1], flush=True)

    def addSubTest(self, test, subtest, err):
        before = len(self.failures), len(self.errors)
        super().addSubTest(test, subtest, err)
        if err is not None:
            told = self.failures if len(self.failures) > before[0] else self.errors
            self._line("FAILED", test, f" {subtest._subDescription()}")
            print(told[-1][1], flush=True)


def flatten(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from flatten(item)
        else:
            yield item


def chosen_tests(words):
    for test in flatten(unittest.TestLoader().discover(HERE)):
        text = f"{test.id()} {test.shortDescription()}".lower()
        if not words or any(word.lower() in text for word in words):
            yield test


def end_on_signal(number, _):
    raise SystemExit(f"ended by signal {number}")


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--only", action="append", default=[], metavar="WORD",
                         help="only tests whose name or sentence holds WORD")
    options.add_argument("--list", action="store_true", help="name the tests, run nothing")
    chosen = options.parse_args()
    tests = list(chosen_tests(chosen.only))
    if chosen.list:
        print("\n".join(f"{test.id()}: {test.shortDescription()}" for test in tests))
        return 0
    if not os.access(scratch.LYCHGATE, os.X_OK) and any("Alone" not in t.id() for t in tests):
        print(f"{scratch.LYCHGATE} is missing: build it, or name a build folder by LYCHGATE_BUILD",
              file=sys.stderr)
        return 69
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    signal.signal(signal.SIGTERM, end_on_signal)
    result = LineResult()
    try:
        unittest.TestSuite(tests).run(result)
    finally:
        shared.close()
        for pid in scratch.processes_marked(scratch.MARK):
            scratch.kill_quietly(pid)
    failed = len(result.failures) + len(result.errors)
    skipped = len(result.skipped)
    passed = max(result.testsRun - failed - skipped, 0)
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
