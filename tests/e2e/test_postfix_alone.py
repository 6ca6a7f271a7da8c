"""The harness itself, without a gate: if these fail, the other tests prove nothing."""

import unittest

import mail
import shared
from clients import Client, Crowd, Sink
from scratch import ScratchDir, wait_until


class PostfixAlone(unittest.TestCase):
    def setUp(self):
        self.postfix = shared.the_postfix()
        self.target = ("127.0.0.1", self.postfix.plain_port)

    def test_smtp_source(self):
        """smtp-source delivers straight to smtpd, every copy with the same content"""
        mail.smtp_source(self.target, "box0", 40, 5000, sessions=10)
        paths = self.postfix.wait_delivered("box0", 40)
        self.assertEqual([40], list(mail.delivered_digests(paths).values()))
        self.postfix.clear("box0")

    def test_courier(self):
        """random content from many addresses arrives by digest, the log names each client"""
        mark = self.postfix.log_mark()
        courier = mail.Courier(self.target, "box1", 30, block=9)
        paths = self.postfix.wait_delivered("box1", 30)
        self.assertEqual([], mail.altered(paths))
        self.assertCountEqual(courier.digests, mail.delivered_digests(paths).elements())
        self.assertCountEqual(courier.senders, self.postfix.clients_since(mark, "plain"))
        self.postfix.clear("box1")

    def test_swaks(self):
        """a message by swaks arrives by digest"""
        scratch = ScratchDir("swaks")
        self.addCleanup(scratch.remove)
        sent = mail.swaks(self.target, "box2", scratch.path, 0, block=9)
        paths = self.postfix.wait_delivered("box2", 1)
        self.assertEqual([sent], list(mail.delivered_digests(paths)))
        self.postfix.clear("box2")

    def test_proxied(self):
        """the smtpd behind a PROXY header logs the address the header names"""
        mark = self.postfix.log_mark()
        with Client(("127.0.0.1", self.postfix.proxied_port)) as client:
            client.send("PROXY TCP4 203.0.113.7 192.0.2.1 4711 25\r\n")
            self.assertTrue(client.reply().startswith("220 "))
            client.command("QUIT")
        wait_until(lambda: self.postfix.clients_since(mark, "proxied"), 5, "the client is logged")
        self.assertEqual([("203.0.113.7", 4711)], self.postfix.clients_since(mark, "proxied"))


class ClientsAlone(unittest.TestCase):
    def test_crowd(self):
        """a crowd of 700 is greeted by a sink, counted, and gone when it leaves"""
        with Sink() as sink:
            with Crowd(("127.0.0.1", sink.port), 700) as crowd:
                wait_until(lambda: crowd.count_states()["greeted"] == 700, 10, "all are greeted")
                self.assertEqual({"open": 700, "closed": 0, "greeted": 700}, crowd.count_states())
            self.assertEqual(700, sink.connections)

    def test_sink(self):
        """the sink answers lines and bursts, and closes at QUIT"""
        with Sink() as sink, Client(("127.0.0.1", sink.port)) as client:
            self.assertEqual("220 sink ESMTP\r\n", client.reply())
            self.assertEqual("250 ok\r\n", client.command("NOOP"))
            self.assertEqual(300_002, len(client.command("BURST 300000")))
            self.assertEqual("221 bye\r\n", client.command("QUIT"))
            self.assertEqual("", client.rest())
