"""Real rbldnsd and unbound in scratch directories, serving zones that a test makes up.

Owns: the zone files and both kinds of process (started unprivileged, ended by pid, loopback only).
Knows the file formats and the test points of RFC 5782, nothing of scores or of lychgate. Ready is
what answers a real question.
"""

import os
import pwd
import shutil
import signal
import subprocess
import time

import dns_message
from scratch import ScratchDir, die_with_parent, free_port, kill_quietly, marked_environment

_READY_SECONDS = 60  # rbldnsd has to read the zones first
LISTED4, UNLISTED4 = "127.0.0.2", "127.0.0.1"
LISTED6, UNLISTED6 = "::ffff:7f00:2", "::ffff:7f00:1"


class Zone:
    """One list.

    listed:  {address: code}, {address: (code, code ...)} or an iterable of addresses that all
             have `code`. A generator of millions costs no memory here. IPv4 and IPv6 may be mixed
             in a dict, where rbldnsd has one code for an IPv6 address; an iterable is IPv4
             unless `family` is 6.
    reason:  TXT of every entry, "$" stands for the address; None: no TXT
    ttl, negative_ttl: seconds of records, and of the SOA of what is not listed
    soa:     False leaves the SOA out
    test_points: False lists neither 127.0.0.2 nor ::ffff:7f00:2
    domains: names below the zone, {name: code}, as a list of domains has them
    """

    def __init__(self, name, listed=(), code="127.0.0.2", family=4, reason=None, ttl=300,
                 negative_ttl=60, soa=True, test_points=True, domains=None):
        self.name = name
        self.listed = listed
        self.code = code
        self.family = family
        self.reason = reason
        self.ttl = ttl
        self.negative_ttl = negative_ttl
        self.soa = soa
        self.test_points = test_points
        self.domains = domains

    def write(self, scratch, index):
        """Writes its files; returns rbldnsd's arguments for them."""
        if isinstance(self.listed, dict):
            by_family = {4: {}, 6: {}}
            for address, codes in self.listed.items():
                by_family[6 if ":" in address else 4][address] = codes
            sets = [("ip4set", 4, self._lines(by_family[4]))]
            if by_family[6] or self.test_points:
                sets.append(("ip6trie", 6, self._lines(by_family[6])))
        else:
            # One code for all: the set that takes the least memory.
            kind = {4: "ip4tset", 6: "ip6trie"}
            sets = [(kind[self.family], self.family, (f"{one}\n" for one in self.listed))]
            if self.test_points:
                sets.append((kind[10 - self.family], 10 - self.family, ()))
        if self.domains is not None:
            sets.append(("dnset", None, self._lines(self.domains)))
        return [self._write_set(scratch, f"zone-{index}", *one) for one in sets]

    def _lines(self, listed):
        reason = f":{self.reason}" if self.reason else ""
        for key, codes in listed.items():
            for code in (codes,) if isinstance(codes, str) else codes:
                yield f"{key} :{code}{reason}\n"

    def _write_set(self, scratch, stem, kind, family, lines):
        path = scratch.file(f"{stem}.{kind}")
        with open(path, "w", encoding="ascii", buffering=1 << 20) as out:
            if self.soa:
                out.write(f"$SOA {self.negative_ttl} ns.{self.name} hostmaster.{self.name} 1 1h "
                          f"10m 1d {self.negative_ttl}\n")
            out.write(f"$NS {self.ttl} ns.{self.name}\n$TTL {self.ttl}\n")
            out.write(f":{self.code}:{self.reason or ''}\n")
            if self.test_points and family is not None:
                out.write(f"{LISTED4 if family == 4 else LISTED6}\n")
            out.writelines(lines)
        return f"{self.name}:{kind}:{path}"


