#!/usr/bin/env python3
"""Measures lychgate's relay against HAProxy in TCP mode, in one interleaved run on one machine.

python3 bench/relay_compare.py [--runs N] [--markdown] [--check]

Each proxy is one thread on core 0; load and sink are on core 1. Two loads: a bulk stream of 1 GiB
from client to backend (bench/stream.cc), and 20 kB messages from smtp-source to smtp-sink in 50
sessions. Reported: throughput, and CPU of the proxy's processes (user and system, threads that
ended included), as min/median/max. Owns all it starts, ended by pid; touches no system service.
--check exits 1 unless lychgate has at least HAProxy's median throughput at no more median CPU.
"""

import argparse
import contextlib
import os
import socket
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "tests", "e2e"))
sys.dont_write_bytecode = True

from gate import Gate, greet, limits, pool, route  # noqa: E402
from scratch import (LYCHGATE, ScratchDir, die_with_parent, free_port,  # noqa: E402
                     kill_quietly, wait_until)

PROXY_CORE, LOAD_CORE = 0, 1
SESSIONS = 50
MESSAGE_BYTES = 20_000

_HAPROXY_CFG = """
global
  nbthread 1
  maxconn 2000
defaults
  mode tcp
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  {option}
listen stream
  bind 127.0.0.1:{stream_port}
  server sink 127.0.0.1:{stream_sink}
listen mail
  bind 127.0.0.1:{mail_port}
  server sink 127.0.0.1:{mail_sink}
"""


