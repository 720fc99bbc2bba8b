// name: DNS names in wire and presentation form (RFC 1035 section 3.1, RFC 4343).
#pragma once
