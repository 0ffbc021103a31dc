"""A hosts file of a test's own, in which pg.example has the addresses that the test gives it."""

import os

WRAPPER = "libnss_wrapper.so"


class Names:
    """The hosts file; each change is younger than the last, by whole seconds, or it is not seen."""

    def __init__(self, path):
        self.path = path
        self.age = 0

    @property
    def environment(self):
        return {"LD_PRELOAD": WRAPPER, "NSS_WRAPPER_HOSTS": self.path}

    def write(self, *addresses):
        text = "".join(f"{address} pg.example\n" for address in addresses) or "127.0.0.9 another.example\n"
        with open(self.path + ".new", "w", encoding="utf-8") as file:
            file.write(text)
        self.age += 10
        now = os.stat(self.path + ".new").st_mtime + self.age
        os.chmod(self.path + ".new", 0o644)
        os.utime(self.path + ".new", (now, now))
        os.rename(self.path + ".new", self.path)

    def hold(self):
        """From now on whoever looks the name up waits for let_go()."""
        os.mkfifo(self.path + ".new", 0o644)
        os.chmod(self.path + ".new", 0o644)
        os.rename(self.path + ".new", self.path)

    def let_go(self, *addresses):
        with open(self.path, "w", encoding="utf-8") as file:
            self.write(*addresses)
            file.write("127.0.0.9 another.example\n")
