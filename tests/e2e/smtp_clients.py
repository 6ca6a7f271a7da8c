"""SMTP clients that nobody here wrote, each as a function that sends one message.

Given an Errand they return what the servers said to them, as the client itself prints it; whoever
does not get the message accepted raises AssertionError with all that was printed. Those that can
bind come from an address of their own (BINDS). Owns the files of the errand, nothing that lasts.
"""

import collections
import re
import smtplib
import subprocess

import mail
from postfix import DOMAIN
from scratch import ScratchDir

SECONDS = 60


class Errand:
    """One message of random content to one mailbox; a certificate means STARTTLS, checked by it."""

    def __init__(self, target, box, source, certificate=None, size=20_000):
        self.target = target
        self.recipient = f"{box}@{DOMAIN}"
        self.source = source
        self.certificate = certificate
        self.body = mail.random_body(size, f"{box}-{source}-{target[1]}")
        self._scratch = ScratchDir("errand")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._scratch.remove()

    @property
    def digest(self):
        return mail.digest(self.body)

    def text(self, end="\n"):
        head = f"From: <{mail.SENDER}>\nTo: <{self.recipient}>\nX-Digest: {self.digest}\n\n"
        return (head + self.body).replace("\n", end)

    def path(self, text):
        """A file that holds this."""
        return self._scratch.file("message", text)


def _run(command, **options):
    """All that it printed."""
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            timeout=SECONDS, errors="replace", **options)
    if result.returncode != 0:
        raise AssertionError(f"{command[0]} ended with {result.returncode}: "
                             f"{result.stdout[-3000:]}")
    return result.stdout


def swaks(errand):
    # swaks ends the last line itself.
    command = ["swaks", "--server", errand.target[0], "--port", str(errand.target[1]),
               "--from", mail.SENDER, "--to", errand.recipient, "--helo", "swaks.test",
               "--local-interface", errand.source, "--timeout", str(SECONDS),
               "--data", "@" + errand.path(errand.text().rstrip("\n")), "--suppress-data"]
    if errand.certificate:
        command += ["--tls", "--tls-verify", "--tls-ca-path", errand.certificate.path]
    return _run(command)


def smtp_source(errand):
    errand.body += "\n"  # it puts an empty line behind every message
    return _run(["smtp-source", "-v", "-s", "1", "-m", "1", "-f", mail.SENDER,
                 "-t", errand.recipient, "-M", "source.test",
                 "-F", errand.path(errand.text()[:-2]), f"{errand.target[0]}:{errand.target[1]}"])


def msmtp(errand):
    command = ["msmtp", f"--host={errand.target[0]}", f"--port={errand.target[1]}",
               f"--from={mail.SENDER}", "--domain=msmtp.test", f"--source-ip={errand.source}",
               "--auth=off", "--debug", f"--timeout={SECONDS}"]
    if errand.certificate:
        command += ["--tls=on", "--tls-starttls=on", f"--tls-trust-file={errand.certificate.path}"]
    return _run(command + [errand.recipient], input=errand.text())


def curl(errand):
    command = ["curl", "--verbose", "--no-progress-meter", "--max-time", str(SECONDS),
               "--url", f"smtp://{errand.target[0]}:{errand.target[1]}/curl.test",
               "--interface", errand.source, "--mail-from", mail.SENDER,
               "--mail-rcpt", errand.recipient, "--upload-file", errand.path(errand.text("\r\n"))]
    if errand.certificate:
        command += ["--ssl-reqd", "--cacert", errand.certificate.path]
    return _run(command)


class _Recorder(smtplib.SMTP):
    """Keeps what it would print about the session."""

    said = ""

    def _print_debug(self, *words):
        self.said += " ".join(map(str, words)) + "\n"


def python(errand):
    smtp = _Recorder(timeout=SECONDS, source_address=(errand.source, 0),
                     local_hostname="python.test")
    smtp.set_debuglevel(1)
    try:
        smtp.connect(*errand.target)
        if errand.certificate:
            smtp._host = errand.target[0]  # connect() leaves it empty, and the name is checked
            smtp.starttls(context=errand.certificate.client_context())
        smtp.sendmail(mail.SENDER, errand.recipient, errand.text("\r\n"))
        smtp.quit()
    except (OSError, smtplib.SMTPException) as error:
        raise AssertionError(f"smtplib: {error!r}: {smtp.said[-3000:]}") from error
    return smtp.said


def openssl(errand):
    """s_client does STARTTLS; the session within is spoken here, a command after each reply."""
    command = ["openssl", "s_client", "-connect", f"{errand.target[0]}:{errand.target[1]}",
               "-starttls", "smtp", "-name", "openssl.test", "-bind", f"{errand.source}:0",
               "-CAfile", errand.certificate.path, "-verify_return_error", "-quiet"]
    body = re.sub("^[.]", "..", errand.text("\r\n"), flags=re.M)
    script = ("EHLO openssl.test\r\n", f"MAIL FROM:<{mail.SENDER}>\r\n",
              f"RCPT TO:<{errand.recipient}>\r\n", "DATA\r\n", body + ".\r\n", "QUIT\r\n")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT) as process:
        try:
            heard = _reply(process.stdout)  # the end of what was said before TLS
            for text in script:
                process.stdin.write(text.encode())
                process.stdin.flush()
                reply = _reply(process.stdout)
                heard += reply
                if not re.search(r"(?m)^[23]\d\d ", reply):
                    raise AssertionError(f"openssl s_client: {heard}")
            process.wait(SECONDS)
        finally:
            process.kill()
    return heard


def _reply(stream):
    """Up to the last line of one reply; what s_client says of the certificate stands before it."""
    text = ""
    while not re.search(r"(?m)^\d\d\d [^\n]*\n", text):
        line = stream.readline().decode(errors="replace")
        if not line:
            break
        text += line
    return text


def nmap(target, *scripts):
    """What scripts find out, run against a port that nmap does not take for SMTP by itself."""
    return _run(["nmap", "-sT", "-Pn", "-n", "-p", str(target[1]), "--script",
                 ",".join(f"+{script}" for script in scripts), target[0]])


Sender = collections.namedtuple("Sender", "name send binds tls plain")

SENDERS = (
    Sender("swaks", swaks, binds=True, tls=True, plain=True),
    Sender("smtp-source", smtp_source, binds=False, tls=False, plain=True),
    Sender("msmtp", msmtp, binds=True, tls=True, plain=True),
    Sender("curl", curl, binds=True, tls=True, plain=True),
    Sender("python", python, binds=True, tls=True, plain=True),
    Sender("openssl", openssl, binds=True, tls=True, plain=False),
)


def refusals(transcript):
    """Every 4xx that a server said, whatever marks its lines in front of the code."""
    return re.findall(r"(?m)^[^\w\n[]*(?:reply: b')?(4\d\d[ -].*)$", transcript)


