"""The works: which servers do what, which figures of it are shown, and what is asked of the gate.

One row of WORKS each. A row of a work is (server, setting) and the measurement that fills it; a
goal is a ratio of figures of the same run and its bound. Nothing here starts or reads anything.
"""

import dataclasses
import functools
from typing import Callable

import goals
import measuring
import name_servers
from plots import Plot
from world import resolve_with

SCREENERS = ("lychgate", "postscreen", "HAProxy", "floor")


@dataclasses.dataclass(frozen=True)
class Scale:
    """How much of everything; the rates are arrivals a second."""

    wait: int = 2
    burst: int = 18_000
    calm_rate: int = 2_000
    calm: int = 20_000
    list_seconds: int = 8
    list_rates: tuple = (1_000, 2_000)
    list_late_postscreen: int = 1_000  # beyond it dnsblogs fill the memory
    list_delay: float = 0.1
    held: tuple = (1_000, 5_000, 10_000, 17_000)
    held_long: tuple = ()
    idle_seconds: int = 5
    preferred_rate: int = 100
    preferred_seconds: int = 10
    flood_rate: int = 50_000
    mails: int = 10_000
    mail_bytes: int = 20_000


NORMAL = Scale()
QUICK = Scale(wait=1, burst=300, calm_rate=200, calm=200, list_seconds=2, list_rates=(100,),
              held=(300, 600), idle_seconds=1, preferred_rate=20,
              preferred_seconds=2, flood_rate=500, mails=200)


@dataclasses.dataclass(frozen=True)
class Column:
    measure: str
    heading: str


@dataclasses.dataclass(frozen=True)
class Row:
    server: str
    setting: str
    measure: Callable  # of a Bench, gives {measure: value}


@dataclasses.dataclass(frozen=True)
class Work:
    name: str
    title: str
    what: str
    columns: tuple
    rows: Callable       # of a Scale
    goals: Callable      # of a Scale
    plots: tuple         # of plots.Plot
    derive: Callable = None  # completes the results: figures that need several rows


SERVED = Column("unserved", "not served")
CPU = Column("cpu_us", "CPU us a client")
FIRST = (Column("first_byte_p50_ms", "first byte p50 ms"),
         Column("first_byte_p99_ms", "p99 ms"))
HANG_UP, EARLY, STAY = "hangs up", "talks early", "stays"


def _screening_rows(scale, endings, **wanted):
    """A zombie's life, by its ending; until the wait is over all have heard the first line only.
    Who stays is passed on; HAProxy, with two descriptors for a relay, cannot do that for so many.
    """
    manners = {HANG_UP: ("zombie", scale.wait * 500, (*SCREENERS, "bare life")),
               EARLY: ("early", scale.wait * 10_000, SCREENERS),
               STAY: ("zombie", scale.wait * 1_000 + 5_000, ("lychgate", "postscreen"))}
    for setting in endings:
        profile, hold_ms, servers = manners[setting]
        for server in servers:
            yield Row(server, setting,
                      functools.partial(measuring.screened, name=server, profile=profile,
                                        hold=f"{hold_ms}ms", **wanted))


def burst_rows(scale):
    return _screening_rows(scale, (HANG_UP, EARLY, STAY), clients=scale.burst,
                           parallel=scale.burst)


def calm_rows(scale):
    return _screening_rows(scale, (HANG_UP, EARLY), clients=scale.calm, parallel=scale.calm,
                           rate=scale.calm_rate)


def lists_setting(rate, slow):
    return f"{rate}/s, {'late' if slow else 'fast'} answers"


def lists_rows(scale):
    for server in ("lychgate", "postscreen"):
        for rate in scale.list_rates:
            for slow in (False, True):
                if slow and server == "postscreen" and rate > scale.list_late_postscreen:
                    continue
                yield Row(server, lists_setting(rate, slow),
                          functools.partial(_ask_lists, server=server, rate=rate, slow=slow))


def _ask_lists(bench, server, rate, slow):
    name_server = name_servers.SLOW if slow else name_servers.FAST
    resolve_with(name_server)
    door = bench.door(sites=tuple(f"{zone}*2" for zone in name_servers.ZONES), threshold=5,
                      name_server=name_server)
    clients = rate * bench.scale.list_seconds
    return measuring.screened(bench, server, "zombie", clients, sample=True, door=door, rate=rate,
                              parallel=clients, hold=f"{door.wait + 1}s")


def held_setting(count):
    return f"{count:,}"


def held_rows(scale):
    for count in scale.held + scale.held_long:
        for server in SCREENERS if count in scale.held else ("lychgate", "floor"):
            yield Row(server, held_setting(count),
                      functools.partial(measuring.held, name=server, count=count))
    yield Row("floor", goals.HALF,
              functools.partial(measuring.accepted_half, name="floor", count=scale.held[-1]))


