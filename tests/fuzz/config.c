// The loader takes any text: it makes a tree or says what is wrong, and never neither.
#include "fuzz.h"

#include <sluice/ctrl/config.h>
#include <stdlib.h>
#include <string.h>

// libconfig 1.5 loses small buffers when its parser stops at an error.
const char *__lsan_default_suppressions(void);
const char *
__lsan_default_suppressions(void)
{
	return "leak:libconfig.so\n";
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t nb_bytes)
{
	struct sl_config_errors errors = { 0 };
	struct sl_config *config = NULL;
	char *text = malloc(nb_bytes + 1);
	int rc;

	if (text == NULL)
		return 0;
	if (nb_bytes > 0)
		memcpy(text, data, nb_bytes);
	text[nb_bytes] = '\0';
	// Not what @include would find on the machine.
	if (strstr(text, "@include") != NULL && strchr(text, '/') != NULL) {
		free(text);
		return 0;
	}
	rc = sl_config_load_string(text, "fuzz", SL_CONFIG_SKIP_FILES, &config, &errors);
	if ((rc == 0) != (config != NULL) || (rc == 0) != (errors.nb == 0))
		abort();
	if (config != NULL) {
		if (sl_config_diff(config, config, &errors) != SL_CHANGE_NONE)
			abort();
		if (sl_config_memory(config).total_bytes == 0)
			abort();
	}
	sl_config_free(config);
	sl_config_errors_free(&errors);
	free(text);
	return 0;
}
