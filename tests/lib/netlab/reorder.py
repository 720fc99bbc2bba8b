"""reorder NAME: a TUN interface that gives packets back, one in eight of them a little later.

A packet held back goes out after the next three, or after 5 ms when no more come.
"""
import fcntl
import os
import random
import select
import struct
import sys
import time

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
HOLD_PKTS = 3
HOLD_S = 0.005


def open_tun(name):
    tun = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    return tun


def main():
    tun = open_tun(sys.argv[1])
    held = []  # [packet, packets still to let pass, when it goes at the latest]
    while True:
        wait = max(0, held[0][2] - time.monotonic()) if held else None
        if select.select([tun], [], [], wait)[0]:
            packet = os.read(tun, 65535)
            if random.randrange(8) == 0:
                held.append([packet, HOLD_PKTS, time.monotonic() + HOLD_S])
            else:
                os.write(tun, packet)
                for entry in held:
                    entry[1] -= 1
        now = time.monotonic()
        for entry in [e for e in held if e[1] <= 0 or e[2] <= now]:
            os.write(tun, entry[0])
            held.remove(entry)


main()
