"""netlab: Sluice and everything around it, in network namespaces of one machine.

    client 10.1.0.10   --+                       underlay (kernel router, NATs the connectors)
    client2        .11 --+-- access -- pop ------- 198.51.100.0/24 --+-- connector --- private
    client3        .12 --+  (bridge) .1        .2                 .1 +-- connector2 -- private2
                                                                     +-- public 192.0.2.53

    client2 is a WireGuard device (wg0, inner address from the PoP's pool); the others are plain

    connector  192.168.101.2 | 10.20.0.2   private:  10.20.0.0/24, tenant one
    connector2 192.168.102.2 | 10.20.0.2   private2: the same prefix and names, tenant two

topology  namespaces, links, addresses: what exists
servers   knot, nginx, iperf3 and echo on the hosts
daemons   the three sluice: keys, configuration, start, health
extras    a second connector, a second PoP: joined when asked for
wireguard client2's device, set up by wg-quick from what client add prints
faults    loss, MTU and reordering at the underlay
process   commands and daemons in namespaces, waiting for conditions
cli       scripts/lab
"""
