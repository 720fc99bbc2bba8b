// missing: stands in for functions the packet path refers to and the dns library does not have yet.
#include <stdlib.h>

__attribute__((weak, noreturn)) void sl_answer(void);
__attribute__((weak, noreturn)) void sl_policy_match_address(void);
__attribute__((weak, noreturn)) void sl_policy_visibility(void);

void
sl_answer(void)
{
	abort();
}

void
sl_policy_match_address(void)
{
	abort();
}

void
sl_policy_visibility(void)
{
	abort();
}
