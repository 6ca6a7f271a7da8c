"""The gate as a service manager sees it: sockets it is given, the user it becomes, its end."""

import os
import pwd
import socket
import unittest

from clients import Client, Sink
from gate import Gate, greet, pool, route


class Service(unittest.TestCase):
    def _body(self, sink):
        return (greet(wait="0s") + pool("sink", f"tcp:127.0.0.1:{sink.port}",
                                        proxy_protocol="none") + route("sink"))

    def _expect_service(self, gate):
        with Client(gate.target) as client:
            self.assertEqual("220 sink ESMTP\r\n", client.reply())
            self.assertEqual("221 bye\r\n", client.command("QUIT"))
        gate.wait_empty()

    def test_listen_fds(self):
        """a listening socket given by LISTEN_FDS is used instead of binding"""
        with Sink() as sink, socket.create_server(("127.0.0.1", 0)) as door, \
                Gate(self._body(sink), inherited=door) as gate:
            self._expect_service(gate)

    def test_user(self):
        """with `user` set, no process that meets clients stays root"""
        if os.geteuid() != 0:
            self.skipTest("needs root to see root given up")
        nobody = pwd.getpwnam("nobody").pw_uid
        with Sink() as sink, Gate(self._body(sink), top='shards = 2\nuser = "nobody"',
                                  owner="nobody") as gate:
            for pid in gate.shard_pids():
                self.assertEqual(nobody, os.stat(f"/proc/{pid}").st_uid)
            self._expect_service(gate)

    def test_end(self):
        """SIGTERM ends the gate with 0"""
        with Sink() as sink:
            gate = Gate(self._body(sink), top="shards = 2")
            try:
                self._expect_service(gate)
            finally:
                code = gate.stop()
            self.assertEqual(0, code)

    def test_killed_supervisor(self):
        """a killed supervisor takes its shards with it: no orphan keeps the port"""
        with Sink() as sink, Gate(self._body(sink), top="shards = 2") as gate:
            gate.kill_supervisor()
            gate.wait_gone(5)
