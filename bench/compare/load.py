"""The load: lychgate-flood on the other core, and what it says it saw."""

import json
import os
import signal
import subprocess
import tempfile

from scratch import BUILD, die_with_parent, kill_quietly, marked_environment
from world import LOAD_CORE

FLOOD = os.path.join(BUILD, "bench", "flood", "lychgate-flood")


class LoadFailed(Exception):
    """The flood did not end as it should have."""


class Flood:
    """One run of lychgate-flood against 127.0.0.1:port; `wanted` are its options by name."""

    def __init__(self, port, profile, **wanted):
        handle, self._json = tempfile.mkstemp(prefix="lychgate-flood-", suffix=".json")
        os.close(handle)
        words = [FLOOD, "--profile", profile, "--cpu", str(LOAD_CORE), "--quiet", "--json",
                 self._json]
        for name, value in wanted.items():
            words += [f"--{name}", str(value)]
        self._process = subprocess.Popen(
            [*words, f"127.0.0.1:{port}"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True, env=marked_environment(),
            preexec_fn=die_with_parent)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def running(self):
        return self._process.poll() is None

    def result(self, seconds=300):
        """Waits for its end; the JSON it wrote. Clients that failed are the caller's to judge."""
        _, said = self._process.communicate(timeout=seconds)
        if self._process.returncode not in (0, 1):
            raise LoadFailed(f"lychgate-flood ended with {self._process.returncode}: {said}")
        with open(self._json, encoding="utf-8") as f:
            return json.load(f)

    def stop(self):
        if self.running():
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                kill_quietly(self._process.pid)
                self._process.wait()
        self._process.stderr.close()
        if os.path.exists(self._json):
            os.unlink(self._json)


def flood(port, profile, **wanted):
    with Flood(port, profile, **wanted) as one:
        return one.result()
