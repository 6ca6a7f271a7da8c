"""The real postscreen of Postfix in the scratch instance, one service for each way to configure it.

Owns: what its master.cf has more than other tests', and a stand-in for dnsblog, which would ask the
servers of /etc/resolv.conf: it asks a given server the same question and answers as dnsblog does.
"""

import os
import pwd
import re
import socket
import threading

import dns_message
from postfix import Postfix
from scratch import free_port

GREET_SECONDS = 2
COMMAND_SECONDS = 5
SITES = ("bl.gate.test=127.0.0.2*2", "half.gate.test=127.0.0.2*1", "good.gate.test=127.0.0.2*-3")
THRESHOLD = 2
ALLOW_THRESHOLD = -1
COMMANDS_MAX = 20

# What a failed test does, and whether those behind the greeting are on for everybody.
ENFORCE, DROP, IGNORE, EARLY_ONLY = "enforce", "drop", "ignore", "early-only"
PROFILES = (ENFORCE, DROP, IGNORE, EARLY_ONLY)

_SERVICE = """
127.0.0.1:{port} inet n - n - 1 postscreen
    -o syslog_name=postfix/{profile}
    -o postscreen_cache_map=
    -o postscreen_access_list=cidr:{access}
    -o postscreen_greet_wait={wait}s
    -o postscreen_greet_banner=$smtpd_banner
    -o postscreen_command_time_limit={seconds}s
    -o postscreen_command_count_limit={commands}
    -o postscreen_pre_queue_limit=1000
    -o postscreen_dnsbl_sites={sites}
    -o postscreen_dnsbl_threshold={threshold}
    -o postscreen_dnsbl_allowlist_threshold={allow}
    -o postscreen_denylist_action={action}
    -o postscreen_greet_action={action}
    -o postscreen_dnsbl_action={action}
    -o postscreen_pipelining_enable={deep}
    -o postscreen_pipelining_action={action}
    -o postscreen_non_smtp_command_enable={deep}
    -o postscreen_non_smtp_command_action={action}
    -o postscreen_bare_newline_enable={deep}
    -o postscreen_bare_newline_action={action}
"""
_SMTPD = "smtpd pass - - n - 120 smtpd -o syslog_name=postfix/behind\n"


def action_of(profile):
    return ENFORCE if profile == EARLY_ONLY else profile


class Postscreen(Postfix):
    """access: text of an access list. lists: (address, port) of a server of the sites' zones."""

    def __init__(self, access, lists):
        self._access = access
        self._lists = lists
        self._dnsblog = None
        self.ports = {profile: free_port() for profile in PROFILES}
        super().__init__()

    def _write_configuration(self):
        super()._write_configuration()
        access = self._scratch.file("etc/access.cidr", self._access)
        with open(os.path.join(self.dir, "etc/master.cf"), "a", encoding="ascii") as out:
            out.write(_SMTPD)
            for profile, port in self.ports.items():
                out.write(_SERVICE.format(
                    port=port, profile=profile, access=access, wait=GREET_SECONDS,
                    seconds=COMMAND_SECONDS, commands=COMMANDS_MAX, sites=",".join(SITES),
                    threshold=THRESHOLD, allow=ALLOW_THRESHOLD, action=action_of(profile),
                    deep="no" if profile == EARLY_ONLY else "yes"))

    def _make_directories(self):
        super()._make_directories()
        self._dnsblog = Dnsblog(os.path.join(self.dir, "queue/private/dnsblog"), self._lists)

    def stop(self):
        super().stop()
        if self._dnsblog is not None:
            self._dnsblog.stop()

    def said_of(self, profile, address):
        """What the service of a profile has logged of an address, in its order."""
        pattern = rf"postfix/{profile}/postscreen\[\d+\]: (.*\[{re.escape(address)}\]:\d+.*)"
        return re.findall(pattern, self.log())


class Dnsblog:
    """The unix socket private/dnsblog: one question a connection, attributes ended by NULs."""

    def __init__(self, path, server):
        self._server = server
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(path)
        os.chown(path, pwd.getpwnam("postfix").pw_uid, -1)
        os.chmod(path, 0o666)
        self._socket.listen(1024)
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self):
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:  # stop() has shut it down
                return
            threading.Thread(target=self._answer, args=(client,)).start()

    def _answer(self, client):
        with client:
            client.settimeout(10)
            try:
                asked = b""
                while not asked.endswith(b"\0\0"):
                    piece = client.recv(4096)
                    if not piece:
                        return
                    asked += piece
                words = asked[:-1].decode().split("\0")[:-1]
                told = dict(zip(words[::2], words[1::2], strict=True))
                name = dns_message.list_name(told["client_address"], told["rbl_domain"])
                reply = dns_message.ask(self._server, name, seconds=GREET_SECONDS)
                codes = " ".join(reply.codes) if reply is not None else ""
                words += ["rbl_addr", codes, "ttl", "60"]
                client.sendall("".join(f"{word}\0" for word in words).encode() + b"\0")
            except OSError:  # postscreen asks no more
                return

    def stop(self):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()
