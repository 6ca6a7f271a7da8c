"""A real Postfix in a scratch directory: own configuration, queue, data and log, loopback only.

Owns: the directories, the master process (ended by its pid) and the Maildirs it delivers into.
Never reads or changes /etc/postfix or a Postfix that already runs; needs root, as master does.
Services: two `pass` sockets (friendly, hostile), a TCP and a unix smtpd that expect a PROXY
header, and a plain TCP smtpd with the friendly settings for comparison.
"""

import grp
import hashlib
import os
import pwd
import re
import signal
import subprocess

from scratch import (ScratchDir, die_with_parent, free_port, kill_quietly, marked_environment,
                     processes_marked, wait_until)

DOMAIN = "gate.test"
MAILBOXES = 64  # box0@gate.test ... each its own Maildir

_MAIN_CF = """
compatibility_level = 3.6
queue_directory = {dir}/queue
data_directory = {dir}/data
maillog_file = {dir}/mail.log
maillog_file_prefixes = {dir}
myhostname = mx.{domain}
mydestination =
mynetworks =
inet_interfaces = loopback-only
inet_protocols = ipv4
local_recipient_maps =
alias_maps =
alias_database =
virtual_mailbox_domains = {domain}
virtual_mailbox_maps = texthash:{dir}/etc/mailboxes
virtual_mailbox_base = {dir}/mail
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_minimum_uid = 1
virtual_mailbox_limit = 0
smtpd_relay_restrictions = reject_unauth_destination
smtpd_peername_lookup = no
smtpd_client_port_logging = yes
smtpd_client_connection_count_limit = 500
smtpd_tls_security_level = none
disable_dns_lookups = yes
in_flow_delay = 0
default_process_limit = 150
qmgr_message_active_limit = 20000
max_use = 1000
smtpd_banner = $myhostname ESMTP $mail_name
"""

_MASTER_CF = """
smtpd-friendly pass  n - n - 120 smtpd -o syslog_name=postfix/friendly
smtpd-hostile  pass  n - n - 120 smtpd
    -o syslog_name=postfix/hostile -o stress=yes -o smtpd_timeout=8s
127.0.0.1:{proxied} inet n - n - 120 smtpd
    -o syslog_name=postfix/proxied -o smtpd_upstream_proxy_protocol=haproxy
smtpd-proxied  unix  n - n - 120 smtpd
    -o syslog_name=postfix/unixproxied -o smtpd_upstream_proxy_protocol=haproxy
127.0.0.1:{plain}   inet n - n - 120 smtpd -o syslog_name=postfix/plain
cleanup    unix  n - n - 0 cleanup
qmgr       unix  n - n 300 1 qmgr
rewrite    unix  - - n - - trivial-rewrite
bounce     unix  - - n - 0 bounce
defer      unix  - - n - 0 bounce
trace      unix  - - n - 0 bounce
proxymap   unix  - - n - - proxymap
error      unix  - - n - - error
retry      unix  - - n - - error
virtual    unix  - n n - 20 virtual
anvil      unix  - - n - 1 anvil
postlog    unix-dgram n - n - 1 postlogd
"""


