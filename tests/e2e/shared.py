"""The one Postfix all tests of a run share, started when the first of them asks for it."""

import postfix

_instance = None


def the_postfix():
    global _instance
    if _instance is None:
        _instance = postfix.Postfix()
    return _instance


def close():
    global _instance
    if _instance is not None:
        _instance.stop()
        _instance = None
