"""PROXY headers by hand, versions 1 and 2, right and wrong, and the real HAProxy that sends them.

Owns HAProxy's process and its configuration in a scratch directory. Knows the protocol's text
(haproxy.org, proxy-protocol.txt), and nothing of who reads a header."""

import os
import socket
import struct
import subprocess

from scratch import ScratchDir, die_with_parent, free_port, kill_quietly, marked_environment, \
    wait_until

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
LOCAL, PROXY = 0x20, 0x21
UNSPEC, TCP4, TCP6, UDP4 = 0x00, 0x11, 0x21, 0x12
SERVER = ("127.0.0.1", 25)
_CRC_TLV = 0x03

_CONFIGURATION = """
global
  stats socket {dir}/stats.sock level admin
defaults
  mode tcp
  timeout connect 5s
  timeout client 60s
  timeout server 60s
listen door
  bind 127.0.0.1:{port}
  server gate 127.0.0.1:{target} {options}
"""


def v1(client, server=SERVER):
    family = "TCP6" if ":" in client[0] else "TCP4"
    return f"PROXY {family} {client[0]} {server[0]} {client[1]} {server[1]}\r\n".encode()


def crc32c(data):
    """RFC 3720 appendix B.4, bit by bit: another way than the gate's own."""
    value = 0xffffffff
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0x82f63b78 if value & 1 else 0)
    return value ^ 0xffffffff


def tlv(kind, value):
    return struct.pack("!BH", kind, len(value)) + value


def v2(client, server=SERVER, command=PROXY, family=None, tlvs=b"", checksum=None):
    """checksum: True for a right one, False for a wrong one, None for none."""
    ip = socket.AF_INET6 if ":" in client[0] else socket.AF_INET
    if ip == socket.AF_INET6 and ":" not in server[0]:
        server = ("::1", server[1])
    addresses = (socket.inet_pton(ip, client[0]) + socket.inet_pton(ip, server[0])
                 + struct.pack("!HH", client[1], server[1]))
    if family is None:
        family = TCP6 if ip == socket.AF_INET6 else TCP4
    if family == UNSPEC:
        addresses = b""
    if checksum is not None:
        tlvs += tlv(_CRC_TLV, bytes(4))
    header = SIGNATURE + struct.pack("!BBH", command, family, len(addresses) + len(tlvs))
    header += addresses + tlvs
    if checksum is None:
        return header
    right = crc32c(header)
    return header[:-4] + struct.pack("!I", right if checksum else right ^ 1)


class HaProxy:
    """In front of a port of this host; `options` are those of its server line."""

    def __init__(self, target, options):
        self._scratch = ScratchDir("haproxy")
        self.port = free_port()
        self.target = ("127.0.0.1", self.port)
        path = self._scratch.file("haproxy.cfg", _CONFIGURATION.format(
            dir=self._scratch.path, port=self.port, target=target, options=options))
        self._said = self._scratch.file("stderr")
        with open(self._said, "wb") as said:
            self._process = subprocess.Popen(
                ["haproxy", "-db", "-f", path], env=marked_environment(), stdin=subprocess.DEVNULL,
                preexec_fn=die_with_parent, stdout=said, stderr=said)
        try:
            wait_until(self._is_up, 10, "HAProxy is up")
        except BaseException:
            self.stop()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def _is_up(self):
        if self._process.poll() is not None:
            with open(self._said, encoding="utf-8") as said:
                raise AssertionError(f"HAProxy ended: {said.read()}")
        return os.path.exists(os.path.join(self._scratch.path, "stats.sock"))

    def stop(self):
        kill_quietly(self._process.pid)
        self._process.wait()
        self._scratch.remove()
