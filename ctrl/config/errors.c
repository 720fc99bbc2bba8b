#include "errors.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static void
make_printable(char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < 0x20 || (unsigned char)*text == 0x7f)
			*text = '?';
}

void
sl_config_error(struct sl_config_errors *errors, struct sl_config_where where, const char *fmt, ...)
{
	struct sl_config_error *error;
	char text[1024];
	char *bar;
	va_list args;

	if (errors->list == NULL)
		errors->list = calloc(SL_CONFIG_ERRORS_MAX, sizeof(*errors->list));
	if (errors->list == NULL || errors->nb == SL_CONFIG_ERRORS_MAX) {
		errors->nb_lost++;
		return;
	}
	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	make_printable(text);
	// The remedy is fixed text behind the last bar; what the file said may hold bars too.
	bar = strrchr(text, '|');
	if (bar != NULL)
		*bar++ = '\0';
	error = &errors->list[errors->nb++];
	error->file = where.file == NULL ? NULL : strdup(where.file);
	error->line = where.line;
	error->what = strdup(text);
	error->remedy = strdup(bar == NULL ? "" : bar);
}

// Insertion: the list is short and nearly in order.
void
sl_config_errors_sort(struct sl_config_errors *errors, unsigned from)
{
	for (unsigned i = from + 1; i < errors->nb; i++) {
		struct sl_config_error moving = errors->list[i];
		unsigned at = i;

		for (; at > from; at--) {
			const struct sl_config_error *before = &errors->list[at - 1];
			bool same_file = before->file != NULL && moving.file != NULL &&
				strcmp(before->file, moving.file) == 0;

			if (!same_file || before->line <= moving.line)
				break;
			errors->list[at] = *before;
		}
		errors->list[at] = moving;
	}
}

void
sl_config_errors_print(const struct sl_config_errors *errors, FILE *to)
{
	for (unsigned i = 0; i < errors->nb; i++) {
		const struct sl_config_error *error = &errors->list[i];

		if (error->file != NULL)
			fprintf(to, "%s:", error->file);
		if (error->line != 0)
			fprintf(to, "%u:", error->line);
		if (error->file != NULL || error->line != 0)
			fputc(' ', to);
		fprintf(to, "%s", error->what == NULL ? "out of memory" : error->what);
		if (error->remedy != NULL && error->remedy[0] != '\0')
			fprintf(to, "; %s", error->remedy);
		fputc('\n', to);
	}
	if (errors->nb_lost > 0)
		fprintf(to, "and %u more errors\n", errors->nb_lost);
}

void
sl_config_errors_free(struct sl_config_errors *errors)
{
	for (unsigned i = 0; i < errors->nb; i++) {
		free(errors->list[i].file);
		free(errors->list[i].what);
		free(errors->list[i].remedy);
	}
	free(errors->list);
	*errors = (struct sl_config_errors){ 0 };
}
