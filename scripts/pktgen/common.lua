-- common: one measured run of a pktgen port, for dns.lua, flows.lua and both.lua.
--
-- From the environment (scripts/pktgen/run sets them):
--   SLUICE_PORT     pktgen's port number                                      (0)
--   SLUICE_RATE     percent of the link's speed, as pktgen understands it     (1)
--   SLUICE_SECONDS  how long to send                                          (10)
--   SLUICE_RESULT   file the figures go to, one "name value" a line           (must be given)
--   SLUICE_ADDRESS  own address with prefix length, which answers ARP         (must be given)
--   SLUICE_PEER_MAC MAC address of the PoP's port                             (must be given)

function want(name, default)
	local value = os.getenv(name) or default
	if value == nil then
		error(name .. " is not set; start this by scripts/pktgen/run")
	end
	return value
end

-- Counters of the port since pktgen started; keys of portStats are port numbers.
local function counters(port)
	local rates = pktgen.portStats(tostring(port), "port")[tonumber(port)]
	return { sent = rates.opackets, received = rates.ipackets, missed = rates.imissed + rates.ierrors,
	         failed = rates.oerrors }
end

-- Sends for SLUICE_SECONDS with whatever has been set up before, and writes the figures.
function measure(port, what)
	local seconds = tonumber(want("SLUICE_SECONDS", "10"))

	pktgen.set_ipaddr(port, "src", want("SLUICE_ADDRESS"))
	pktgen.set_mac(port, "dst", want("SLUICE_PEER_MAC"))
	pktgen.process(port, "on") -- answers ARP for our own address
	pktgen.set(port, "rate", want("SLUICE_RATE", "1"))
	-- A few first: the PoP asks for our MAC address, and holds no more than a few packets meanwhile.
	pktgen.set(port, "count", 8)
	pktgen.start(port)
	pktgen.delay(1000)
	pktgen.set(port, "count", 0)

	local before = counters(port)
	pktgen.start(port)
	pktgen.delay(seconds * 1000)
	pktgen.stop(port)
	pktgen.delay(1000) -- what is under way comes in
	local after = counters(port)

	local file = assert(io.open(want("SLUICE_RESULT"), "w"))
	local sent, received = after.sent - before.sent, after.received - before.received
	file:write(string.format("what %s\nseconds %d\nsent %d\nreceived %d\nsent_pps %d\nreceived_pps %d\n",
	                         what, seconds, sent, received, sent // seconds, received // seconds))
	file:write(string.format("not_taken_by_the_driver %d\nmissed_by_the_port %d\n",
	                         after.failed - before.failed, after.missed - before.missed))
	file:close()
	pktgen.quit()
end
