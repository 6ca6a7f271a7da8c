"""What a client must score, worked out in Python from the zone data: the judge of the gate's sums.

Written from the manual of postscreen_dnsbl_sites and the catalogue's own rules, without the gate's
code. Reads the catalogue as data. Exact rather than fast.
"""

import os
import re
import tomllib

from scratch import ROOT

_SITE = re.compile(r"([^=*]+)(?:=([^*]+))?(?:\*([+-]?\d+))?")
_OCTET = re.compile(r"\[[^\]]*\]|\d+")
ERRORS = ("error", "over quota", "dead")


class Pattern:
    """d.d.d.d with each d a number or [item;item...], item n or n..m."""

    def __init__(self, text):
        octets = _OCTET.findall(text)
        assert len(octets) == 4, text
        self._sets = [self._numbers(octet.strip("[]")) for octet in octets]

    @staticmethod
    def _numbers(text):
        numbers = set()
        for item in text.split(";"):
            first, _, last = item.partition("..")
            numbers.update(range(int(first), int(last or first) + 1))
        return numbers

    def matches(self, code):
        return all(int(part) in numbers for part, numbers in zip(code.split("."), self._sets))


class Catalogue:
    """The built-in one, or what `text` says in its place."""

    def __init__(self, text=None):
        if text is None:
            with open(os.path.join(ROOT, "dns", "catalogue.toml"), encoding="utf-8") as f:
                text = f.read()
        self._lists = {}
        for entry in tomllib.loads(text).get("list", []):
            rows = [(Pattern(row["code"]), row["is"], row.get("weight", entry.get("weight", 0)))
                    for row in entry.get("codes", [])]
            self._lists[entry["zone"]] = (bool(entry.get("keyed")), rows)

    def rows(self, domain):
        """None: nobody has described this list."""
        for zone, (keyed, rows) in self._lists.items():
            label, _, rest = domain.partition(".")
            if domain == zone or (keyed and label and rest == zone):
                return rows
        return None


class Reference:
    def __init__(self, sites, catalogue=None):
        self._lines = {}
        catalogue = catalogue or Catalogue()
        for text in sites:
            domain, pattern, weight = _SITE.fullmatch(text).groups()
            self._lines.setdefault(domain, []).append(
                (Pattern(pattern) if pattern else None, int(weight) if weight else None))
        self._rows = {domain: catalogue.rows(domain) for domain in self._lines}

    def lists(self):
        return list(self._lines)

    def score(self, answers):
        """answers: {domain: codes}, what is missing is not listed."""
        return sum(self.list_score(domain, answers.get(domain, ())) for domain in self._lines)

    def list_score(self, domain, codes):
        """One record that is an error spoils the whole answer: the list is not to be believed."""
        if any(self._is_error(domain, code) for code in codes):
            return 0
        return sum(self._line_score(domain, line, codes) for line in self._lines[domain])

    def _row(self, domain, code):
        for pattern, meaning, weight in self._rows[domain] or ():
            if pattern.matches(code):
                return meaning, weight
        return None, 0

    def _is_error(self, domain, code):
        outside = not code.startswith("127.") or code.startswith("127.255.255.")
        return outside or self._row(domain, code)[0] in ERRORS

    def _line_score(self, domain, line, codes):
        """The line's weight at most once; of several the one that says most, in doubt the good."""
        pattern, weight = line
        said = [0]
        for code in codes:
            meaning, own = self._row(domain, code)
            meant = pattern.matches(code) if pattern else meaning in ("listed", "allow")
            if meant and weight is not None:
                said.append(weight)
            elif meant:
                # postscreen's default weight is 1 where the catalogue has none.
                said.append(own if meaning in ("listed", "allow") else 1)
        return max(said, key=lambda value: (abs(value), -value))
