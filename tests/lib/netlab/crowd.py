"""crowd: many TCP connections at once, and what became of them.

crowd serve ADDRESS PORT      accept all and send back what comes
crowd hold ADDRESS PORT N     open N; then answer lines on stdin with lines of JSON on stdout:
    state   {"open": ..., "reset": ..., "first": S, "last": S}: when resets came, CLOCK_MONOTONIC
    ask     each open one sends an octet and waits for it: {"answered": ..., "lost": ...}
    close   close all, in order; and end
"""
import errno
import json
import resource
import select
import socket
import sys
import time

AT_ONCE = 256  # connections being opened


def no_limit():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def serve(address, port):
    listener = socket.create_server((address, port), backlog=4096)
    listener.setblocking(False)
    poll = select.epoll()
    poll.register(listener, select.EPOLLIN)
    there = {}
    print("ready", flush=True)
    while True:
        for fd, _ in poll.poll():
            if fd == listener.fileno():
                try:
                    while True:
                        s, _ = listener.accept()
                        s.setblocking(False)
                        there[s.fileno()] = s
                        poll.register(s, select.EPOLLIN)
                except BlockingIOError:
                    continue
            try:
                data = there[fd].recv(4096)
                if data:
                    there[fd].send(data)
                    continue
            except OSError:
                pass
            there.pop(fd).close()


class Crowd:
    def __init__(self, address, port):
        self.to = (address, port)
        self.poll = select.epoll()
        self.open, self.opening = {}, {}
        self.nb_failed, self.resets = 0, []

    def begin(self):
        s = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        if s.connect_ex(self.to) not in (0, errno.EINPROGRESS):
            self.nb_failed += 1
            s.close()
            return
        self.opening[s.fileno()] = s
        self.poll.register(s, select.EPOLLOUT)

    def opened(self, fd):
        s = self.opening.pop(fd)
        if s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self.nb_failed += 1
            s.close()
            return
        self.poll.modify(fd, select.EPOLLIN)
        self.open[fd] = s

    def make(self, nb):
        began = 0
        while began < nb or self.opening:
            while began < nb and len(self.opening) < AT_ONCE:
                self.begin()
                began += 1
            for fd, _ in self.poll.poll(1):
                if fd in self.opening:
                    self.opened(fd)
                elif fd in self.open:
                    self.over(fd)

    def over(self, fd):
        self.resets.append(time.monotonic())
        self.open.pop(fd).close()

    def state(self):
        return {"open": len(self.open), "failed": self.nb_failed, "reset": len(self.resets),
                "first": min(self.resets, default=None), "last": max(self.resets, default=None)}

    def ask(self, wait_s=20):
        waiting = set()
        for fd, s in list(self.open.items()):
            try:
                s.send(b"?")
                waiting.add(fd)
            except OSError:
                self.over(fd)
        asked, until = len(waiting), time.monotonic() + wait_s
        while waiting and time.monotonic() < until:
            for fd, _ in self.poll.poll(1):
                if fd not in self.open:
                    continue
                try:
                    if self.open[fd].recv(64):
                        waiting.discard(fd)
                        continue
                except OSError:
                    pass
                waiting.discard(fd)
                asked -= 1
                self.over(fd)
        return {"answered": asked - len(waiting), "lost": len(waiting) + len(self.resets)}

    def serve_stdin(self):
        self.poll.register(0, select.EPOLLIN)
        while True:
            for fd, _ in self.poll.poll():
                if fd in self.open:
                    self.over(fd)
                elif fd == 0:
                    word = sys.stdin.readline().strip()
                    if word in ("close", ""):
                        return
                    # What has come meanwhile counts first.
                    for other, _ in self.poll.poll(0):
                        if other in self.open:
                            self.over(other)
                    print(json.dumps(self.ask() if word == "ask" else self.state()), flush=True)


def hold(address, port, nb):
    crowd = Crowd(address, port)
    crowd.make(nb)
    print(json.dumps(crowd.state()), flush=True)
    crowd.serve_stdin()
    for s in crowd.open.values():
        s.close()


def main():
    no_limit()
    address, port = sys.argv[2], int(sys.argv[3])
    if sys.argv[1] == "serve":
        serve(address, port)
    else:
        hold(address, port, int(sys.argv[4]))


main()
