"""DNS messages for tests: questions as any client asks them, replies taken apart, answers made.

Pure functions over bytes and a bounded ask() over UDP or TCP. Written without the gate's code, so
that one can judge the other; reads only what servers on this machine send to a test.
"""

import ipaddress
import socket
import struct
import time
from dataclasses import dataclass, field

A, CNAME, SOA, TXT, AAAA = 1, 5, 6, 16, 28
NOERROR, SERVFAIL, NXDOMAIN, REFUSED = 0, 2, 3, 5
HEADER = struct.Struct("!HHHHHH")
_RECORD = struct.Struct("!HHIH")
_OPT = b"\0" + struct.pack("!HHIH", 41, 1232, 0, 0)
TRUNCATED = 0x0200


def wire_name(text):
    """A dotted name as labels."""
    labels = [label.encode() for label in text.rstrip(".").split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def read_name(message, at):
    """(dotted name, offset behind it); follows compression, gives up on a loop."""
    labels, behind = [], None
    for _ in range(128):
        length = message[at]
        if length >= 0xc0:
            behind = behind or at + 2
            at = (length & 0x3f) << 8 | message[at + 1]
        elif length == 0:
            return ".".join(labels), behind or at + 1
        else:
            labels.append(message[at + 1:at + 1 + length].decode("latin-1"))
            at += 1 + length
    raise ValueError("a name that does not end")


def list_name(address, zone):
    """The name a list is asked for: octets or nibbles backwards (RFC 5782 sections 2.1, 2.4)."""
    value = ipaddress.ip_address(address)
    parts = value.packed.hex() if value.version == 6 else str(value).split(".")
    return ".".join(reversed(parts)) + "." + zone


def question(name, kind=A, number=1, edns=True):
    """Recursion desired; with EDNS0 as the gate asks, or without."""
    head = HEADER.pack(number, 0x0100, 1, 0, 0, 1 if edns else 0)
    return head + wire_name(name) + struct.pack("!HH", kind, 1) + (_OPT if edns else b"")


def record(name, kind, ttl, data):
    """One resource record; `name` in wire form, b"\\xc0\\x0c" for the question's."""
    return name + _RECORD.pack(kind, 1, ttl, len(data)) + data


def addresses(codes, ttl, name=b"\xc0\x0c"):
    return [record(name, A, ttl, socket.inet_aton(code)) for code in codes]


def text_record(text, ttl):
    data = text.encode()
    return record(b"\xc0\x0c", TXT, ttl, bytes([len(data)]) + data)


def soa_record(zone, ttl, minimum):
    data = (wire_name(f"ns.{zone}") + wire_name(f"hostmaster.{zone}")
            + struct.pack("!IIIII", 1, 3600, 600, 86400, minimum))
    return record(wire_name(zone), SOA, ttl, data)


def reply(number, asked, answers=(), authority=(), rcode=NOERROR, flags=0):
    """asked: the question section to be echoed, as it came."""
    head = HEADER.pack(number, 0x8180 | flags | rcode, 1, len(answers), len(authority), 0)
    return head + asked + b"".join(answers) + b"".join(authority)


@dataclass
class Reply:
    """What a server said."""
    number: int
    name: str
    rcode: int
    truncated: bool
    codes: list = field(default_factory=list)   # A records, in the order they came
    texts: list = field(default_factory=list)   # TXT records, strings joined
    aliases: list = field(default_factory=list)  # CNAME targets
    ttls: list = field(default_factory=list)    # of the records above
    soa_ttl: int = None                         # of the authority's SOA


def read_reply(message):
    number, flags, questions, answers, authority, _ = HEADER.unpack_from(message)
    at, name = HEADER.size, ""
    for _ in range(questions):
        name, at = read_name(message, at)
        at += 4
    said = Reply(number, name, flags & 15, bool(flags & TRUNCATED))
    for index in range(answers + authority):
        _, at = read_name(message, at)
        kind, _, ttl, length = _RECORD.unpack_from(message, at)
        at += _RECORD.size
        if at + length > len(message):
            raise ValueError("a record longer than the message")
        _take(said, message, at, (kind, ttl, length), index < answers)
        at += length
    return said


def _take(said, message, at, head, is_answer):
    kind, ttl, length = head
    data = message[at:at + length]
    if not is_answer:
        said.soa_ttl = ttl if kind == SOA else said.soa_ttl
        return
    said.ttls.append(ttl)
    if kind == A:
        said.codes.append(socket.inet_ntoa(data))
    elif kind == CNAME:
        said.aliases.append(read_name(message, at)[0])
    elif kind == TXT:
        text, offset = b"", 0
        while offset < length:
            text += data[offset + 1:offset + 1 + data[offset]]
            offset += 1 + data[offset]
        said.texts.append(text.decode("latin-1"))


def ask(server, name, kind=A, seconds=1.0, number=1, edns=True):
    """One question over UDP from a connected socket; None when no reply with the right number
    came in time. What a refusing port says is silence too."""
    end = time.monotonic() + seconds
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(server)
        try:
            client.send(question(name, kind, number, edns))
            while (left := end - time.monotonic()) > 0:
                client.settimeout(left)
                message = client.recv(65535)
                if message[:2] == number.to_bytes(2, "big"):
                    return read_reply(message)
        except (TimeoutError, ConnectionRefusedError):
            pass
    return None


def ask_tcp(server, name, kind=A, seconds=2.0, number=1):
    """The same over TCP; None when the server closed or stalled before the whole reply."""
    end = time.monotonic() + seconds
    try:
        with socket.create_connection(server, timeout=seconds) as client:
            asked = question(name, kind, number)
            client.sendall(len(asked).to_bytes(2, "big") + asked)
            data = b""
            while len(data) < 2 or len(data) < 2 + int.from_bytes(data[:2], "big"):
                client.settimeout(max(end - time.monotonic(), 0.001))
                more = client.recv(65535)
                if not more:
                    return None
                data += more
            return read_reply(data[2:])
    except (TimeoutError, ConnectionError):
        return None
