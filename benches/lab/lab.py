"""What races and other measurements in a star of network namespaces share."""

import fcntl
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
SERVER = "10.77.0.100:4433"
LOCK = Path("/run/mlt-lite-lab.lock")
# Requests to end, besides Ctrl-C.
POLITE = [signal.SIGTERM, signal.SIGHUP]


def say(text):
    print(text, file=sys.stderr, flush=True)


class Star:
    """The cables, whoever emulates them."""

    def __init__(self, path):
        self.path = path

    def call(self, *words):
        done = subprocess.run([self.path, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            sys.exit(f"{self.path} {' '.join(words)}: {done.stdout.strip()}")
        return done.stdout

    def frames(self):
        """Of each direction of each cable: frames passed, lost and dropped at a full queue. The last word counts."""
        row = re.compile(r"^(.+?) passed (\d+) lost (\d+) queue_full (\d+)$")
        found = (row.match(line) for line in self.call("counters").splitlines())
        return {match[1]: tuple(map(int, match.groups()[1:])) for match in found if match}


class Hosts:
    """Processes on the hosts of a star; whatever lives longer than `limit` seconds is ended."""

    def __init__(self, star, program, limit):
        self.star, self.program, self.limit = star, program, limit
        self.underway = []

    def start(self, host, log, *words):
        """Starts our program on a host."""
        return self.command(host, log, str(self.program), *words)

    def command(self, host, log, *words):
        """Starts any program on a host; `timeout` ends it even if nobody is left to."""
        bounded = ["timeout", "-s", "INT", "-k", "5", str(self.limit), *words]
        with open(log, "w", encoding="utf-8") as out:
            process = subprocess.Popen([self.star.path, "run", host, *bounded], stdout=out, stderr=out)
        self.underway.append(process)
        return process

    def wait(self, process):
        """Waits for the end of a process: processor seconds, its descendants' too."""
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        self.underway.remove(process)
        return usage.ru_utime + usage.ru_stime

    def stop(self):
        """Ends what is under way and takes the star down, whatever is asked for meanwhile."""
        for request in [signal.SIGINT, *POLITE]:
            signal.signal(request, signal.SIG_IGN)
        self.finish()
        self.star.call("down")

    def finish(self):
        """Ends what is under way."""
        for process in self.underway:
            end(process)
        for process in list(self.underway):
            self.wait(process)


def obey():
    """Whoever asks politely is obeyed in good order, as with Ctrl-C."""
    for request in POLITE:
        signal.signal(request, lambda number, _: sys.exit(128 + number))


def prepare():
    """Whoever asks politely gets the star taken down; one measurement at a time."""
    obey()
    lock = open(LOCK, "w", encoding="utf-8")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit("another race is under way on this machine")
    return lock


def over(process):
    """Whether a process has ended; what it used can still be asked for."""
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def end(process):
    """Asks a process to end. It is still ours, so its number is nobody else's."""
    os.kill(process.pid, signal.SIGTERM)


def percentile(values, percent):
    """The nearest rank."""
    return sorted(values)[max(0, -(-len(values) * percent // 100) - 1)] if values else 0.0


def aligned(rows):
    """Rows as text: words to the left, numbers to the right."""
    columns = list(rows[0])
    cells = [columns, *([str(row[column]) for column in columns] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells)]
    put = lambda i, cell: cell.ljust(widths[i]) if i == 0 else cell.rjust(widths[i])
    return "\n".join("  ".join(put(i, cell) for i, cell in enumerate(row)).rstrip() for row in cells)
