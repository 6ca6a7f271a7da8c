"""A flood of silent clients by lychgate-flood, in the background of a test."""

import json
import os
import signal
import subprocess

from gate import table
from scratch import BUILD, die_with_parent, kill_quietly, marked_environment

FLOOD = os.path.join(BUILD, "bench", "flood", "lychgate-flood")


def same_wait(wait):
    """Text of tables by which a gate that they fill lets nobody wait for less than greet.wait."""
    return "".join(table(f"overload.{level}", greet_wait=wait) for level in ("stress", "emergency"))


class Zombies:
    """A context; result() waits for the flood's end, end() brings it about. Each returns the
    report. hold: seconds that each stays."""

    def __init__(self, target, count, hold, *arguments):
        self._interrupted = False
        self._process = subprocess.Popen(
            [FLOOD, "--count", str(count), "--hold", f"{hold}s", *arguments, "--json", "-",
             "--quiet", "%s:%d" % target],
            text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=marked_environment(), preexec_fn=die_with_parent)

    @classmethod
    def all_at_once(cls, target, count, hold, duration=60):
        return cls(target, count, hold, "--parallel", str(count), "--duration", f"{duration}s")

    @classmethod
    def at_rate(cls, target, rate, hold):
        """For an hour, if nobody ends them."""
        return cls(target, rate * 3600, hold, "--rate", str(rate), "--parallel",
                   str(rate * (hold + 2)), "--duration", "1h")

    def result(self, seconds):
        out, err = self._process.communicate(timeout=seconds)
        if not out or (self._process.returncode != 0 and not self._interrupted):
            raise AssertionError(f"the flood ended with {self._process.returncode}: {err}")
        return json.loads(out)

    def end(self):
        """As by Ctrl-C: no more clients, and the report of those that were."""
        self._interrupted = True
        self._process.send_signal(signal.SIGINT)
        return self.result(60)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._process.poll() is None:
            kill_quietly(self._process.pid)
        self._process.communicate()
