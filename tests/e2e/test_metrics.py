"""The Prometheus endpoint: a real Prometheus scrapes it, and its numbers are those of `status` and
of the flood itself; promtool finds nothing wrong; rude clients of the endpoint hurt nobody."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
import unittest
import urllib.parse
import urllib.request

from gate import Gate, greet, limits, no_dialogue, pool, route, table
from scratch import (BUILD, ScratchDir, die_with_parent, free_port, kill_quietly,
                     marked_environment, note, scaled, wait_until)
from test_flood import SmtpSink

FLOOD = os.environ.get("LYCHGATE_FLOOD", os.path.join(BUILD, "bench", "flood", "lychgate-flood"))


class MeteredGate(Gate):
    """A gate with metrics on a port of its own."""

    def __init__(self, body, **more):
        self.metrics_port = free_port()
        super().__init__(body + table("metrics", address=f"127.0.0.1:{self.metrics_port}"), **more)
        wait_until(self._serves, 5, "metrics are served")

    def _serves(self):
        try:
            return self.scrape()
        except OSError:
            return None

    def scrape(self, timeout=5):
        url = f"http://127.0.0.1:{self.metrics_port}/metrics"
        with urllib.request.urlopen(url, timeout=timeout) as answer:
            return answer.read().decode()

    def values(self):
        """{"name{labels}": number} of one scrape."""
        lines = (line.rpartition(" ") for line in self.scrape().splitlines()
                 if line and not line.startswith("#"))
        return {name: float(value) for name, _, value in lines}


class Prometheus:
    """Debian's Prometheus in a directory of its own, scraping one target once a second."""

    def __init__(self, target):
        self._scratch = ScratchDir("prometheus")
        self.port = free_port()
        config = self._scratch.file("prometheus.yml", (
            "global:\n  scrape_interval: 1s\nscrape_configs:\n  - job_name: gate\n"
            f"    static_configs:\n      - targets: ['{target}']\n"))
        self._process = subprocess.Popen(
            ["prometheus", f"--config.file={config}", f"--web.listen-address=127.0.0.1:{self.port}",
             f"--storage.tsdb.path={self._scratch.path}/data", "--log.level=error"],
            env=marked_environment(), preexec_fn=die_with_parent, cwd=self._scratch.path,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            kill_quietly(self._process.pid)
            self._process.wait()
        self._scratch.remove()

    def query(self, expression):
        """The value of an expression with one result; None while there is none."""
        url = (f"http://127.0.0.1:{self.port}/api/v1/query?"
               + urllib.parse.urlencode({"query": expression}))
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                result = json.load(answer)["data"]["result"]
        except OSError:
            return None
        return float(result[0]["value"][1]) if result else None


def metered_gate(wait, sink=None, **more):
    body = greet(wait=wait, pregreet="drop") + no_dialogue() + limits(per_address=0)
    if sink is not None:
        body += pool("mail", f"tcp:127.0.0.1:{sink.port}", proxy_protocol="none",
                     connections=1000) + route("mail")
    return MeteredGate(body, top="shards = 2", **more)


def flood(*arguments):
    result = subprocess.run([FLOOD, *map(str, arguments)], capture_output=True, text=True,
                            timeout=120, stdin=subprocess.DEVNULL, env=marked_environment(),
                            preexec_fn=die_with_parent)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


class Metrics(unittest.TestCase):
    def test_agreement(self):
        """flood, status, metrics and Prometheus agree to the last connection"""
        self.assertIsNotNone(shutil.which("prometheus"), "prometheus is not installed")
        count = scaled(2000, least=200)
        with metered_gate("2s") as gate, Prometheus(f"127.0.0.1:{gate.metrics_port}") as server:
            early = flood("--profile", "early", "--count", count, "--json", "-",
                          f"127.0.0.1:{gate.port}")
            silent = flood("--count", count, "--hold", "1s", "--json", "-",
                           f"127.0.0.1:{gate.port}")
            gate.wait_empty(30)
            told = gate.total()["counters"]
            values = gate.values()
            self.assertEqual(early["connected"] + silent["connected"], told["accepted"])
            self.assertEqual(early["endings"]["refused"], told["dropped"])
            for name, number in told.items():
                self.assertEqual(number, values[f"lychgate_{name}_total"], name)
            self.assertEqual(told["accepted"], values["lychgate_hold_duration_seconds_count"])
            for name, number in (("accepted", told["accepted"]), ("dropped", told["dropped"]),
                                 ("hangup", told["hangup"])):
                wait_until(lambda n=name, v=number: server.query(f"lychgate_{n}_total") == v, 20,
                           f"Prometheus knows {number} {name}")
            self.assertEqual(1, server.query("up{job='gate'}"))
        note(f"{told['accepted']} connections, the same number five times")

    def test_pools_and_phases(self):
        """what is held and handed off is in the gauges and histograms"""
        with SmtpSink() as sink, metered_gate("1s", sink) as gate:
            result = flood("--profile", "legit", "--count", 50, "--json", "-",
                           f"127.0.0.1:{gate.port}")
            gate.wait_empty(20)
            values = gate.values()
            taken = values['lychgate_handoff_total{pool="mail",result="taken"}']
            self.assertEqual(result["profiles"]["legit"]["greeted"], taken)
            self.assertEqual(taken, values["lychgate_handoff_duration_seconds_count"])
            self.assertEqual(50, values["lychgate_hold_duration_seconds_count"])
            self.assertGreaterEqual(values["lychgate_hold_duration_seconds_sum"], 50)
            self.assertEqual(0, values['lychgate_hold_duration_seconds_bucket{le="0.512"}'])
            self.assertEqual(0, values["lychgate_clients"])
            self.assertGreater(values["process_open_fds"], 3)
            self.assertLess(abs(values["lychgate_config_reload_success_timestamp_seconds"]
                                - time.time()), 120)

    def test_promtool(self):
        """promtool finds nothing to complain about, and no label holds a client's address"""
        self.assertIsNotNone(shutil.which("promtool"), "promtool is not installed")
        with metered_gate("5s") as gate, socket.create_connection(gate.target):
            text = gate.scrape()
        ours = "".join(block for block in re.split(r"(?=^# HELP )", text, flags=re.MULTILINE)
                       if not block.startswith("# HELP exposer_"))
        result = subprocess.run(["promtool", "check", "metrics"], input=ours, capture_output=True,
                                text=True, timeout=20)
        self.assertEqual((0, ""), (result.returncode, result.stdout + result.stderr))
        self.assertNotRegex(ours, r'="\[?127\.')

    def test_dashboard(self):
        """the dashboard is JSON with a data source to choose and a query in every panel"""
        here = os.path.dirname(os.path.abspath(__file__))
        with open(os.path.join(here, "..", "..", "docs", "examples", "grafana.json"),
                  encoding="utf-8") as file:
            dashboard = json.load(file)
        self.assertEqual(["DS_PROMETHEUS"], [one["name"] for one in dashboard["__inputs"]])
        self.assertEqual(len(dashboard["panels"]), len({p["id"] for p in dashboard["panels"]}))
        for panel in dashboard["panels"]:
            for target in panel["targets"]:
                self.assertIn("lychgate_", target["expr"])


class RudeScrapes(unittest.TestCase):
    def test_slow_clients(self):
        """clients that say nothing, or half a request, hold up no status nor, for long, scrapes"""
        with metered_gate("5s") as gate:
            rude = []
            for data in (b"", b"GET /metrics HTTP/1.1\r\nHost: ", b"\x00" * 100, b"GET " * 2000):
                for _ in range(10):
                    client = socket.create_connection(("127.0.0.1", gate.metrics_port))
                    client.sendall(data)
                    rude.append(client)
            begin = time.monotonic()
            self.assertEqual(0, gate.held())
            status_s = time.monotonic() - begin
            self.assertLess(status_s, 2)
            begin = time.monotonic()
            self.assertIn("lychgate_build_info", gate.scrape(timeout=60))
            note(f"status in {status_s * 1000:.0f} ms, a scrape in "
                 f"{time.monotonic() - begin:.1f} s beside {len(rude)} rude clients")
            for client in rude:
                client.close()
            wait_until(lambda: "lychgate_build_info" in gate.scrape(), 10, "as quick as before")

    def test_many_scrapes(self):
        """200 scrapes at once: all are answered, the gate accepts meanwhile"""
        with metered_gate("5s") as gate:
            answers = []

            def scrape():
                answers.append(gate.scrape(timeout=30))
            threads = [threading.Thread(target=scrape) for _ in range(200)]
            for thread in threads:
                thread.start()
            with socket.create_connection(gate.target):
                wait_until(lambda: gate.held() == 1, 5, "a client is held")
            for thread in threads:
                thread.join()
            self.assertEqual(200, len(answers))

    def test_address_taken(self):
        """an address that is taken is one warning; the gate runs, and serves it once it is free"""
        with socket.create_server(("127.0.0.1", 0)) as other:
            address = f"127.0.0.1:{other.getsockname()[1]}"
            with Gate(greet(wait="5s") + table("metrics", address=address)) as gate:
                wait_until(lambda: gate.log_lines("warning", "cannot serve metrics", address), 5,
                           "the warning")
                self.assertEqual(0, gate.held())
                other.close()
                wait_until(lambda: gate.log_lines("metrics are served again"), 15, "served")
                self.assertEqual(1, len(gate.log_lines("cannot serve metrics")))
