-- dns: thousands of clients ask the PoP for A records. The questions are in the pcap file that
-- pktgen was started with (-s PORT:FILE); scripts/pktgen/make-pcap writes it.
dofile(os.getenv("SLUICE_PKTGEN_DIR") .. "/common.lua")

local port = want("SLUICE_PORT", "0")

measure(port, "dns")