@contextlib.contextmanager
def pinned(core):
    """Whatever is started in the block runs on this core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def cpu_seconds(pids):
    """CPU time of whole processes: every thread, also those that ended (io_uring workers)."""
    # The clock of another process: inverted pid above three bits, 2 = CPUCLOCK_SCHED (time.h).
    return sum(time.clock_gettime((~pid << 3) | 2) for pid in pids)


def wait_listening(port):
    def connects():
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0
    wait_until(connects, 5, f"somebody listens on port {port}")


class Child:
    """A program in the foreground on one core, ended by its pid."""

    def __init__(self, core, *command):
        with pinned(core):
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL,
                                             stdout=subprocess.DEVNULL,
                                             stderr=subprocess.DEVNULL,
                                             preexec_fn=die_with_parent)
        self.pid = self._process.pid

    def stop(self):
        kill_quietly(self.pid)
        self._process.wait()


class Sinks:
    """The two backends: bulk sink and smtp-sink."""

    def __init__(self, scratch, stack):
        self.program = os.path.join(scratch.path, "stream")
        subprocess.run(["g++", "-std=c++20", "-O2", os.path.join(HERE, "stream.cc"), "-o",
                        self.program], check=True)
        self.stream, self.mail = free_port(), free_port()
        stack.callback(Child(LOAD_CORE, self.program, "sink", str(self.stream)).stop)
        # smtp-sink gives up root when asked to; without -u it refuses to run as root.
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        stack.callback(Child(LOAD_CORE, "smtp-sink", *user, f"127.0.0.1:{self.mail}", "200").stop)
        wait_listening(self.stream)
        wait_listening(self.mail)


class Contender:
    """One way from client to backend: its two ports and the processes whose CPU counts."""

    def __init__(self, name, stream_port, mail_port, pids):
        self.name = name
        self.stream_port = stream_port
        self.mail_port = mail_port
        self.pids = pids
        self.results = {"GiB/s": [], "CPU s/GiB": [], "messages/s": [], "CPU us/message": []}


def start_haproxy(name, option, sinks, scratch, stack):
    stream_port, mail_port = free_port(), free_port()
    config = scratch.file(f"{name.replace(' ', '-')}.cfg", _HAPROXY_CFG.format(
        option=option, stream_port=stream_port, mail_port=mail_port,
        stream_sink=sinks.stream, mail_sink=sinks.mail))
    child = Child(PROXY_CORE, "haproxy", "-db", "-f", config)
    stack.callback(child.stop)
    wait_listening(stream_port)
    wait_listening(mail_port)
    return Contender(name, stream_port, mail_port, [child.pid])


def start_lychgate(sinks, stack):
    """One gate, two doors, each with its own pool, as HAProxy has two listeners."""
    mail_port = free_port()
    body = (f'[[listen]]\nname = "mail"\naddress = "127.0.0.1:{mail_port}"\n'
            + greet(wait="0s") + limits(per_address=0)
            + pool("bulk", f"tcp:127.0.0.1:{sinks.stream}", proxy_protocol="none")
            + pool("mail", f"tcp:127.0.0.1:{sinks.mail}", proxy_protocol="none", connections=200)
            + route("mail", 'listener = "mail"') + route("bulk"))
    with pinned(PROXY_CORE):
        gate = stack.enter_context(Gate(body, top="shards = 1"))
    wait_listening(mail_port)
    return Contender("lychgate", gate.port, mail_port, gate.processes())


def run_stream(contender, program, total_bytes):
    cpu = cpu_seconds(contender.pids)
    with pinned(LOAD_CORE):
        sender = subprocess.run([program, "send", "127.0.0.1", str(contender.stream_port),
                                 str(total_bytes)], capture_output=True, text=True, timeout=120)
    if sender.returncode != 0:
        raise SystemExit(f"{contender.name}: {sender.stderr}")
    gib = total_bytes / (1 << 30)
    contender.results["GiB/s"].append(gib / float(sender.stdout))
    contender.results["CPU s/GiB"].append((cpu_seconds(contender.pids) - cpu) / gib)


def run_messages(contender, count):
    cpu = cpu_seconds(contender.pids)
    begin = time.monotonic()
    with pinned(LOAD_CORE):
        sender = subprocess.run(
            ["smtp-source", "-s", str(SESSIONS), "-m", str(count), "-l", str(MESSAGE_BYTES), "-f",
             "a@client.test", "-t", "b@sink.test", f"127.0.0.1:{contender.mail_port}"],
            capture_output=True, text=True, timeout=120)
    seconds = time.monotonic() - begin
    if sender.returncode != 0 or sender.stderr:
        raise SystemExit(f"{contender.name}: smtp-source: {sender.stderr}")
    contender.results["messages/s"].append(count / seconds)
    used = cpu_seconds(contender.pids) - cpu
    contender.results["CPU us/message"].append(used / count * 1e6)


def measure(contenders, sinks, chosen):
    for number in range(chosen.runs):
        # Nobody always goes first: what the machine does meanwhile meets each in turn.
        shift = number % len(contenders)
        for contender in contenders[shift:] + contenders[:shift]:
            run_stream(contender, sinks.program, chosen.bytes)
            run_messages(contender, chosen.messages)
        print(f"run {number + 1} of {chosen.runs} done", file=sys.stderr, flush=True)


def cell(values):
    return "/".join(f"{value:.4g}" for value in
                    (min(values), statistics.median(values), max(values)))


def report(contenders, markdown):
    measures = list(contenders[0].results)
    rows = [["min/median/max", *measures]]
    rows += [[one.name, *(cell(one.results[measure]) for measure in measures)]
             for one in contenders]
    ours = contenders[-1]
    for other in contenders[:-1]:
        rows.append([f"{ours.name} / {other.name}", *(
            f"{statistics.median(ours.results[measure]) / theirs:.2f}"
            if (theirs := statistics.median(other.results[measure])) else "-"
            for measure in measures)])
    if markdown:
        rows.insert(1, ["---"] * len(rows[0]))
        print("\n".join("| " + " | ".join(row) + " |" for row in rows))
        return
    widths = [max(map(len, column)) for column in zip(*rows)]
    print("\n".join("  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip()
                    for row in rows))


def shortfalls(contenders):
    """Where the last contender is slower or dearer than a HAProxy, by medians."""
    ours = contenders[-1]
    for other in contenders[:-1]:
        for measure, values in ours.results.items():
            got, want = statistics.median(values), statistics.median(other.results[measure])
            if other.pids and (got > want if measure.startswith("CPU") else got < want):
                yield f"{measure}: {got:.4g} against {other.name}'s {want:.4g}"


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--runs", type=int, default=5)
    options.add_argument("--bytes", type=int, default=1 << 30, help="length of the bulk stream")
    options.add_argument("--messages", type=int, default=5000)
    options.add_argument("--markdown", action="store_true", help="print a Markdown table")
    options.add_argument("--check", action="store_true", help="exit 1 when HAProxy is better")
    options.add_argument("--haproxy-only", action="store_true", help="leave lychgate out")
    chosen = options.parse_args()
    if not chosen.haproxy_only and not os.access(LYCHGATE, os.X_OK):
        print(f"{LYCHGATE} is missing: build it, or name a build folder by LYCHGATE_BUILD",
              file=sys.stderr)
        return 69
    with contextlib.ExitStack() as stack:
        scratch = ScratchDir("relay")
        stack.callback(scratch.remove)
        sinks = Sinks(scratch, stack)
        contenders = [
            Contender("no proxy", sinks.stream, sinks.mail, []),
            start_haproxy("HAProxy", "", sinks, scratch, stack),
            start_haproxy("HAProxy splice-auto", "option splice-auto", sinks, scratch, stack)]
        if not chosen.haproxy_only:
            contenders.append(start_lychgate(sinks, stack))
        measure(contenders, sinks, chosen)
    report(contenders, chosen.markdown)
    missed = list(shortfalls(contenders)) if not chosen.haproxy_only else []
    for line in missed:
        print(f"short of HAProxy in {line}")
    return 1 if chosen.check and missed else 0


if __name__ == "__main__":
    sys.exit(main())
