"""What is asked of the gate, as ratios of figures of the same run; and figures that need several
rows. Pure: results in, numbers out.

Results are {(server, setting): [one {measure: value} per run, None where the run failed]}.
"""

import dataclasses
import statistics
from typing import Callable

HALF = "accepting"  # the setting of the floor's row that measures its half
IDLE, FLOODED = "alone", "beside a flood"
_SLOT_BYTES, _FIXED_MIB = 64, 64


@dataclasses.dataclass(frozen=True)
class Goal:
    what: str
    bound: float
    at_most: bool
    per_run: Callable  # of one run's {(server, setting): figures}, the figure to judge


@dataclasses.dataclass(frozen=True)
class Judged:
    goal: Goal
    values: list  # one per run that had all it takes

    @property
    def median(self):
        return statistics.median(self.values) if self.values else None

    @property
    def met(self):
        if not self.values:
            return None
        return self.median <= self.goal.bound if self.goal.at_most else (
            self.median >= self.goal.bound)


def runs_of(results):
    """The runs one by one, each as {row: figures}; rows that failed in it are missing."""
    count = max((len(values) for values in results.values()), default=0)
    for number in range(count):
        yield {row: values[number] for row, values in results.items()
               if number < len(values) and values[number] is not None}


def judge(goal, results):
    values = []
    for run in runs_of(results):
        try:
            values.append(goal.per_run(run))
        except (KeyError, TypeError, ValueError, ZeroDivisionError):
            continue  # a row failed in this run, or had no such figure
    return Judged(goal, values)


def _ratio(what, bound, measure, above, below, at_most=True):
    """above and below: rows (server, setting)."""
    return Goal(what, bound, at_most, lambda run: run[above][measure] / run[below][measure])


def _to_floor(settings, bound):
    return [_ratio(f"CPU, lychgate / floor, {one}", bound, "cpu_us", ("lychgate", one),
                   ("floor", one)) for one in settings]


def burst(with_floor, with_postscreen):
    found = _to_floor(with_floor, 1.5)
    for one in with_postscreen:
        for measure, word, bound in (("cpu_us", "CPU", 15),
                                     ("first_byte_p50_ms", "first byte p50", 50),
                                     ("first_byte_p99_ms", "first byte p99", 50)):
            found.append(_ratio(f"{word}, postscreen / lychgate, {one}", bound, measure,
                                ("postscreen", one), ("lychgate", one), False))
    return found


def calm(settings):
    return _to_floor(settings, 1.3)


def lists(scale, setting):
    found = []
    for rate in scale.list_rates:
        fast, slow = setting(rate, False), setting(rate, True)
        found.append(_ratio(f"CPU with late answers / with fast ones, lychgate, {rate}/s", 1.0,
                            "cpu_us", ("lychgate", slow), ("lychgate", fast)))
        found.append(_ratio(f"CPU, postscreen / lychgate, {fast}", 8, "cpu_us",
                            ("postscreen", fast), ("lychgate", fast), False))
    return found


def held(scale, setting):
    counts = scale.held + scale.held_long
    found = []
    for count in counts:
        ours, floor = ("lychgate", setting(count)), ("floor", setting(count))
        found += [
            Goal(f"user MB in all, {count:,} held", _user_bound_mb(count), True,
                 lambda run, row=ours: run[row]["user_mb"]),
            _ratio(f"kernel memory, lychgate / floor, {count:,} held", 1.02, "half_b", ours,
                   floor),
            Goal(f"idle CPU % of a core, {count:,} held", 1.0, True,
                 lambda run, row=ours: run[row]["idle_percent"])]
    most = ("lychgate", setting(scale.held[-1]))
    found.append(_ratio(f"user memory, postscreen / lychgate, {scale.held[-1]:,} held", 20,
                        "user_b", ("postscreen", setting(scale.held[-1])), most, False))
    linear = [count for count in counts if count >= 10_000] or list(counts)
    for measure, word in (("half_b", "kernel memory"), ("user_b", "user memory"),
                          ("accept_us", "CPU to accept")):
        found.append(Goal(f"{word} a client, dearest / cheapest of the counts from {linear[0]:,}",
                          1.1, True, lambda run, measure=measure: _spread(
                              run, measure, [("lychgate", setting(count)) for count in linear])))
    return found


def _user_bound_mb(count):
    return (count * _SLOT_BYTES + _FIXED_MIB * 2**20) / 1e6


def _spread(run, measure, rows):
    values = [run[row][measure] for row in rows]
    if min(values) <= 0:
        raise ValueError("too few clients to tell their memory from noise")
    return max(values) / min(values)


def derive_halves(results):
    """Adds half_b: the floor's half, and what a server's connections take more than the floor's."""
    for run in runs_of(results):
        half = run.get(("floor", HALF), {}).get("half_b")
        for (_, setting), figures in run.items():
            floor = run.get(("floor", setting))
            if half is not None and floor is not None and "both_ends_b" in figures:
                figures["half_b"] = half + figures["both_ends_b"] - floor["both_ends_b"]


def preferred():
    def later(server):
        return _ratio(f"p99 to 220 beside a flood / alone, {server}", 3, "p99_ms",
                      (server, FLOODED), (server, IDLE))
    return [later("lychgate")]


def mail():
    return []
