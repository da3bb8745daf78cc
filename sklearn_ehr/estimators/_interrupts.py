"""Interrupts by the user, told from other reasons to stop a training."""

import signal
import threading
from contextlib import contextmanager


@contextmanager
def calling_on_interrupt(function):
    """Call a function when the user presses Ctrl-C, which only the main thread is told of."""
    found = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(found):
        yield
        return

    def handle(number, frame):
        function()
        return found(number, frame)

    signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, found)
