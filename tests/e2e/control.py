"""The control socket by hand, for tests that say what no command would: raw bytes, many clients at
once, another user's. Knows the socket, and nothing of what is asked."""

import os
import socket
import sys

from gate import run_command


def ask(path, data, end=False, timeout=5):
    """Sends bytes and returns everything until the gate closes; `end`: our side is shut first."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(timeout)
        client.connect(path)
        client.sendall(data)
        if end:
            client.shutdown(socket.SHUT_WR)
        return rest(client)


def rest(client):
    out = b""
    try:
        while data := client.recv(65536):
            out += data
    except ConnectionResetError:  # it closed with bytes of ours unread
        pass
    return out.decode()


def ask_as(uid, path, line):
    """The answer to a line asked by another user, in a process of its own."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
            os.write(write_end, ask(path, line.encode() + b"\n").encode())
        except OSError as error:
            os.write(write_end, str(error).encode())
        finally:
            os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end) as answer:
        text = answer.read()
    os.waitpid(child, 0)
    return text


def command(gate, *words, **options):
    """A lychgate command that asks this gate."""
    return run_command(*words, "--socket", gate.control, **options)


if __name__ == "__main__":
    print(ask(sys.argv[1], sys.argv[2].encode() + b"\n"), end="")
