"""echo ADDRESS PORT: send back what comes, over UDP and TCP (RFC 862)."""
import socket
import sys
import threading


def serve_udp(address):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(address)
        while True:
            try:
                data, peer = s.recvfrom(65535)
                s.sendto(data, peer)
            except OSError:
                continue  # an ICMP error about an earlier answer


def serve_connection(connection):
    with connection:
        try:
            while data := connection.recv(65536):
                connection.sendall(data)
        except OSError:
            pass


def main():
    address = (sys.argv[1], int(sys.argv[2]))
    threading.Thread(target=serve_udp, args=(address,), daemon=True).start()
    with socket.create_server(address) as server:
        while True:
            connection, _ = server.accept()
            threading.Thread(target=serve_connection, args=(connection,), daemon=True).start()


main()
