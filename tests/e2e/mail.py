"""Whole messages through a gate, and the proof that they arrived unchanged.

Three senders: smtp-source (fast, fixed content), Courier (Python, random content, a source address
of its own for every message, the digest in a header) and swaks (random content, a client nobody
here wrote). Owns nothing that lasts; the mailboxes belong to postfix.Postfix.
"""

import collections
import hashlib
import os
import random
import re
import smtplib
import subprocess
import threading

from postfix import DOMAIN, body_digest, split_message
from scratch import loopback

SENDER = "sender@client.test"


def smtp_source(target, box, count, size, sessions=50):
    """`count` messages of `size` bytes from 127.0.0.1 in parallel sessions."""
    result = subprocess.run(
        ["smtp-source", "-s", str(sessions), "-m", str(count), "-l", str(size), "-f", SENDER,
         "-t", f"{box}@{DOMAIN}", f"{target[0]}:{target[1]}"],
        capture_output=True, text=True, timeout=180)
    if result.returncode != 0 or result.stderr:
        raise AssertionError(f"smtp-source ended with {result.returncode}: {result.stderr}")


def random_body(size, seed):
    """`size` bytes of lines of printable characters, some beginning with a dot, CRLF-free.

    Postfix keeps such a body byte for byte, so its digest can be compared after delivery.
    """
    source = random.Random(seed)
    text = source.randbytes(size * 3 // 4 + 80).hex().translate(
        str.maketrans("01234567", "GHIJ.,; "))
    lines = [text[i:i + 72].strip() or "-" for i in range(0, size, 73)]
    return "\n".join(lines)[:size - 1].rstrip() + "\n"


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


class Courier:
    """Sends `count` messages of random content and size with parallel connections, each message
    from its own 127.block.y.z; `senders` collects the (address, port) of every connection."""

    def __init__(self, target, box, count, block, largest=200_000, parallel=16):
        self.senders = []
        self.digests = []
        self._target = target
        self._box = box
        self._block = block
        self._largest = largest
        self._work = iter(range(count))
        self._lock = threading.Lock()
        self._failures = []
        threads = [threading.Thread(target=self._run) for _ in range(parallel)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self._failures:
            raise AssertionError(f"{len(self._failures)} of {count} messages were not accepted, "
                                 f"first: {self._failures[0]!r}")

    def _run(self):
        while True:
            with self._lock:
                index = next(self._work, None)
            if index is None:
                return
            try:
                self._send(index)
            except (OSError, smtplib.SMTPException) as error:
                self._failures.append(error)

    def _send(self, index):
        # Sizes spread evenly over the orders of magnitude from 1 kB up.
        size = int(1000 * (self._largest / 1000) ** random.Random(index).random())
        body = random_body(size, f"{self._box}-{index}")
        message = (f"From: <{SENDER}>\r\nTo: <{self._box}@{DOMAIN}>\r\n"
                   f"X-Digest: {digest(body)}\r\n\r\n" + body.replace("\n", "\r\n"))
        source = (loopback(index, self._block), 0)
        with smtplib.SMTP(*self._target, timeout=60, source_address=source,
                          local_hostname="courier.test") as smtp:
            with self._lock:
                self.senders.append(smtp.sock.getsockname())
                self.digests.append(digest(body))
            smtp.sendmail(SENDER, f"{self._box}@{DOMAIN}", message)


def swaks(target, box, scratch_dir, index, block):
    """One message by swaks from an address of its own; returns the digest of its body."""
    body = random_body(random.Random(index).randrange(1000, 200_000), f"swaks-{box}-{index}")
    path = os.path.join(scratch_dir, f"swaks-{index}")
    with open(path, "w", encoding="ascii") as out:
        # swaks ends the last line itself.
        out.write(f"From: <{SENDER}>\nTo: <{box}@{DOMAIN}>\nX-Digest: {digest(body)}\n\n"
                  + body.rstrip("\n"))
    result = subprocess.run(
        ["swaks", "--server", target[0], "--port", str(target[1]), "--from", SENDER,
         "--to", f"{box}@{DOMAIN}", "--local-interface", loopback(index, block),
         "--helo", "swaks.test", "--data", f"@{path}", "--timeout", "30", "--hide-all"],
        capture_output=True, text=True, timeout=60)
    os.unlink(path)
    if result.returncode != 0:
        raise AssertionError(f"swaks ended with {result.returncode}: {result.stdout}"
                             f"{result.stderr}")
    return digest(body)


def delivered_digests(paths):
    """How often each body arrived."""
    return collections.Counter(body_digest(path) for path in paths)


def altered(paths):
    """Messages whose body is not what their X-Digest header says."""
    wrong = []
    for path in paths:
        head, body = split_message(path)
        named = re.search(r"^X-Digest: ([0-9a-f]{64})$", head, re.M)
        if named and named.group(1) != hashlib.sha256(body).hexdigest():
            wrong.append(path)
    return wrong
