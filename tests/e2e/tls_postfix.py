"""The Postfix of postfix.py with STARTTLS on all its services, by a certificate of the test.

Owns what it adds to the configuration; else the same directories, services and rules."""

import os

from postfix import Postfix

_TLS = """
smtpd_tls_security_level = may
smtpd_tls_cert_file = {certificate}
smtpd_tls_key_file = {key}
smtpd_tls_session_cache_database =
smtpd_tls_loglevel = 1
{more}
"""


class TlsPostfix(Postfix):
    """`settings`: further lines of main.cf, which count more than those of postfix.py."""

    def __init__(self, certificate, settings=""):
        self._certificate = certificate
        self._settings = settings
        super().__init__()

    def _write_configuration(self):
        super()._write_configuration()
        main = os.path.join(self.dir, "etc/main.cf")
        with open(main, encoding="utf-8") as f:
            text = f.read()
        added = _TLS.format(certificate=self._certificate.path, key=self._certificate.key,
                            more=self._settings)
        # A name that is set twice makes Postfix warn.
        names = {line.split("=")[0].strip() for line in added.splitlines()}
        kept = [line for line in text.splitlines() if line.split("=")[0].strip() not in names]
        with open(main, "w", encoding="utf-8") as f:
            f.write("\n".join(kept) + added)
        with open(os.path.join(self.dir, "etc/master.cf"), "a", encoding="utf-8") as f:
            f.write("tlsmgr unix - - n 1000? 1 tlsmgr\n")

    @property
    def backend(self):
        return f"tcp:127.0.0.1:{self.proxied_port}"
