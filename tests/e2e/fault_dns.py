"""A DNS server that misbehaves on demand: lists of a test's making, each with its own manners.

Owns: one UDP and one TCP socket on the same loopback port and a thread that serves both. Every
field of a FaultZone and of the server may be set while it runs and holds from the next question;
what was asked can be read at any time. With all fields at rest it answers like a good list.
"""

import collections
import heapq
import itertools
import os
import random
import select
import socket
import struct
import threading
import time

import dns_message
from dns_message import A, CNAME, HEADER, TXT

SHAPES = ("honest", "nodata", "garbage", "empty", "short", "lengths", "pointers", "question",
          "loop", "self", "chain")
FORGERIES = ("port", "id", "question", "type", "case")
TCP_MANNERS = ("whole", "hang", "close", "reset", "bytes")

_BATCH = 64
_RECEIVE_BYTES = 16 << 20
_SO_RCVBUFFORCE = 33  # asm-generic/socket.h; beyond net.core.rmem_max, root only
_BYTE_PAUSE = 0.005
_TEST_POINTS = {"127.0.0.2", "::ffff:127.0.0.2"}


class FaultZone:
    """A list and its manners; anything but `name` may be changed at any time.

    listed: {address: code or codes}; IPv6 addresses as inet_ntop writes them
    """

    def __init__(self, name, listed=None, **manners):
        self.name = name.lower()
        self.listed = listed or {}
        self.test_points = True   # lists 127.0.0.2 and ::ffff:127.0.0.2
        self.everything = None    # a code: whatever is asked is listed with it
        self.reason = None        # TXT of what is listed, "$" stands for the address
        self.ttl = 300
        self.negative_ttl = 60
        self.soa = True           # in answers that say "not listed"
        self.drop = 0             # percent of the questions that are never answered
        self.delay = 0.0          # seconds before an answer leaves
        self.copies = 1           # an answer leaves that many times
        self.again_after = 0.0    # and once more after so many seconds
        self.rcode = None         # for example SERVFAIL: nothing else is said
        self.shape = "honest"     # one of SHAPES
        self.chain = 3            # CNAMEs in front of the records, for shape "chain"
        self.forge = ()           # of FORGERIES: replies saying 127.0.0.2, before the honest one
        self.spray = 0            # so many more of them with other ids
        self.honest = True        # False: only the forged ones leave
        self.truncate = False     # over UDP: TC and no records
        self.tcp = "whole"        # one of TCP_MANNERS
        # Read these.
        self.asked = collections.Counter()  # by type
        self.names = collections.Counter()  # by (name in lower case, type)
        self.asked_tcp = 0
        self.mixed_case = 0
        self.dropped = 0
        self.waiting = 0
        self.most_waiting = 0     # answers held back by `delay` at once
        self.behave(**manners)

    def behave(self, **manners):
        """Sets several at once, refusing what does not exist."""
        for key, value in manners.items():
            if not hasattr(self, key):
                raise AttributeError(f"a list has no manner called {key}")
            setattr(self, key, value)
        known = (self.shape in SHAPES and self.tcp in TCP_MANNERS
                 and set(self.forge) <= set(FORGERIES))
        if not known:
            raise ValueError(f"unknown manner in {manners}")

    def total(self):
        return sum(self.asked.values())

    def codes_of(self, address):
        if self.everything is not None:
            return (self.everything,)
        codes = self.listed.get(address)
        if codes is None:
            return ("127.0.0.2",) if self.test_points and address in _TEST_POINTS else ()
        return (codes,) if isinstance(codes, str) else codes


class _Asked:
    """One question as it came."""

    __slots__ = ("number", "name", "section", "kind", "zone", "address", "text")

    def __init__(self, message, zones):
        self.number, flags, count, _, _, _ = HEADER.unpack_from(message)
        end = message.index(0, HEADER.size)
        self.name = message[HEADER.size:end + 1]
        self.section = message[HEADER.size:end + 5]
        self.kind = int.from_bytes(message[end + 1:end + 3], "big")
        if flags & 0x8000 or count != 1 or len(self.section) != len(self.name) + 4:
            raise ValueError("not a question")
        lower = self.name.lower()
        labels, at = [], 0
        self.zone = zones.get(lower)
        while self.zone is None and lower[at]:
            labels.append(lower[at + 1:at + 1 + lower[at]].decode("latin-1"))
            at += 1 + lower[at]
            self.zone = zones.get(lower[at:])
        self.address = _address(labels)
        self.text = ".".join(labels)


