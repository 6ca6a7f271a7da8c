"""A real OpenSMTPD in a scratch world: PROXY v2 on its listener, TLS, delivery into Maildirs.

Owns its configuration and queue; the processes and their namespace are unpacked.UnpackedServer's.
OpenSMTPD logs the address of a client, not its port, and takes a PROXY header of version 2 only.
That of Debian 12 is of 2020 and cannot serve TLS with OpenSSL 3 (upstream's issues 1171 and 1239):
tls_works() tells."""

import os
import re
import smtplib
import socket
import ssl

from postfix import DOMAIN, MAILBOXES
from scratch import free_port, wait_until
from unpacked import UnpackedServer

_SERVER, _QUEUE, _OWNER = 20102, 20103, 20104

_CONFIGURATION = """
pki server cert "{dir}/certificate.pem"
pki server key "{dir}/key.pem"
table boxes file:{dir}/boxes
smtp max-message-size 50M
listen on 127.0.0.1 port {proxied} hostname mx.{domain} tls pki server proxy-v2
listen on 127.0.0.1 port {plain} hostname mx.{domain} tls pki server
action "deliver" maildir "{dir}/mail/%{{dest.user}}" virtual <boxes>
match from any for domain "{domain}" action "deliver"
"""


class OpenSmtpd(UnpackedServer):
    """Started by the constructor, ready when it returns."""

    def __init__(self, certificate):
        super().__init__(
            "opensmtpd", "smtpd",
            {"opensmtpd": _SERVER, "opensmtpq": _QUEUE, "boxes": _OWNER},
            mounts={"/usr/libexec": "usr/libexec"})
        self._certificate = certificate
        try:
            self.proxied_port = free_port()
            self.plain_port = free_port()
            self._prepare(certificate)
            self.start("-d", "-f", self.file("smtpd.conf"))
            wait_until(self._is_up, 15, f"OpenSMTPD is up (log: {self.log_path})", pause=0.05)
        except BaseException:
            self.stop()
            raise

    def _prepare(self, certificate):
        self.folder("var/lib/opensmtpd/empty")
        self.folder("var/spool/smtpd", mode=0o711)
        self.folder("mail", _OWNER)
        for name, path in (("certificate.pem", certificate.path), ("key.pem", certificate.key)):
            with open(path, encoding="ascii") as source:
                os.chmod(self.file(name, source.read()), 0o600)
        self.file("boxes", "".join(f"box{i}@{DOMAIN}: boxes\n" for i in range(MAILBOXES)))
        self.file("smtpd.conf", _CONFIGURATION.format(
            domain=DOMAIN, dir=self.dir, proxied=self.proxied_port, plain=self.plain_port))

    def _is_up(self):
        self.check_running()
        try:
            socket.create_connection(("127.0.0.1", self.plain_port)).close()
        except ConnectionRefusedError:
            return False
        return True

    def tls_works(self):
        """Whether a client without any gate gets through a handshake."""
        try:
            with smtplib.SMTP("127.0.0.1", self.plain_port, timeout=10) as smtp:
                smtp.starttls(context=self._certificate.client_context())
                return smtp.noop()[0] == 250
        except (ssl.SSLError, smtplib.SMTPException):
            return False

    @property
    def backend(self):
        return f"tcp:127.0.0.1:{self.proxied_port}"

    def clients_since(self, mark):
        """(address, None) of every client that connected since a mark."""
        return [(address, None) for address in re.findall(
            r"smtp connected address=([0-9.]+)", self.log_since(mark))]

    def delivered(self, box):
        new = os.path.join(self.dir, "mail", box, "new")
        return [os.path.join(new, name) for name in os.listdir(new)] if os.path.isdir(new) else []
