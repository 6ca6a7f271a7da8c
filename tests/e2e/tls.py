"""A self-signed certificate for one run of tests, made by openssl, and who speaks TLS by it.

Owns its directory. The certificate is its own authority, so that a client which checks it proves
that TLS ends in the server that was given the key."""

import ssl
import subprocess

from scratch import ScratchDir

NAME = "mx.gate.test"


class Certificate:
    """Key and certificate for mx.gate.test, localhost and 127.0.0.1, good for two days."""

    def __init__(self):
        self._scratch = ScratchDir("tls")
        self.path = self._scratch.file("certificate.pem")
        self.key = self._scratch.file("key.pem")
        result = subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
             "-nodes", "-days", "2", "-subj", f"/CN={NAME}", "-addext",
             f"subjectAltName=DNS:{NAME},DNS:localhost,IP:127.0.0.1",
             "-keyout", self.key, "-out", self.path],
            capture_output=True, text=True, timeout=60)
        if result.returncode != 0:
            raise AssertionError(f"openssl made no certificate: {result.stderr}")

    def client_context(self):
        """For a Python client that trusts this certificate only, and checks the name."""
        return ssl.create_default_context(cafile=self.path)

    def server_context(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.path, self.key)
        return context

    def remove(self):
        self._scratch.remove()
