#include <sluice/dns/name.h>

#include <sluice/proto/bytes.h>
