#!/usr/bin/env python3
"""Measures lychgate, postscreen, HAProxy and a bare accept loop on the same work, in one run.

bash bench/compare.sh [--runs N] [--only WORK ...] [--quick] [--long] [--tune] [--out DIR]

Works: burst, calm, lists, held, preferred, mail (bench/compare/works.py). Writes DIR/benchmarks.md
between its marks, a section per work (those not measured keep theirs), DIR/plots/*.svg, and all
figures as DIR/plots/WORK.json. Exit 0 when all was measured, goals missed or not; 1 when a row
failed in every run; 69 when a program or the right to make a namespace is missing. The system's
own services and network are neither used nor touched.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import shutil
import signal
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [HERE, os.path.dirname(HERE), os.path.join(ROOT, "tests", "e2e")]
sys.dont_write_bytecode = True

import load  # noqa: E402
import name_servers  # noqa: E402
import plots  # noqa: E402
import scratch  # noqa: E402
import servers  # noqa: E402
import tables  # noqa: E402
import world  # noqa: E402
from measuring import Bench  # noqa: E402
from works import NORMAL, QUICK, WORKS  # noqa: E402

_LONG_COUNTS = (100_000, 1_000_000)


def read_command_line():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--runs", type=int, help="runs of everything (5; with --quick 1)")
    options.add_argument("--only", action="append", choices=[work.name for work in WORKS],
                         help="this work alone; may be repeated")
    options.add_argument("--quick", action="store_true",
                         help="few clients: shows that it works, the figures mean little")
    options.add_argument("--long", action="store_true",
                         help="also hold 100,000 and 1,000,000 (wants --tune)")
    options.add_argument("--tune", action="store_true",
                         help="longer queues: somaxconn of the own namespace, and for the time of "
                              "the run netdev_max_backlog of the machine")
    options.add_argument("--out", default=os.path.join(ROOT, "docs"), metavar="DIR",
                         help="where benchmarks.md and plots/ are (docs)")
    chosen = options.parse_args()
    chosen.runs = chosen.runs or (1 if chosen.quick else 5)
    return chosen


def missing():
    """Programs that are not there, with the remedy."""
    for path in (scratch.LYCHGATE, load.FLOOD, servers.FLOOR, servers.SINK):
        if not os.access(path, os.X_OK):
            yield f"{path} is missing: build it, or name a build folder by LYCHGATE_BUILD"
    for name in ("haproxy", "postconf", "rbldnsd", "gnuplot"):
        if not shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"):
            yield f"{name} is missing: bash tests/install.sh compare"
    if os.geteuid() != 0:
        yield "root is needed: Postfix's master and a network namespace ask for it"


def tell(text):
    print(text, file=sys.stderr, flush=True)


def measure_row(bench, row):
    """Its figures, or None with the reason told: one bad run must not lose all others."""
    try:
        return row.measure(bench)
    except (AssertionError, load.LoadFailed, OSError) as error:
        tell(f"  {row.server}, {row.setting}: failed: {str(error)[:400]}")
        return None


def measure_work(bench, work, runs):
    """{(server, setting): [figures of each run]}, interleaved; nobody always goes first."""
    rows = list(work.rows(bench.scale))
    results = {(row.server, row.setting): [] for row in rows}
    for number in range(runs):
        shift = number * len(rows) // max(runs, 1)
        for row in rows[shift:] + rows[:shift]:
            results[row.server, row.setting].append(measure_row(bench, row))
        tell(f"{work.name}: run {number + 1} of {runs} done")
    if work.derive:
        work.derive(results)
    return results


def keep(results, path):
    with open(path, "w", encoding="utf-8") as out:
        json.dump([{"server": server, "setting": setting, "runs": runs}
                   for (server, setting), runs in results.items()], out, indent=1)
        out.write("\n")


def write_up(chosen, scale, work, results, machine):
    """Plots, figures and the section of one work; at once, so a later failure loses nothing."""
    folder = os.path.join(chosen.out, "plots")
    os.makedirs(folder, exist_ok=True)
    keep(results, os.path.join(folder, f"{work.name}.json"))
    pictures = [(title, f"plots/{name}") for title, name in plots.draw(work, results, folder)]
    section = tables.section(work, work.what.format(**dataclasses.asdict(scale)), results,
                             tables.judge_all(work, scale, results), pictures, chosen.runs)
    tables.put_between_marks(os.path.join(chosen.out, "benchmarks.md"), work.name, section,
                             tables.preface(machine), [one.name for one in WORKS])
    print(section, flush=True)


def run(chosen):
    scale = QUICK if chosen.quick else NORMAL
    if chosen.long:
        scale = dataclasses.replace(scale, held_long=_LONG_COUNTS)
    works = [work for work in WORKS if not chosen.only or work.name in chosen.only]
    empty = False
    with contextlib.ExitStack() as stack:
        backlog = world.enter(stack, chosen.tune)
        sink = servers.Sink()
        stack.callback(sink.stop)
        bench = Bench(scale=scale, backlog=backlog, sink=sink)
        if any(work.name == "lists" for work in works):
            name_servers.start(stack, scale.list_delay)
        if any(work.name == "preferred" for work in works):
            bench.smtpd = servers.Smtpd()
            stack.callback(bench.smtpd.stop)
        machine = world.machine()
        for work in works:
            results = measure_work(bench, work, chosen.runs)
            write_up(chosen, scale, work, results, machine)
            empty |= any(not any(runs) for runs in results.values())
    return 1 if empty else 0


def end_on_signal(number, _):
    raise SystemExit(128 + number)


def main():
    chosen = read_command_line()
    lacks = list(missing())
    if lacks:
        print("\n".join(lacks), file=sys.stderr)
        return 69
    signal.signal(signal.SIGTERM, end_on_signal)
    try:
        return run(chosen)
    except KeyboardInterrupt:
        return 130
    finally:
        for pid in scratch.processes_marked(scratch.MARK):
            scratch.kill_quietly(pid)


if __name__ == "__main__":
    sys.exit(main())
