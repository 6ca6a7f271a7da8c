"""Backends that tell a client its score: one sink for each score, chosen by routes with max_score.

Owns the sinks. So a test sees the exact sum of every client in its greeting, not only a verdict:
the gate itself greets only those whom it refuses.
"""

import re

from clients import Sink
from gate import no_dialogue, pool, route

SCORES_MAX = 31  # pools of one gate, less the one for all that is higher


class ScorePools:
    """One pool for each score from `least` to `greatest` and one for what is above. Who scores
    less than `least` is greeted as having `least`: leave room below."""

    def __init__(self, least, greatest, connections=2000):
        assert greatest - least < SCORES_MAX
        names = [str(score) for score in range(least, greatest + 1)] + ["more"]
        self._connections = connections
        self._sinks = {name: Sink(f"220 score {name}\r\n") for name in names}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        for sink in self._sinks.values():
            sink.stop()

    def body(self):
        """The tables of pools and routes, and of the dialogue: who fails nothing has none."""
        pools, routes = "", ""
        for name, sink in self._sinks.items():
            pools += pool(f"score{name}", f"tcp:127.0.0.1:{sink.port}", proxy_protocol="none",
                          connections=self._connections, wait="30s")
            routes += route(f"score{name}", None if name == "more" else f"max_score = {name}")
        return pools + routes + no_dialogue()


def score_in(heard):
    """The score a greeting tells, as an int or "more"; None: the client was not let in."""
    found = re.search(r"^220 score (\S+)\r$", heard.text, re.M)
    if found is None:
        return None
    return found.group(1) if found.group(1) == "more" else int(found.group(1))
