#include "sl_test.h"
#include "vectors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOLDER "tests/kat/vectors/"

size_t
vectors_hex(uint8_t *out, size_t nb_max, const char *hex)
{
	size_t nb = strlen(hex) / 2;
	unsigned octet;

	CU_ASSERT_FATAL(nb <= nb_max && strlen(hex) % 2 == 0);
	for (size_t i = 0; i < nb; i++) {
		CU_ASSERT_FATAL(sscanf(hex + 2 * i, "%2x", &octet) == 1);
		out[i] = (uint8_t)octet;
	}
	return nb;
}

bool
vectors_are(const uint8_t *data, size_t nb_bytes, const char *hex)
{
	uint8_t want[4096];

	return vectors_hex(want, sizeof(want), hex) == nb_bytes &&
		memcmp(data, want, nb_bytes) == 0;
}

json_t *
vectors_json(const char *name)
{
	char path[256];
	json_t *root;

	snprintf(path, sizeof(path), FOLDER "%s", name);
	root = json_load_file(path, 0, NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(root);
	return root;
}

const char *
vectors_text(const json_t *object, const char *name)
{
	const char *value = json_string_value(json_object_get(object, name));

	return value ? value : "";
}

static bool
is_size(const json_t *group, const char *name, unsigned nb_bits)
{
	return nb_bits == 0 || json_integer_value(json_object_get(group, name)) == nb_bits;
}

unsigned
vectors_wycheproof(
	const char *name,
	struct vectors_sizes sizes,
	void (*take)(const json_t *test, void *context),
	void *context
)
{
	json_t *root = vectors_json(name);
	const json_t *group, *test;
	unsigned nb = 0;
	size_t i, j;

	json_array_foreach(json_object_get(root, "testGroups"), i, group)
	{
		if (!is_size(group, "keySize", sizes.key) || !is_size(group, "ivSize", sizes.nonce))
			continue;
		json_array_foreach(json_object_get(group, "tests"), j, test)
		{
			take(test, context);
			nb++;
		}
	}
	json_decref(root);
	sl_test_note("%s: %u vectors", name, nb);
	CU_ASSERT(nb > 0);
	return nb;
}

static void
copy(char *to, size_t nb_bytes, const char *value)
{
	CU_ASSERT_FATAL(strlen(value) < nb_bytes);
	strcpy(to, value);
}

// "Name = value"; a record ends with the blank line after it.
static void
take_line(struct vectors_nist *r, const char *name, const char *value)
{
	if (strcmp(name, "Count") == 0)
		copy(r->name, sizeof(r->name), value);
	else if (strcmp(name, "Key") == 0)
		copy(r->key, sizeof(r->key), value);
	else if (strcmp(name, "IV") == 0)
		copy(r->nonce, sizeof(r->nonce), value);
	else if (strcmp(name, "PT") == 0)
		copy(r->plain, sizeof(r->plain), value);
	else if (strcmp(name, "AAD") == 0)
		copy(r->aad, sizeof(r->aad), value);
	else if (strcmp(name, "CT") == 0)
		copy(r->sealed, sizeof(r->sealed), value);
	else if (strcmp(name, "Tag") == 0)
		copy(r->tag, sizeof(r->tag), value);
	else
		CU_FAIL_FATAL("unknown name");
}

static bool
is_group_or_comment(const char *line)
{
	return line[0] == '#' || line[0] == '[';
}

unsigned
vectors_nist(
	const char *name,
	void (*take)(const struct vectors_nist *record, void *context),
	void *context
)
{
	struct vectors_nist record = { 0 };
	char line[1024], path[256];
	unsigned nb = 0;
	FILE *f;

	snprintf(path, sizeof(path), FOLDER "%s", name);
	f = fopen(path, "r");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	for (bool more = true; more;) {
		char *value;

		more = fgets(line, sizeof(line), f) != NULL;
		line[more ? strcspn(line, "\r\n") : 0] = '\0';
		if (line[0] == '\0' && record.tag[0] != '\0') {
			take(&record, context);
			memset(&record, 0, sizeof(record));
			nb++;
		} else if (strcmp(line, "FAIL") == 0) {
			record.is_fail = true;
		} else if (line[0] != '\0' && !is_group_or_comment(line)) {
			value = strstr(line, " = ");
			if (value == NULL) // "PT =" of nothing, its blank cut
				continue;
			*value = '\0';
			take_line(&record, line, value + 3);
		}
	}
	fclose(f);
	sl_test_note("%s: %u vectors", name, nb);
	CU_ASSERT(nb > 0);
	return nb;
}
