"""The first contact of real clients with real servers through the gate, with and without STARTTLS:
the message arrives in that same session, unchanged, and the server knows the true client."""

import os
import re
import threading
import time
import unittest

import faces
import mail
import smtp_clients
from gate import Gate, greet, limits, route, table
from scratch import ScratchDir, note, wait_until
from smtp_clients import Errand

WAIT = 1


def tearDownModule():
    faces.close()


class FirstContact(unittest.TestCase):
    def setUp(self):
        self.scratch = ScratchDir("contact")
        self.addCleanup(self.scratch.remove)

    def _gate(self, face, **greeting):
        return Gate(greet(wait=f"{WAIT}s", early_look="0s", **greeting) + limits(per_address=0)
                    + face.pool + route("out")
                    + table("store", file=self.scratch.file("clients.mdb")))

    def _send(self, gate, senders, box, block, certificate):
        """All at once, each from an address of its own where it can. {name: (source, digest)}"""
        done, failures = {}, []

        def run(index, sender):
            source = f"127.{block}.1.{index + 1}" if sender.binds else "127.0.0.1"
            with Errand(gate.target, box, source, certificate) as errand:
                try:
                    told = sender.send(errand)
                    if refused := smtp_clients.refusals(told):
                        raise AssertionError(f"{sender.name} heard {refused}")
                    done[sender.name] = source, errand.digest
                except BaseException as error:  # a thread's own would only be printed
                    failures.append(f"{sender.name}: {error}")

        threads = [threading.Thread(target=run, args=one) for one in enumerate(senders)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual([], failures, gate.log()[-4000:])
        return done

    def _connections(self, gate, source):
        """(port, what the gate said of this connection besides CONNECT) for each of an address."""
        where = re.escape(f"[{source}]:")
        said = re.findall(rf"\]: (.*?) {where}(\d+)", gate.log())
        ports = [int(port) for words, port in said if words == "CONNECT from"]
        return [(port, [words for words, other in said
                        if int(other) == port and words != "CONNECT from"]) for port in ports]

    def _expect_said(self, gate, source, *wanted):
        """Of each connection of this address besides CONNECT; a line may come a moment later."""
        def said():
            return [words for _, words in self._connections(gate, source)]
        wait_until(lambda: said() == list(wanted), 5, f"of {source}: {wanted}, not {said()}")

    def _visit(self, gate, face, senders, box, block, tls=False):
        """One contact of each; checks delivery and the server's log."""
        wait_until(lambda: gate.counter("backend_checks") > 0, 10, "the backend was checked")
        mark = face.server.log_mark()
        for path in face.server.delivered(box):
            os.unlink(path)
        done = self._send(gate, senders, box, block, faces.certificate() if tls else None)
        paths = faces.wait_delivered(face, box, len(senders))
        self.assertCountEqual([digest for _, digest in done.values()],
                              mail.delivered_digests(paths).elements())
        self.assertEqual([], mail.altered(paths))
        gate.wait_empty()
        faces.wait_clients(face, mark, [
            (source, self._connections(gate, source)[-1][0]) for source, _ in done.values()])
        return [source for source, _ in done.values()]

    @staticmethod
    def _wait_written(gate, visits):
        """The steward was told of so many, and has had the time for a batch."""
        wait_until(lambda: gate.counter("visits_told") >= visits, 5, f"{visits} visits were told")
        time.sleep(0.5)

    def _contacts(self, face, box, block, tls=False):
        if tls:
            faces.need_tls(face)
        senders = [sender for sender in smtp_clients.SENDERS
                   if (sender.tls if tls else sender.plain)]
        with self._gate(face) as gate:
            sources = self._visit(gate, face, senders, box, block, tls)
            for source in sources:
                self._expect_said(gate, source, ["PASS NEW"])
            self._wait_written(gate, len(senders))
            # Who is known is let through as it is: no dialogue, no hand-over in mid-session.
            first = gate.total()["counters"]
            self._visit(gate, face, senders, box, block, tls)
            for source in sources:
                self._expect_said(gate, source, ["PASS NEW"], ["PASS OLD"])
            second = gate.total()["counters"]
        count = len(senders)
        for counters in (first, second):
            self.assertEqual((count, count), (counters["dialogues"], counters["handed_over"]))
            self.assertEqual((0, 0, 0), (counters["replay_failed"], counters["recipients_refused"],
                                         counters["drop_no_backend"]))
        self.assertEqual(count, second["pass_old"])
        note(", ".join(sender.name for sender in senders))

    def test_pass_plain(self):
        """Postfix by pass: each client's first contact is delivered, the second without dialogue"""
        self._contacts(faces.by_pass(), "box21", 101)

    def test_pass_tls(self):
        """Postfix by pass, STARTTLS: the same, TLS with the server's own certificate"""
        self._contacts(faces.by_pass(), "box22", 102, tls=True)

    def test_proxy_plain(self):
        """Postfix by PROXY v2: each client's first contact is delivered"""
        self._contacts(faces.by_proxy(), "box23", 103)

    def test_proxy_tls(self):
        """Postfix by PROXY v2, STARTTLS: the same"""
        self._contacts(faces.by_proxy(), "box24", 104, tls=True)

    def test_exim_plain(self):
        """Exim by PROXY v2: each client's first contact is delivered"""
        self._contacts(faces.by_exim(), "box25", 105)

    def test_exim_tls(self):
        """Exim by PROXY v2, STARTTLS: the same"""
        self._contacts(faces.by_exim(), "box26", 106, tls=True)

    def test_opensmtpd_plain(self):
        """OpenSMTPD by PROXY v2: each client's first contact is delivered"""
        self._contacts(faces.by_opensmtpd(), "box27", 107)

    def test_opensmtpd_tls(self):
        """OpenSMTPD by PROXY v2, STARTTLS: the same"""
        self._contacts(faces.by_opensmtpd(), "box28", 108, tls=True)

    def test_large(self):
        """8 MB at the first contact, plain and TLS: the relay behind a hand-over alters nothing"""
        sender = next(one for one in smtp_clients.SENDERS if one.name == "python")
        for index, face in enumerate((faces.by_pass(), faces.by_proxy(), faces.by_exim())):
            for number, certificate in enumerate((None, faces.certificate())):
                box = f"box{30 + 2 * index + number}"
                with self.subTest(face.name, tls=bool(certificate)), self._gate(face) as gate:
                    wait_until(lambda: gate.counter("backend_checks") > 0, 10, "checked")
                    with Errand(gate.target, box, f"127.109.{index}.{number + 1}", certificate,
                                size=8_000_000) as errand:
                        self.assertEqual([], smtp_clients.refusals(sender.send(errand)))
                        paths = faces.wait_delivered(face, box, 1)
                        self.assertEqual([errand.digest],
                                         list(mail.delivered_digests(paths).elements()))
                    gate.wait_empty()
                    self.assertEqual(1, gate.counter("handed_over"))

    def _nmap(self, face, gate):
        mark = face.server.log_mark()
        told = smtp_clients.nmap(gate.target, "smtp-commands", "smtp-open-relay")
        gate.wait_empty(30)
        self.assertNotIn("status=sent", face.server.log_since(mark))
        return told

    def test_nmap(self):
        """nmap's scripts end by themselves, are told capabilities and relay nothing"""
        face = faces.by_pass()
        with self._gate(face, banner="") as gate:
            told = self._nmap(face, gate)
        self.assertRegex(told, r"smtp-commands: .*STARTTLS")
        self.assertNotRegex(told, r"smtp-commands: .*PIPELINING")
        self.assertIn("all tests failed", told)

    def test_nmap_teased(self):
        """nmap takes the teaser for the greeting: its scripts are refused as early talkers"""
        face = faces.by_pass()
        with self._gate(face) as gate:
            told = self._nmap(face, gate)
            self.assertGreater(gate.counter("pregreet"), 0)
            self.assertEqual(0, gate.counter("handed_over"))
        self.assertNotRegex(told, r"smtp-commands: .*STARTTLS")
