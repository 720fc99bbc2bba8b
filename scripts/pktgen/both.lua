-- both: questions and datagrams of flows from one pcap file (-s PORT:FILE), which
-- scripts/pktgen/make-pcap has mixed.
dofile(os.getenv("SLUICE_PKTGEN_DIR") .. "/common.lua")

local port = want("SLUICE_PORT", "0")

measure(port, "both")
