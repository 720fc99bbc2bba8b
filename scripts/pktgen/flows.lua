-- flows: UDP of thousands of clients, each from several ports, to a range of assigned addresses.
-- Pktgen makes the packets itself (range mode), so they need no file.
--
--   SLUICE_CLIENT_FIRST, SLUICE_CLIENT_LAST  source addresses        (must be given)
--   SLUICE_TARGET_FIRST, SLUICE_TARGET_LAST  assigned addresses      (must be given)
--   SLUICE_CLIENT_PORTS                      source ports a client   (8)
--   SLUICE_UDP_PORT                          destination port        (9000)
--   SLUICE_BYTES                             of a frame with its FCS (64)
-- A queue holds 24,576 different packets at most; pktgen goes through them again and again.
dofile(os.getenv("SLUICE_PKTGEN_DIR") .. "/common.lua")

local port = want("SLUICE_PORT", "0")
local udp_port = tonumber(want("SLUICE_UDP_PORT", "9000"))
local bytes = tonumber(want("SLUICE_BYTES", "64"))

local function range(set, first, last, step)
	set(port, "start", first)
	set(port, "inc", step)
	set(port, "min", first)
	set(port, "max", last)
end

pktgen.range.ip_proto(port, "udp")
pktgen.range.dst_mac(port, "start", want("SLUICE_PEER_MAC"))
pktgen.range.dst_mac(port, "inc", "00:00:00:00:00:00")
range(pktgen.range.src_ip, want("SLUICE_CLIENT_FIRST"), want("SLUICE_CLIENT_LAST"), "0.0.0.1")
range(pktgen.range.dst_ip, want("SLUICE_TARGET_FIRST"), want("SLUICE_TARGET_LAST"), "0.0.0.1")
range(pktgen.range.src_port, 20000, 20000 + tonumber(want("SLUICE_CLIENT_PORTS", "8")) - 1, 1)
range(pktgen.range.dst_port, udp_port, udp_port, 0)
range(pktgen.range.ttl, 64, 64, 0)
range(pktgen.range.pkt_size, bytes, bytes, 0)
pktgen.set_range(port, "on")

measure(port, "flows")
