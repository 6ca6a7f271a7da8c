"""The gate as a service manager sees it: sockets it is given, the user it becomes, its end."""

import os
import pwd
import signal
import socket
import unittest

from clients import Client, Sink
from gate import Gate, greet, no_dialogue, pool, route
from scratch import free_port, wait_until


class Service(unittest.TestCase):
    def _body(self, sink):
        return (greet(wait="0s") + no_dialogue()
                + pool("sink", f"tcp:127.0.0.1:{sink.port}", proxy_protocol="none")
                + route("sink"))

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

    def test_end_without_drain(self):
        """drain = "0s": the held are told 421 all the same"""
        # The process used to end before its last words were submitted.
        with Sink() as sink:
            body = self._body(sink).replace('wait = "0s"', 'wait = "30s"')
            self._expect_421_at_stop(Gate(body, top='shards = 1\ndrain = "0s"'), "silent_wait")

    def test_end_while_queued(self):
        """a client that waits for a backend is told 421 when the gate stops"""
        # It used to be kept until drain was over, and then closed without a word.
        body = (greet(wait="0s") + no_dialogue()
                + pool("gone", f"tcp:127.0.0.1:{free_port()}", wait="60s") + route("gone"))
        self._expect_421_at_stop(Gate(body, top='shards = 1\ndrain = "1s"'), "queued")

    def _expect_421_at_stop(self, gate, phase):
        try:
            with Client(gate.target) as client:
                wait_until(lambda: gate.status()["total"]["phases"][phase] == 1, 5, phase)
                self.assertEqual(0, gate.stop())
                self.assertIn("421 4.3.2", client.rest())
        finally:
            gate.stop()

    def test_ignored_child_signal(self):
        """started with SIGCHLD ignored, the gate still notices a dead shard"""
        before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        try:
            with Sink() as sink, Gate(self._body(sink)) as gate:
                signal.signal(signal.SIGCHLD, before)
                os.kill(gate.shard_pids()[0], signal.SIGKILL)
                wait_until(lambda: gate.counter("restarts") == 1, 5, "the shard is back")
                self._expect_service(gate)
        finally:
            signal.signal(signal.SIGCHLD, before)

    def test_killed_supervisor(self):
        """a killed supervisor takes its shards with it: no orphan keeps the port"""
        with Sink() as sink, Gate(self._body(sink), top="shards = 2") as gate:
            gate.kill_supervisor()
            gate.wait_gone(5)
