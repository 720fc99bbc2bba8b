// pair_internal: between the two halves of pair, set-up and traffic.
#pragma once

extern unsigned pair_punted[16]; // packets for the PoP's session thread, by enum sl_punt

// Take what left by the outer ports: DNS queries are answered, the rest waits to be taken. Returns
// how many frames there were.
unsigned pair_play_hosts(void);
void pair_reset_hosts(void);
void pair_drain(void);