def preferred_rows(scale):
    del scale
    for server in ("direct", "lychgate", "postscreen", "HAProxy"):
        for flooded in (False, True):
            if server == "direct" and flooded:
                continue  # it has nothing to flood
            yield Row(server, goals.FLOODED if flooded else goals.IDLE,
                      functools.partial(measuring.preferred, name=server, flooded=flooded))


def mail_rows(scale):
    del scale
    for server, handoff in (("direct", "straight"), ("lychgate", "pass"), ("lychgate", "splice"),
                            ("postscreen", "pass"), ("HAProxy", "relay")):
        yield Row(server, handoff, functools.partial(measuring.mail, name=server, handoff=handoff))


WORKS = (
    Work("burst", "A burst",
         "{burst:,} clients at once, closed loop, each from an address of its own, through a wait "
         "of {wait} s. They hang up in the middle of it, talk at once and are dropped, or stay and "
         "are passed on by descriptor. The floor says its banner and closes; the bare life is the "
         "same loop that also waits, looks and then closes. CPU of all processes of the server, "
         "until the last client is forgotten.",
         (CPU, *FIRST, SERVED), burst_rows,
         lambda scale: goals.burst((HANG_UP, EARLY), (HANG_UP, EARLY, STAY)),
         (Plot("burst-cpu", "cpu_us", "CPU of the server, us a client"),
          Plot("burst-first-byte", "first_byte_p50_ms", "first byte, median, ms"))),
    Work("calm", "A calm hour",
         "The first two of these lives, {calm:,} clients, arriving at {calm_rate:,} a second (open "
         "loop, latency from the intended start): now each wakes the core, the floor's too.",
         (CPU, *FIRST, SERVED), calm_rows,
         lambda scale: goals.calm((HANG_UP, EARLY)),
         (Plot("calm-cpu", "cpu_us", "CPU of the server, us a client"),)),
    Work("lists", "DNS lists",
         "Open loop, {list_seconds} s. Each client is asked about at three lists of a real rbldnsd "
         "(none has it), waits {wait} s, is passed by descriptor and hears 220. Late answers come "
         "{list_delay:g} s later, through a forwarder.",
         (CPU, *FIRST, Column("processes", "processes, most"), Column("user_mb", "user MB, most"),
          SERVED), lists_rows,
         lambda scale: goals.lists(scale, lists_setting),
         (Plot("lists-cpu", "cpu_us", "CPU of the server, us a client"),)),
    Work("held", "What a held client costs",
         "Silent clients in a wait of 60 s. User memory is what all processes have more (PSS) than "
         "with no client; the gate's slot of 64 bytes, reserved at start, is added to it. Kernel "
         "memory is the server's half of the connection, in objects of the slab caches. The "
         "client's half is the same for all: what differs from the floor is the server's, and "
         "the floor's own half is what its accepting adds to a connection in the queue. Idle CPU "
         "is that of {idle_seconds} s with all held, in percent of a core.",
         (Column("user_b", "user B a client"), Column("user_mb", "user MB in all"),
          Column("half_b", "kernel B a client"), Column("accept_us", "CPU us to accept"),
          Column("idle_percent", "idle CPU %")), held_rows,
         lambda scale: goals.held(scale, held_setting),
         (Plot("held-kernel", "half_b", "kernel memory, B a client", over_count=True),
          Plot("held-user", "user_b", "user memory, B a client", over_count=True)),
         goals.derive_halves),
    Work("preferred", "Time to 220 for a preferred client",
         "{preferred_rate} allowlisted clients a second go to a real smtpd of Postfix, alone and "
         "beside a flood of zombies at {flood_rate:,} a second, or the most that the load's core "
         "makes (open loop, each gone after 0.1 s, wait of 6 s). Smtpd and these clients share a core with "
         "the flood and come first there, so that the server's part is seen.",
         (Column("p50_ms", "220 p50 ms"), Column("p99_ms", "p99 ms"),
          Column("flood_rate", "flood connects/s"), SERVED), preferred_rows,
         lambda scale: goals.preferred(),
         (Plot("time-to-220", "p50_ms", "time to 220, median, ms"),
          Plot("time-to-220-p99", "p99_ms", "time to 220, p99, ms"))),
    Work("mail", "Whole mails",
         "{mails:,} transactions of {mail_bytes:,} bytes, a connection each, 50 at a time, to a "
         "sink that forgets them.",
         (Column("mails_per_s", "transactions/s"), Column("cpu_us", "CPU us a transaction"),
          Column("p50_ms", "p50 ms"), Column("p99_ms", "p99 ms"), SERVED), mail_rows,
         lambda scale: goals.mail(),
         (Plot("mail-rate", "mails_per_s", "transactions a second"),)),
)
