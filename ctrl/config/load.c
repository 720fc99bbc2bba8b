// load: text to tree. The sections are read in an order in which each finds what it refers to.
#include "readers.h"

#include <errno.h>
#include <sluice/ctrl/compile.h>
#include <stdlib.h>
#include <string.h>

#define AT(member) .offset = offsetof(struct sl_config, member)

// In the order of reading: ports before what stands on them, defaults before what takes them.
static const struct sl_field sections[] = {
	{ "node", SL_FIELD_OTHER, AT(node), .read = sl_read_node },
	{ "workers", SL_FIELD_OTHER, AT(workers), .read = sl_read_workers },
	{ "ports", SL_FIELD_OTHER, 0, .read = sl_read_ports },
	{ "routes", SL_FIELD_OTHER, 0, .read = sl_read_routes },
	{ "tunnel", SL_FIELD_OTHER, AT(tunnel), .read = sl_read_tunnel },
	{ "wireguard", SL_FIELD_OTHER, AT(wireguard), .read = sl_read_wireguard },
	{ "dns", SL_FIELD_OTHER, AT(dns), .read = sl_read_dns },
	{ "limits", SL_FIELD_OTHER, AT(limits), .read = sl_read_limits },
	{ "timers", SL_FIELD_OTHER, AT(timers), .read = sl_read_timers },
	{ "system", SL_FIELD_OTHER, AT(system), .read = sl_read_system },
	{ "tenants", SL_FIELD_OTHER, 0, .read = sl_read_tenants },
	{ "connector", SL_FIELD_OTHER, AT(connector), .read = sl_read_connector },
};
#define NB_SECTIONS (sizeof(sections) / sizeof(sections[0]))

// More than any text of a size can ask for: an element of the largest kind costs three characters.
static size_t
arena_bytes(size_t nb_text_bytes)
{
	return nb_text_bytes * 1024 + (8u << 20);
}

static void
nothing(struct sl_loader *l, const config_setting_t *s, void *at)
{
	(void)l;
	(void)s;
	(void)at;
}

static void
read_sections(struct sl_loader *l, const config_setting_t *root)
{
	struct sl_field known[NB_SECTIONS];

	// First only to meet unknown keys: the reader goes by the order of the file.
	memcpy(known, sections, sizeof(known));
	for (unsigned i = 0; i < NB_SECTIONS; i++)
		known[i].read = nothing;
	SL_READ_GROUP(l, root, known, "the configuration", l->config);
	for (unsigned i = 0; i < NB_SECTIONS; i++) {
		const config_setting_t *s = config_setting_get_member(root, sections[i].key);
		void *at = (char *)l->config + sections[i].offset;

		// A connector section exists only where it is written.
		if (s != NULL || sections[i].read != sl_read_connector)
			sections[i].read(l, s, at);
	}
}

static void
complain_syntax(struct sl_loader *l, const config_t *parser)
{
	int line = config_error_line(parser);
	struct sl_config_where where = sl_source_where(l->source, line < 0 ? 0 : (unsigned)line);

	sl_config_error(
		l->errors,
		where,
		"%s|look at this line and the one before for a missing ';', ',' or bracket",
		config_error_text(parser) == NULL ? "syntax error" : config_error_text(parser)
	);
}

static int
build(struct sl_source *source,
      const char *path,
      enum sl_config_files files,
      struct sl_config **config,
      struct sl_config_errors *errors)
{
	struct sl_loader l = { .source = source, .errors = errors };
	unsigned before = errors->nb + errors->nb_lost;
	unsigned from = errors->nb;
	int rc = 0;
	config_t parser;

	l.arena = sl_arena_new(arena_bytes(source->nb_bytes));
	if (l.arena == NULL)
		return -ENOMEM;
	l.config = sl_arena_alloc(l.arena, 1, sizeof(*l.config));
	l.config->arena = l.arena;
	l.config->path = sl_arena_strdup(l.arena, path);
	l.files = sl_arena_alloc(l.arena, source->nb_files, sizeof(*l.files));
	for (unsigned i = 0; i < source->nb_files; i++)
		l.files[i] = sl_arena_strdup(l.arena, source->files[i]);
	config_init(&parser);
	if (config_read_string(&parser, source->text) != CONFIG_TRUE) {
		complain_syntax(&l, &parser);
	} else {
		read_sections(&l, config_root_setting(&parser));
		sl_check_node(&l);
		sl_check_tenants(&l);
		if (files == SL_CONFIG_CHECK_FILES)
			sl_check_files(&l);
		// Ties are for a tree whose references all lead somewhere.
		if (errors->nb + errors->nb_lost == before &&
		    sl_compile_check(l.config, errors) == -ENOMEM)
			rc = -ENOMEM;
	}
	config_destroy(&parser);
	sl_config_errors_sort(errors, from);
	if (errors->nb + errors->nb_lost != before)
		rc = -EINVAL;
	if (rc != 0) {
		sl_config_free(l.config);
		return rc;
	}
	sl_arena_freeze(l.arena);
	*config = l.config;
	return 0;
}

int
sl_config_load(const char *path, struct sl_config **config, struct sl_config_errors *errors)
{
	struct sl_source source;
	int rc = sl_source_read_file(&source, path, errors);

	*config = NULL;
	if (rc == 0)
		rc = build(&source, path, SL_CONFIG_CHECK_FILES, config, errors);
	sl_source_free(&source);
	return rc;
}

int
sl_config_reload(const char *path, struct sl_config **config, struct sl_config_errors *errors)
{
	struct sl_source source;
	int rc = sl_source_read_file(&source, path, errors);

	*config = NULL;
	if (rc == 0)
		rc = build(&source, path, SL_CONFIG_SKIP_FILES, config, errors);
	sl_source_free(&source);
	return rc;
}

int
sl_config_load_string(
	const char *text,
	const char *name,
	enum sl_config_files files,
	struct sl_config **config,
	struct sl_config_errors *errors
)
{
	struct sl_source source;
	int rc = sl_source_read_text(&source, text, name, errors);

	*config = NULL;
	if (rc == 0)
		rc = build(&source, name, files, config, errors);
	sl_source_free(&source);
	return rc;
}

void
sl_config_free(struct sl_config *config)
{
	if (config != NULL)
		sl_arena_free(config->arena);
}
