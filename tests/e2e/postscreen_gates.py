"""Gates configured like the postscreens of postscreen_real.py, one for each profile.

Knows the gate's configuration; owns the gates."""

import re

from gate import Gate, greet, limits, pool, route, table
from postscreen_real import (ALLOW_THRESHOLD, COMMAND_SECONDS, COMMANDS_MAX, EARLY_ONLY,
                             GREET_SECONDS, PROFILES, SITES, THRESHOLD, action_of)


def _body(profile, backend, lists):
    action = action_of(profile)
    deep = {"enable": profile != EARLY_ONLY, "action": action}
    return (greet(wait=f"{GREET_SECONDS}s", pregreet=action)
            + table("dialogue", command_time_limit=f"{COMMAND_SECONDS}s",
                    command_count_limit=COMMANDS_MAX)
            + "".join(table(f"dialogue.{test}", **deep)
                      for test in ("pipelining", "non_smtp_command", "bare_newline"))
            + table("dns", servers=[f"127.0.0.1:{lists[1]}"], timeout="1s")
            + table("dnsl", sites=list(SITES), threshold=THRESHOLD, action=action,
                    allow_threshold=ALLOW_THRESHOLD)
            + limits(per_address=0) + pool("out", f"pass:{backend}") + route("out"))


class Gates:
    """access: text of an access list. backend: path of a `pass` service. lists: (address, port)."""

    def __init__(self, access, backend, lists):
        self._gates = {}
        try:
            for profile in PROFILES:
                self._gates[profile] = Gate(_body(profile, backend, lists), access=access,
                                            access_reject=action_of(profile))
            for gate in self._gates.values():
                for site in SITES:
                    gate.wait_list(site.partition("=")[0], "up")
        except BaseException:
            self.stop()
            raise

    def __getitem__(self, profile):
        return self._gates[profile]

    def said_of(self, profile, address):
        """What the gate of a profile has logged of an address, in its order."""
        return re.findall(rf"\]: (.*\[{re.escape(address)}\]:\d+.*)", self[profile].log())

    def stop(self):
        for gate in self._gates.values():
            gate.stop()
