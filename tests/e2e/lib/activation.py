"""Starts the pooler as a service manager does that has opened its sockets."""

import os
import subprocess
import sys

from lib import processes

# Becomes the program with descriptors from 3 on, as a service manager does.
ACTIVATE = """
import os, sys
count, log, command = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
os.environ.update(LISTEN_FDS=str(count), LISTEN_PID=str(os.getpid()))
os.execv(command[0], command)
"""


def activate(pooler, sockets):
    """Start the pooler with these sockets passed to it."""
    user = processes.service_user()

    def place():  # above all others first, so that none is overwritten
        high = [os.dup2(one.fileno(), 100 + number) for number, one in enumerate(sockets)]
        for number, descriptor in enumerate(high):
            os.dup2(descriptor, 3 + number)
            os.set_inheritable(3 + number, True)
            os.close(descriptor)

    with open(pooler.path("log"), "ab") as log:
        pooler.process = subprocess.Popen(
            [sys.executable, "-c", ACTIVATE, str(len(sockets)), pooler.path("log"), pooler._reachable_program(),
             pooler.path("headgate.ini")],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=place, close_fds=False, start_new_session=True,
            **({"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}),
        )  # fmt: skip