class _Daemon:
    """A process in the foreground with a scratch directory, its output in a file."""

    def __init__(self, label, user):
        self._scratch = ScratchDir(label)
        self.dir = self._scratch.path
        self.port = free_port()
        self.server = ("127.0.0.1", self.port)
        self._label = label
        self._user = user if os.geteuid() == 0 else None
        self._process = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    @property
    def pid(self):
        return self._process.pid

    def _start(self, command):
        # Root is given up before exec: a daemon that did so itself would lose die_with_parent.
        options = {}
        if self._user is not None:
            group = pwd.getpwnam(self._user).pw_gid
            options = {"user": self._user, "group": group, "extra_groups": []}
        with open(self._scratch.file("output"), "wb") as out:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=self.dir,
                env=marked_environment(), preexec_fn=die_with_parent, **options)

    def _wait_ready(self, answers):
        """`answers` asks once and says whether the reply is the right one."""
        end = time.monotonic() + _READY_SECONDS
        while not answers():
            if self._process.poll() is not None:
                raise AssertionError(f"{self._label} ended with {self._process.returncode}: "
                                     f"{self.output()}")
            if time.monotonic() > end:
                raise AssertionError(f"{self._label} does not answer after {_READY_SECONDS} s: "
                                     f"{self.output()}")
            time.sleep(0.02)

    def output(self):
        with open(os.path.join(self.dir, "output"), encoding="utf-8", errors="replace") as f:
            return f.read()

    def pause(self):
        """Alive, its port open, and silent: questions queue up in the kernel."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self):
        self._process.send_signal(signal.SIGCONT)

    def stop(self):
        if self._process is not None and self._process.poll() is None:
            self.resume()
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                kill_quietly(self._process.pid)
                self._process.wait()
        self._scratch.remove()


class Rbldnsd(_Daemon):
    """Serves zones. Each is loaded when the constructor returns; it speaks UDP only."""

    def __init__(self, zones):
        super().__init__("rbldnsd", "rbldns")
        self.zones = list(zones)
        try:
            arguments = [argument for index, zone in enumerate(self.zones)
                         for argument in zone.write(self._scratch, index)]
            # -c 0: files are read once. -e: an address need not be a network's first.
            self._start([shutil.which("rbldnsd", path=_SBIN), "-n", "-e", "-c", "0", "-b",
                         f"127.0.0.1/{self.port}", *arguments])
            self._wait_ready(self._answers)
            self._refuse_bad_lines()
        except BaseException:
            self.stop()
            raise

    def _answers(self):
        for zone in self.zones:
            said = dns_message.ask(self.server, dns_message.list_name(LISTED4, zone.name),
                                   seconds=0.2)
            if said is None or bool(said.codes) != self._lists_its_point(zone):
                return False
        return True

    @staticmethod
    def _lists_its_point(zone):
        return zone.test_points or (isinstance(zone.listed, dict) and LISTED4 in zone.listed)

    def _refuse_bad_lines(self):
        """rbldnsd skips lines it does not understand; here that is a mistake in the test."""
        bad = [line for line in self.output().splitlines() if line.startswith("rbldnsd: file ")]
        if bad:
            raise AssertionError(f"rbldnsd did not take the zones: {bad[:3]}")


class Unbound(_Daemon):
    """A caching resolver that knows nothing but the given zones.

    zones: {zone name: (address, port) of its server}; several may share one.
    max_udp: larger answers are truncated, so that clients ask again over TCP
    extra: further lines of the server section
    """

    def __init__(self, zones, max_udp=1232, extra=""):
        super().__init__("unbound", "unbound")
        config = self._scratch.file("unbound.conf", self._configuration(zones, max_udp, extra))
        try:
            self._start([shutil.which("unbound", path=_SBIN), "-d", "-p", "-c", config])
            self._wait_ready(lambda: all(self._answers(zone) for zone in zones))
        except BaseException:
            self.stop()
            raise

    def _answers(self, zone):
        # A test point that a zone may lack must not end up in the cache: any other name will do.
        said = dns_message.ask(self.server, f"ready.{zone}", seconds=0.5)
        return said is not None and said.rcode in (dns_message.NOERROR, dns_message.NXDOMAIN)

    def _configuration(self, zones, max_udp, extra):
        text = _UNBOUND_CONF.format(port=self.port, dir=self.dir, max_udp=max_udp, extra=extra)
        # A transparent zone of its own also opens what is built in as local: names below "test".
        text += "".join(f'  local-zone: "{zone}" transparent\n' for zone in zones)
        for zone, (address, port) in zones.items():
            text += f'stub-zone:\n  name: "{zone}"\n  stub-addr: {address}@{port}\n'
        return text + "remote-control:\n  control-enable: no\n"


_SBIN = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])

# What is in no given zone is refused rather than looked up, so nothing leaves the machine.
_UNBOUND_CONF = """
server:
  interface: 127.0.0.1
  port: {port}
  do-ip6: no
  do-daemonize: no
  chroot: ""
  username: ""
  directory: "{dir}"
  pidfile: ""
  use-syslog: no
  logfile: ""
  verbosity: 0
  num-threads: 1
  module-config: "iterator"
  do-not-query-localhost: no
  access-control: 127.0.0.0/8 allow
  max-udp-size: {max_udp}
  edns-buffer-size: 1232
  outgoing-range: 4096
  num-queries-per-thread: 4096
  outgoing-port-avoid: 0-10999
  so-rcvbuf: 4m
  so-sndbuf: 4m
  msg-cache-size: 256m
  rrset-cache-size: 256m
  jostle-timeout: 5000
  qname-minimisation: no
  local-zone: "." refuse
  {extra}
"""
