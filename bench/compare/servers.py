"""The servers that are compared, each pinned to its core and ended by pid.

Each takes the same Door, says on which port it waits (127.0.0.1) and which processes are its own,
so that CPU and memory are asked of all of them alike: the gate's supervisor, shard and steward;
master, postscreen and every dnsblog (not postlogd, as nobody counts a syslogd); HAProxy with one
thread; the bare accept loop. Owns scratch directories; knows no load and no figures.
"""

import contextlib
import dataclasses
import os
import signal
import subprocess
import time

import accounting
from gate import Gate, greet, limits, pool, route, table
from postfix import Postfix
from relay_compare import Child, pinned, wait_listening
from scratch import (BUILD, ScratchDir, die_with_parent, free_port, kill_quietly,
                     marked_environment, processes_marked, wait_until)
from world import LOAD_CORE, SERVER_CORE

FLOOR = os.path.join(BUILD, "bench", "lychgate-floor")
SINK = os.path.join(BUILD, "bench", "lychgate-sink")
_QUIET_SECONDS = 0.25


@dataclasses.dataclass(frozen=True)
class Door:
    """What a server shall do with its clients.

    wait:    seconds that an unknown client must stay silent
    allow:   network whose clients go through at once; empty: none
    backend: whom approved clients are given to: has `pass_path` and `port`
    sites, threshold: DNS lists (postscreen's grammar), asked of name_server
    handoff: for the gate, "pass" or "splice"
    mode:    for the floor
    """

    wait: int
    backend: object
    backlog: int
    allow: str = ""
    sites: tuple = ()
    threshold: int = 1
    name_server: str = "127.0.0.1"
    handoff: str = "pass"
    mode: str = "write-close"
    banner: bool = True
    held_most: int = 20_000


class _Program:
    """One of our small programs: says its port first, and counts as JSON when it ends."""

    def __init__(self, core, *command):
        with pinned(core):
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                env=marked_environment(), preexec_fn=die_with_parent)
        self.pid = self._process.pid
        said = self._process.stdout.readline().split()
        if not said:
            raise AssertionError(f"{command[0]} ended with {self._process.wait()}")
        self.port = int(said[1])

    def signal(self, number):
        self._process.send_signal(number)

    def stop(self):
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(60)  # a million sockets take a while to close
            except subprocess.TimeoutExpired:
                kill_quietly(self.pid)
                self._process.wait()
        self._process.stdout.close()


class Sink(_Program):
    """Takes connections, passed ones too, and forgets their mail."""

    def __init__(self):
        self._scratch = ScratchDir("sink")
        self.pass_path = os.path.join(self._scratch.path, "pass")
        super().__init__(LOAD_CORE, SINK, "--pass", self.pass_path)

    def stop(self):
        super().stop()
        self._scratch.remove()


class Smtpd:
    """A real Postfix smtpd on the load's core, as the backend of all that is compared."""

    def __init__(self):
        with pinned(LOAD_CORE):
            self._postfix = Postfix()
        self.pass_path = self._postfix.friendly
        self.port = self._postfix.plain_port
        self.stop = self._postfix.stop


class Server:
    """What all have in common. `reserved_bytes`: user memory a client has before it comes."""

    reserved_bytes = 0
    port = 0

    def pids(self):
        raise NotImplementedError

    def reaped(self):
        return 0.0

    def cpu(self):
        """CPU seconds of all its processes so far."""
        return self.reaped() + accounting.living_cpu(self.pids())

    def user_bytes(self):
        return accounting.user_bytes(self.pids())

    def stop(self):
        raise NotImplementedError


class Floor(Server):
    name = "floor"

    def __init__(self, door):
        words = [FLOOR, "--mode", self.mode(door), "--backlog", str(door.backlog),
                 "--wait", str(door.wait * 1000)]
        if not door.banner:
            words += ["--banner", ""]
        self._program = _Program(SERVER_CORE, *words)
        self.port = self._program.port
        self.stop = self._program.stop

    @staticmethod
    def mode(door):
        return door.mode

    def pids(self):
        return [self._program.pid]

    def rest(self):
        """Accepts nobody until resume()."""
        self._program.signal(signal.SIGSTOP)

    def resume(self):
        self._program.signal(signal.SIGCONT)


class BareLife(Floor):
    """The same loop living a zombie's whole life: it waits, looks once and closes, and knows no
    limits, access list, verdict or log."""

    name = "bare life"

    @staticmethod
    def mode(door):
        return "life"


class Direct(Server):
    """Nothing in between: the backend itself, whose CPU is not a server's."""

    name = "direct"

    def __init__(self, door):
        self.port = door.backend.port

    def pids(self):
        return []

    def stop(self):
        pass


class _DeepGate(Gate):
    """With the listener's queue as deep as the others have it."""

    def __init__(self, backlog, *arguments, **named):
        self._backlog = backlog
        super().__init__(*arguments, **named)

    def _configuration(self, top, body, access, access_reject):
        text = super()._configuration(top, body, access, access_reject)
        return text.replace("[control]", f"backlog = {self._backlog}\n[control]", 1)


