"""The real mail servers that a gate may hand over to, each behind one and the same face.

Owns one instance of each for a run of tests, started when the first test asks for it and stopped by
close(). A face knows its pool, where it delivers and what it says of a client;
nothing of a test."""

import collections
import unittest

import exim
import opensmtpd
import tls
import tls_postfix
from gate import pool
from scratch import wait_until

# clients(mark): (address, port) of those seen since; the port is None where the server tells none.
Face = collections.namedtuple("Face", "name server pool clients")

_made = {}


def _once(name, make):
    if name not in _made:
        _made[name] = make()
    return _made[name]


def certificate():
    return _once("certificate", tls.Certificate)


def postfix():
    return _once("postfix", lambda: tls_postfix.TlsPostfix(certificate()))


def by_pass(**settings):
    server = postfix()
    return Face("Postfix by pass", server, pool("out", f"pass:{server.friendly}", **settings),
                lambda mark: server.clients_since(mark, "friendly"))


def by_proxy(**settings):
    server = postfix()
    return Face("Postfix by PROXY", server, pool("out", server.backend, **settings),
                lambda mark: server.clients_since(mark, "proxied"))


def by_exim(**settings):
    server = _once("exim", lambda: exim.Exim(certificate()))
    return Face("Exim", server, pool("out", server.backend, **settings), server.clients_since)


def by_opensmtpd(**settings):
    server = _once("opensmtpd", lambda: opensmtpd.OpenSmtpd(certificate()))
    return Face("OpenSMTPD", server, pool("out", server.backend, **settings),
                server.clients_since)


def need_tls(face):
    """Skips the test when the server cannot do it, gate or no gate."""
    works = getattr(face.server, "tls_works", None)
    if works is not None and not works():
        raise unittest.SkipTest(f"this {face.name} fails every handshake, without a gate too")


def wait_delivered(face, box, count, seconds=60):
    """Paths of the messages in one mailbox once there are so many."""
    wait_until(lambda: len(face.server.delivered(box)) >= count, seconds,
               f"{face.name} has delivered {count} messages to {box} "
               f"(there: {len(face.server.delivered(box))})", pause=0.1)
    return face.server.delivered(box)


def wait_clients(face, mark, clients, seconds=10):
    """Until the server has logged each (address, port) as often as it is given, and nobody else but
    this host, from where a gate's health checks come. A log may lag behind."""
    if face.clients(mark) and face.clients(mark)[0][1] is None:
        clients = [(address, None) for address, _ in clients]
    wanted = collections.Counter(clients)
    wait_until(lambda: not wanted - collections.Counter(face.clients(mark)), seconds,
               f"{face.name} has logged {clients[:20]}, not {face.clients(mark)[:20]}", pause=0.05)
    others = collections.Counter(face.clients(mark)) - wanted
    if any(address != "127.0.0.1" for address, _ in others):
        raise AssertionError(f"{face.name} has logged others too: {others}")


def close():
    for thing in reversed(_made.values()):
        (thing.stop if hasattr(thing, "stop") else thing.remove)()
    _made.clear()