def _address(labels):
    """The address a list is asked about; other names as they are."""
    if len(labels) == 4:
        return ".".join(reversed(labels))
    if len(labels) == 32:
        return socket.inet_ntop(socket.AF_INET6, bytes.fromhex("".join(reversed(labels))))
    return ".".join(labels)


class FaultServer:
    """Answers as soon as the constructor returns; what is in no zone is REFUSED."""

    def __init__(self, *zones, seed=1):
        self.zones = {zone.name: zone for zone in zones}
        self.silent = False   # dead: takes questions and says nothing
        self.strangers = 0    # questions in no zone
        self.malformed = 0    # what was no question at all
        self.ports = set()    # of the askers
        self.numbers = set()  # ids of the questions
        self._by_wire = {dns_message.wire_name(zone.name): zone for zone in zones}
        self._random = random.Random(seed)
        self._due = []
        self._order = itertools.count()
        self._connections = {}
        self._udp, self._tcp = _bind_both()
        self.port = self._udp.getsockname()[1]
        self.server = ("127.0.0.1", self.port)
        self._elsewhere = socket.socket(type=socket.SOCK_DGRAM)
        self._elsewhere.bind(("127.0.0.1", 0))
        self._wake = os.eventfd(0, os.EFD_NONBLOCK)
        self._poll = select.epoll()
        for fd in (self._udp.fileno(), self._tcp.fileno(), self._wake):
            self._poll.register(fd, select.EPOLLIN)
        self.failure = None   # what ended the thread, if anything did
        self._stopping = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def __getitem__(self, name):
        return self.zones[name]

    def total(self):
        return sum(zone.total() for zone in self.zones.values())

    def stop(self):
        """Closes the port: from now on the kernel refuses what is sent to it."""
        if self._stopping:
            return
        self._stopping = True
        os.eventfd_write(self._wake, 1)
        self._thread.join(5)
        for connection in list(self._connections.values()):
            connection.socket.close()
        for one in (self._udp, self._tcp, self._elsewhere, self._poll):
            one.close()
        os.close(self._wake)
        if self.failure is not None:
            raise AssertionError("the fault server itself failed") from self.failure

    def _run(self):
        try:
            while not self._stopping:
                pause = max(self._due[0][0] - time.monotonic(), 0) if self._due else -1
                for fd, _ in self._poll.poll(pause):
                    if fd == self._udp.fileno():
                        self._receive()
                    elif fd == self._tcp.fileno():
                        self._accept()
                    elif fd in self._connections:
                        self._read(self._connections[fd])
                self._run_due()
        except Exception as error:  # reported by stop(), so that no test passes over it
            self.failure = error

    def _run_due(self):
        now = time.monotonic()
        while self._due and self._due[0][0] <= now:
            _, _, action = heapq.heappop(self._due)
            action()

    def _later(self, seconds, action):
        heapq.heappush(self._due, (time.monotonic() + seconds, next(self._order), action))

    def _receive(self):
        for _ in range(_BATCH):
            try:
                message, asker = self._udp.recvfrom(4096)
            except BlockingIOError:
                return
            except OSError:
                continue  # an ICMP error about an answer of ours
            self.ports.add(asker[1])
            self._serve(message, lambda data, _, who=asker: self._send(data, who), asker)

    def _send(self, data, asker):
        try:
            self._udp.sendto(data, asker)
        except OSError:
            pass  # the asker is gone, or its buffer is full: datagrams may be lost

    def _serve(self, message, send, asker):
        """asker: None over TCP, where nothing can be forged or truncated."""
        try:
            asked = _Asked(message, self._by_wire)
        except (ValueError, IndexError, struct.error):
            self.malformed += 1
            return
        self.numbers.add(asked.number)
        zone = asked.zone
        if zone is None:
            self.strangers += 1
            if not self.silent:
                send(dns_message.reply(asked.number, asked.section, rcode=dns_message.REFUSED),
                     None)
            return
        self._count(asked, asker)
        if self.silent or self._random.random() * 100 < zone.drop:
            zone.dropped += 1
            return
        if zone.delay > 0:
            zone.waiting += 1
            zone.most_waiting = max(zone.most_waiting, zone.waiting)
            self._later(zone.delay, lambda: self._end_wait(asked, send, asker))
        else:
            self._answer(asked, send, asker)

    @staticmethod
    def _count(asked, asker):
        zone = asked.zone
        zone.asked[asked.kind] += 1
        zone.names[asked.text, asked.kind] += 1
        zone.asked_tcp += asker is None
        zone.mixed_case += asked.name != asked.name.lower()

    def _end_wait(self, asked, send, asker):
        asked.zone.waiting -= 1
        self._answer(asked, send, asker)

    def _answer(self, asked, send, asker):
        zone = asked.zone
        if asker is not None:
            self._forge(asked, send, asker)
        if not zone.honest:
            return
        if zone.truncate and asker is not None:
            data = dns_message.reply(asked.number, asked.section, flags=dns_message.TRUNCATED)
        else:
            data = _SHAPERS[zone.shape](asked, self._random)
        for _ in range(zone.copies):
            send(data, zone)
        if zone.again_after > 0:
            self._later(zone.again_after, lambda: send(data, zone))

    def _forge(self, asked, send, asker):
        for how in asked.zone.forge:
            number, section = asked.number, asked.section
            if how == "id":
                number ^= 0x5555
            elif how == "question":
                section = bytes([1, ord("x")]) + section
            elif how == "type":
                section = section[:-4] + struct.pack("!HH", TXT if asked.kind == A else A, 1)
            elif how == "case":
                section = asked.name.swapcase() + section[-4:]
            data = dns_message.reply(number, section, _records(asked, ("127.0.0.2",)))
            if how == "port":
                self._elsewhere.sendto(data, asker)
            else:
                send(data, asked.zone)
        for _ in range(asked.zone.spray):
            other = asked.number ^ self._random.randrange(1, 0x10000)
            data = dns_message.reply(other, asked.section, _records(asked, ("127.0.0.2",)))
            send(data, asked.zone)

    def _accept(self):
        try:
            client, _ = self._tcp.accept()
        except OSError:
            return
        client.setblocking(False)
        self._connections[client.fileno()] = _Connection(client)
        self._poll.register(client.fileno(), select.EPOLLIN)

    def _read(self, connection):
        try:
            data = connection.socket.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._close(connection)
            return
        for message in connection.messages(data):
            self._serve(message, lambda answer, zone: self._send_stream(connection, answer, zone),
                        None)

    def _send_stream(self, connection, answer, zone):
        manner = zone.tcp if zone else "whole"
        data = len(answer).to_bytes(2, "big") + answer
        if manner == "whole":
            self._write(connection, data)
        elif manner == "close":
            self._write(connection, data[:len(data) // 2])
            self._close(connection)
        elif manner == "reset":
            connection.linger_zero()
            self._close(connection)
        elif manner == "bytes":
            self._drip(connection, data)

    def _drip(self, connection, data):
        if data and connection.open:
            self._write(connection, data[:1])
            self._later(_BYTE_PAUSE, lambda: self._drip(connection, data[1:]))

    def _write(self, connection, data):
        try:
            if connection.open:
                connection.socket.send(data)
        except OSError:
            self._close(connection)

    def _close(self, connection):
        if connection.open:
            connection.open = False
            self._poll.unregister(connection.socket.fileno())
            del self._connections[connection.socket.fileno()]
            connection.socket.close()


class _Connection:
    """One TCP client: what it has sent so far."""

    def __init__(self, client):
        self.socket = client
        self.open = True
        self._unread = b""

    def messages(self, data):
        self._unread += data
        while len(self._unread) >= 2:
            size = int.from_bytes(self._unread[:2], "big")
            if len(self._unread) < 2 + size:
                return
            message, self._unread = self._unread[2:2 + size], self._unread[2 + size:]
            yield message

    def linger_zero(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _bind_both():
    """A UDP and a TCP socket on one port of the kernel's choice."""
    for _ in range(100):
        udp = socket.socket(type=socket.SOCK_DGRAM)
        tcp = socket.socket()
        try:
            udp.bind(("127.0.0.1", 0))
            tcp.bind(udp.getsockname())
        except OSError:
            udp.close()
            tcp.close()
            continue
        try:
            udp.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BYTES)
        except PermissionError:
            udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)
        tcp.listen(1024)
        udp.setblocking(False)
        tcp.setblocking(False)
        return udp, tcp
    raise RuntimeError("no port that is free for both UDP and TCP")


def _records(asked, codes, name=b"\xc0\x0c"):
    """The records of the asked type that say `codes`."""
    zone = asked.zone
    if not codes:
        return []
    if asked.kind == A:
        return dns_message.addresses(codes, zone.ttl, name)
    if asked.kind == TXT and zone.reason is not None:
        return [dns_message.text_record(zone.reason.replace("$", asked.address), zone.ttl)]
    return []


def _honest(asked, _):
    zone = asked.zone
    if zone.rcode is not None:
        return dns_message.reply(asked.number, asked.section, rcode=zone.rcode)
    codes = zone.codes_of(asked.address)
    records = _records(asked, codes)
    if records:
        return dns_message.reply(asked.number, asked.section, records)
    soa = [dns_message.soa_record(zone.name, zone.negative_ttl, zone.negative_ttl)]
    return dns_message.reply(asked.number, asked.section, authority=soa if zone.soa else (),
                             rcode=dns_message.NOERROR if codes else dns_message.NXDOMAIN)


def _nodata(asked, _):
    return dns_message.reply(asked.number, asked.section)


def _garbage(asked, chance):
    return asked.number.to_bytes(2, "big") + b"\x81\x80" + chance.randbytes(60)


def _empty(*_):
    return b""


def _short(asked, chance):
    """Ends in the middle of its last record."""
    return _listed(asked)[:-chance.randrange(1, 14)]


def _lengths(asked, _):
    """The record says it is longer than the message."""
    return _listed(asked)[:-6] + b"\xff\xff" + socket.inet_aton("127.0.0.2")


def _pointers(asked, _):
    """The record's name points to itself."""
    at = HEADER.size + len(asked.section)
    name = (0xc000 | at).to_bytes(2, "big")
    return dns_message.reply(asked.number, asked.section,
                             dns_message.addresses(("127.0.0.2",), 300, name))


def _question(asked, _):
    """Records, but the message does not say it is a reply."""
    data = bytearray(_listed(asked))
    data[2] &= 0x7f
    return bytes(data)


def _loop(asked, _):
    other = b"\x04loop\xc0\x0c"
    there = dns_message.record(b"\xc0\x0c", CNAME, 300, other)
    back = dns_message.record(other, CNAME, 300, b"\xc0\x0c")
    return dns_message.reply(asked.number, asked.section, [there, back])


def _self(asked, _):
    alias = dns_message.record(b"\xc0\x0c", CNAME, 300, b"\xc0\x0c")
    return dns_message.reply(asked.number, asked.section, [alias])


def _chain(asked, _):
    """The records behind so many CNAMEs, in order."""
    zone = asked.zone
    names = [b"\xc0\x0c"] + [f"a{i}".encode() for i in range(zone.chain)]
    names[1:] = [bytes([len(label)]) + label + b"\xc0\x0c" for label in names[1:]]
    links = [dns_message.record(name, CNAME, zone.ttl, target)
             for name, target in zip(names, names[1:])]
    records = _records(asked, zone.codes_of(asked.address), names[-1])
    if not records:
        return _honest(asked, None)
    return dns_message.reply(asked.number, asked.section, links + records)


def _listed(asked):
    return dns_message.reply(asked.number, asked.section,
                             dns_message.addresses(("127.0.0.2",), asked.zone.ttl))


_SHAPERS = {"honest": _honest, "nodata": _nodata, "garbage": _garbage, "empty": _empty,
            "short": _short, "lengths": _lengths, "pointers": _pointers, "question": _question,
            "loop": _loop, "self": _self, "chain": _chain}