class Lychgate(Server):
    name = "lychgate"
    reserved_bytes = 64  # one slot, taken and touched at start

    def __init__(self, door):
        if door.handoff == "pass":
            backend = pool("door", f"pass:{door.backend.pass_path}", connections=10_000)
        else:
            backend = pool("door", f"tcp:127.0.0.1:{door.backend.port}", proxy_protocol="none",
                           connections=10_000)
        bounds = {"per_address": 0}
        if door.held_most > 20_000:
            bounds["per_shard"] = door.held_most
        body = (greet(wait=f"{door.wait}s", pregreet="drop") + limits(**bounds) + backend
                + route("door"))
        if door.sites:
            body += (table("dns", servers=[door.name_server])
                     + table("dnsl", sites=door.sites, threshold=door.threshold, action="drop"))
        access = f"{door.allow} permit\n" if door.allow else None
        with pinned(SERVER_CORE):
            self._gate = _DeepGate(door.backlog, body, top="shards = 1", access=access)
        self.port = self._gate.port
        self.stop = self._gate.stop
        for site in door.sites:
            self._gate.wait_list(site.partition("=")[0].partition("*")[0], "up")
        self._pids = self._gate.processes()

    def pids(self):
        return self._pids


_POSTSCREEN_MAIN_CF = """
postscreen_greet_wait = {wait}s
postscreen_greet_action = drop
postscreen_access_list = {access}
postscreen_dnsbl_sites = {sites}
postscreen_dnsbl_threshold = {threshold}
postscreen_dnsbl_action = drop
postscreen_cache_map =
postscreen_client_connection_count_limit = 0
postscreen_pre_queue_limit = 19500
postscreen_post_queue_limit = 19500
postscreen_upstream_proxy_protocol =
# Also the backlog of its sockets: a burst of lookups beyond it is not asked at all.
default_process_limit = {backlog}
"""
_POSTSCREEN_MASTER_CF = """
127.0.0.1:{port} inet n - n - 1 postscreen -o smtpd_service_name=standin
dnsblog unix - - n - 0 dnsblog
"""


class _PostscreenInstance(Postfix):
    """The scratch Postfix with postscreen before the backend, and its cache off."""

    def __init__(self, door):
        self._door = door
        self.postscreen_port = free_port()
        super().__init__()
        os.symlink(door.backend.pass_path, os.path.join(self.dir, "queue/private/standin"))

    def _write_configuration(self):
        super()._write_configuration()
        door = self._door
        access = ""
        if door.allow:
            path = self._scratch.file("etc/access.cidr", f"{door.allow} permit\n")
            access = f"cidr:{path}"
        self._append("etc/main.cf", _POSTSCREEN_MAIN_CF.format(
            wait=door.wait, access=access, sites=" ".join(door.sites), threshold=door.threshold,
            backlog=door.backlog))
        self._append("etc/master.cf", _POSTSCREEN_MASTER_CF.format(port=self.postscreen_port))

    def _append(self, name, text):
        with open(os.path.join(self.dir, name), "a", encoding="ascii") as out:
            out.write(text)

    def master_pid(self):
        return self._master.pid


class Postscreen(Server):
    name = "postscreen"

    def __init__(self, door):
        with pinned(SERVER_CORE):
            self._postfix = _PostscreenInstance(door)
        self._mark = f"MAIL_CONFIG={self._postfix.dir}/etc"
        self.port = self._postfix.postscreen_port
        self.stop = self._postfix.stop
        for pid in self._family("postlogd"):
            os.sched_setaffinity(pid, {LOAD_CORE})

    def _family(self, *names):
        found = []
        for pid in processes_marked(self._mark):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/comm", encoding="ascii") as f:
                if f.read().strip() in names:
                    found.append(pid)
        return found

    def pids(self):
        # master's own environment has no mark until it sets it for its children.
        return list({self._postfix.master_pid(), *self._family("master", "postscreen", "dnsblog")})

    def reaped(self):
        return accounting.reaped_cpu(self._postfix.master_pid())

    def lookup_processes(self):
        return len(self._family("dnsblog"))


_HAPROXY_CFG = """
global
  nbthread 1
  maxconn 19500
  # A relay takes two descriptors, a client in its wait one.
  no strict-limits
defaults
  mode tcp
  timeout connect 5s
  timeout client 120s
  timeout server 120s
frontend door
  bind 127.0.0.1:{port} backlog {backlog}
{rules}
  default_backend sink
backend sink
  server sink 127.0.0.1:{sink}
"""


class HaProxy(Server):
    name = "HAProxy"

    def __init__(self, door):
        self._scratch = ScratchDir("haproxy")
        self.port = free_port()
        config = self._scratch.file("haproxy.cfg", _HAPROXY_CFG.format(
            port=self.port, backlog=door.backlog, rules="\n".join(self._rules(door)),
            sink=door.backend.port))
        with contextlib.ExitStack() as stack:
            stack.callback(self._scratch.remove)
            self._child = Child(SERVER_CORE, "haproxy", "-db", "-f", config)
            stack.callback(self._child.stop)
            wait_listening(self.port)
            self._kept = stack.pop_all()

    @staticmethod
    def _rules(door):
        if door.wait:
            yield f"  tcp-request inspect-delay {door.wait}s"
            if door.allow:
                yield f"  tcp-request content accept if {{ src {door.allow} }}"
            yield "  tcp-request content reject if { req.len gt 0 }"
            yield "  tcp-request content accept if WAIT_END"

    def pids(self):
        return [self._child.pid]

    def stop(self):
        self._kept.close()


BY_NAME = {kind.name: kind for kind in (Lychgate, Postscreen, HaProxy, Floor, BareLife, Direct)}


def wait_for_quiet(server, seconds):
    """Until it spends next to nothing, so that work left over is counted too."""
    last = [server.cpu()]

    def is_quiet():
        now = server.cpu()
        spent, last[0] = now - last[0], now
        return spent < 0.004
    time.sleep(_QUIET_SECONDS)
    wait_until(is_quiet, seconds, f"{server.name} has finished", pause=_QUIET_SECONDS)