class Postfix:
    """Started by the constructor, ready when it returns; stop() removes everything."""

    def __init__(self):
        self._scratch = ScratchDir("postfix")
        self.dir = self._scratch.path
        self.plain_port = free_port()
        self.proxied_port = free_port()
        self.log_path = os.path.join(self.dir, "mail.log")
        self._master = None
        try:
            self._write_configuration()
            self._make_directories()
            self._start()
        except BaseException:
            self.stop()
            raise

    # Paths a gate's configuration names.
    @property
    def friendly(self):
        return os.path.join(self.dir, "queue/public/smtpd-friendly")

    @property
    def hostile(self):
        return os.path.join(self.dir, "queue/public/smtpd-hostile")

    @property
    def unix_proxied(self):
        return os.path.join(self.dir, "queue/public/smtpd-proxied")

    def _write_configuration(self):
        os.mkdir(os.path.join(self.dir, "etc"))
        nobody = pwd.getpwnam("nobody")
        boxes = "".join(f"box{i}@{DOMAIN} box{i}/\n" for i in range(MAILBOXES))
        self._scratch.file("etc/mailboxes", boxes)
        self._scratch.file("etc/main.cf", _MAIN_CF.format(
            dir=self.dir, domain=DOMAIN, uid=nobody.pw_uid, gid=nobody.pw_gid))
        self._scratch.file("etc/master.cf", _MASTER_CF.format(
            proxied=self.proxied_port, plain=self.plain_port))

    def _make_directories(self):
        """What `postfix check` would make, without its look at the system's own instance."""
        owner = pwd.getpwnam("postfix").pw_uid
        drop = grp.getgrnam("postdrop").gr_gid
        queue = os.path.join(self.dir, "queue")
        os.mkdir(queue, 0o755)
        os.mkdir(os.path.join(queue, "pid"), 0o755)
        for name in ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold",
                     "incoming", "private", "saved", "trace"):
            self._make_owned(os.path.join(queue, name), owner, -1, 0o700)
        self._make_owned(os.path.join(queue, "maildrop"), owner, drop, 0o1730)
        self._make_owned(os.path.join(queue, "public"), owner, drop, 0o2710)
        self._make_owned(os.path.join(self.dir, "data"), owner, -1, 0o700)
        self._make_owned(os.path.join(self.dir, "mail"), pwd.getpwnam("nobody").pw_uid, -1, 0o700)

    @staticmethod
    def _make_owned(path, uid, gid, mode):
        os.mkdir(path)
        os.chown(path, uid, gid)
        os.chmod(path, mode)

    def _start(self):
        daemons = subprocess.run(
            ["postconf", "-c", os.path.join(self.dir, "etc"), "-h", "daemon_directory"],
            check=True, capture_output=True, text=True).stdout.strip()
        config = os.path.join(self.dir, "etc")
        # Run by hand, master stays in the foreground and looks its settings up in MAIL_CONFIG,
        # as the processes it starts do.
        self._master = subprocess.Popen(
            [os.path.join(daemons, "master"), "-c", config],
            env=marked_environment(MAIL_CONFIG=config), preexec_fn=die_with_parent,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        wait_until(self._is_up, 15, f"Postfix is up (log: {self.log_path})", pause=0.05)

    def _is_up(self):
        if self._master.poll() is not None:
            said = self._master.stderr.read().decode(errors="replace")
            raise AssertionError(f"Postfix master ended with {self._master.returncode}: {said}"
                                 f"{self.log()}")
        return all(map(os.path.exists, (self.friendly, self.hostile))) and "started" in self.log()

    def log(self):
        try:
            with open(self.log_path, encoding="utf-8", errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def log_mark(self):
        """A position in the log, for clients_since."""
        return os.path.getsize(self.log_path)

    def log_since(self, mark):
        with open(self.log_path, "rb") as f:
            f.seek(mark)
            return f.read().decode(errors="replace")

    def clients_since(self, mark, face):
        """(address, port) of every client the smtpd named postfix/`face` logged since a mark."""
        pattern = rf"postfix/{face}/smtpd\[\d+\]: connect from \S*\[([0-9.]+)\]:(\d+)"
        return [(address, int(port)) for address, port in re.findall(pattern, self.log_since(mark))]

    def trouble_since(self, mark):
        """What any smtpd, and master about them, complained of since a mark."""
        return [line for line in self.log_since(mark).splitlines()
                if re.search(r"(smtpd|master)\[\d+\]: (warning|fatal|panic|error):", line)]

    def delivered(self, box):
        """Paths of the messages in one mailbox."""
        new = os.path.join(self.dir, "mail", box, "new")
        try:
            return [os.path.join(new, name) for name in os.listdir(new)]
        except FileNotFoundError:
            return []

    def wait_delivered(self, box, count, seconds=90):
        wait_until(lambda: len(self.delivered(box)) >= count, seconds,
                   f"{count} messages in {box} (there: {len(self.delivered(box))})", pause=0.1)
        return self.delivered(box)

    def clear(self, box):
        for path in self.delivered(box):
            os.unlink(path)

    def stop(self):
        """Ends master by its pid (it ends its children) and removes the scratch directory."""
        if self._master is not None and self._master.poll() is None:
            self._master.send_signal(signal.SIGTERM)
            try:
                self._master.wait(10)
            except subprocess.TimeoutExpired:
                kill_quietly(self._master.pid)
                self._master.wait()
        if self._master is not None:
            self._master.stderr.close()
            self._reap_children()
        self._scratch.remove()

    def _reap_children(self):
        """master signals its children and leaves; they are known by the configuration they use."""
        mark = f"MAIL_CONFIG={self.dir}/etc"
        for pid in processes_marked(mark):
            kill_quietly(pid)
        wait_until(lambda: not processes_marked(mark), 10, "all Postfix processes ended")


def split_message(path):
    """Headers as text and body as bytes of one delivered message."""
    with open(path, "rb") as f:
        head, _, body = f.read().partition(b"\n\n")
    return head.decode("ascii", errors="replace"), body


def body_digest(path):
    return hashlib.sha256(split_message(path)[1]).hexdigest()
