// Key files: made private, read only when private, and in WireGuard's format.
#include "sl_test.h"

#include <errno.h>
#include <fcntl.h>
#include <sluice/ctrl/config.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/config-key-XXXXXX";

static const char *
in_dir(const char *name)
{
	static char path[256];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static const char *
file(const char *name, const char *text, mode_t mode)
{
	const char *path = in_dir(name);
	int fd;

	(void)unlink(path); // the one before may be read-only, which holds whoever is not root
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text) ||
	    fchmod(fd, mode) != 0)
		abort();
	close(fd);
	return path;
}

// RFC 7748 section 6.1: Alice's keys.
static const uint8_t alice[SL_KEY_BYTES] = {
	0x77, 0x07, 0x6d, 0x0a, 0x73, 0x18, 0xa5, 0x7d, 0x3c, 0x16, 0xc1,
	0x72, 0x51, 0xb2, 0x66, 0x45, 0xdf, 0x4c, 0x2f, 0x87, 0xeb, 0xc0,
	0x99, 0x2a, 0xb1, 0x77, 0xfb, 0xa5, 0x1d, 0xb9, 0x2c, 0x2a,
};
#define ALICE        "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo="
#define ALICE_PUBLIC "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo="

static void
test_base64(void)
{
	char text[SL_KEY_BASE64_CHARS + 1];
	uint8_t bytes[SL_KEY_BYTES];

	sl_key_to_base64(alice, text);
	CU_ASSERT_STRING_EQUAL(text, ALICE);
	CU_ASSERT_TRUE(sl_key_from_base64(ALICE, 44, bytes));
	CU_ASSERT_EQUAL(memcmp(bytes, alice, sizeof(alice)), 0);
	for (unsigned i = 0; i < 256; i++) {
		memset(bytes, (int)i, sizeof(bytes));
		sl_key_to_base64(bytes, text);
		memset(bytes, 0x5a, sizeof(bytes));
		CU_ASSERT_TRUE(sl_key_from_base64(text, 44, bytes));
		CU_ASSERT_TRUE(bytes[0] == i && bytes[31] == i);
	}
}

static void
test_base64_strict(void)
{
	static const char *const rows[] = {
		"",
		"=",
		"dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo", // no padding
		"dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=\n",
		"dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCp=", // bits beyond the 32 octets
		"dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LC==",
		"dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25L_o=", // the URL alphabet
		" wdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=",
		"====dtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25L=",
	};
	static const uint8_t none[SL_KEY_BYTES];
	uint8_t bytes[SL_KEY_BYTES];

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		memset(bytes, 1, sizeof(bytes));
		SL_ASSERT_ROW(!sl_key_from_base64(rows[i], strlen(rows[i]), bytes), rows[i]);
		SL_ASSERT_ROW(memcmp(bytes, none, sizeof(none)) == 0, rows[i]);
	}
}

static void
test_public(void)
{
	struct sl_private_key private_key;
	struct sl_public_key public_key;
	char text[SL_KEY_BASE64_CHARS + 1];

	memcpy(private_key.bytes, alice, sizeof(alice));
	CU_ASSERT_EQUAL(sl_key_public(&private_key, &public_key), 0);
	sl_key_to_base64(public_key.bytes, text);
	CU_ASSERT_STRING_EQUAL(text, ALICE_PUBLIC);
}

static void
test_generate(void)
{
	struct sl_private_key private_key;
	struct sl_public_key made;
	struct sl_public_key derived;
	const char *path = in_dir("new");
	struct stat st;
	mode_t mask = umask(0);
	int rc = sl_key_generate(path, &made);

	(void)umask(mask);
	CU_ASSERT_EQUAL(rc, 0);
	CU_ASSERT_EQUAL(stat(path, &st), 0);
	CU_ASSERT_EQUAL(st.st_mode & 07777, 0600);
	CU_ASSERT_EQUAL(st.st_size, 45);
	CU_ASSERT_EQUAL(sl_key_load(path, &private_key, NULL), 0);
	CU_ASSERT_EQUAL(sl_key_public(&private_key, &derived), 0);
	CU_ASSERT_EQUAL(memcmp(&made, &derived, sizeof(made)), 0);
	CU_ASSERT_EQUAL(sl_key_generate(path, &made), -EEXIST);
	CU_ASSERT_EQUAL(sl_key_generate("/nonexistent/key", &made), -ENOENT);
	CU_ASSERT_EQUAL(sl_key_generate(in_dir("other"), &derived), 0);
	CU_ASSERT_NOT_EQUAL(memcmp(&made, &derived, sizeof(made)), 0);
}

static void
test_load(void)
{
	static const struct {
		const char *sentence;
		const char *text;
		mode_t mode;
		int rc;
	} rows[] = {
		{ "as written", ALICE "\n", 0600, 0 },
		{ "read-only", ALICE "\n", 0400, 0 },
		{ "without newline", ALICE, 0600, 0 },
		{ "with CRLF", ALICE "\r\n", 0600, 0 },
		{ "group may read", ALICE "\n", 0640, -EPERM },
		{ "all may read", ALICE "\n", 0604, -EPERM },
		{ "executable", ALICE "\n", 0700, -EPERM },
		{ "empty", "", 0600, -EBADMSG },
		{ "two lines", ALICE "\nx\n", 0600, -EBADMSG },
		{ "short", "abcd\n", 0600, -EBADMSG },
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sl_private_key key;
		const char *why = NULL;
		int rc = sl_key_load(file("row", rows[i].text, rows[i].mode), &key, &why);

		SL_ASSERT_ROW(rc == rows[i].rc, rows[i].sentence);
		SL_ASSERT_ROW((why != NULL) == (rc != 0), rows[i].sentence);
		if (rc == 0)
			SL_ASSERT_ROW(memcmp(key.bytes, alice, 32) == 0, rows[i].sentence);
	}
}

static void
test_checked(void)
{
	static const struct {
		const char *sentence;
		const char *text;
		mode_t mode;
		const char *peer;
		const char *what;
	} rows[] = {
		{ "missing", NULL, 0, ALICE, "does not exist; make it: sluice --genkey" },
		{ "too open", ALICE "\n", 0644, ALICE, "chmod 600" },
		{ "no key", "hello\n", 0600, ALICE, "holds no key" },
		{ "own key as peer's", ALICE "\n", 0600, ALICE_PUBLIC, "is the node's own" },
		{ "fine", ALICE "\n", 0600, ALICE, NULL },
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sl_config_errors errors = { 0 };
		struct sl_config *config;
		char text[1024];
		char all[1024] = "";
		const char *path = in_dir("absent");

		if (rows[i].text != NULL)
			path = file("key", rows[i].text, rows[i].mode);
		(void)snprintf(
			text,
			sizeof(text),
			"node = { role = \"connector\"; key_file = \"%s\"; };\n"
			"ports = ( { name = \"a\"; device = \"net_tap0\"; address = "
			"\"10.1.0.1/24\"; } );\n"
			"tunnel = { peers = ( { name = \"p\"; endpoint = \"192.0.2.1\"; public_key "
			"= \"%s\"; } ); };\n"
			"connector = { tenant = \"t\"; resolvers = [\"10.1.0.2\"]; };\n",
			path,
			rows[i].peer
		);
		SL_ASSERT_ROW(
			(sl_config_load_string(
				 text, "t", SL_CONFIG_CHECK_FILES, &config, &errors
			 ) == 0) == (rows[i].what == NULL),
			rows[i].sentence
		);
		if (errors.nb == 1)
			(void)snprintf(
				all,
				sizeof(all),
				"%s; %s",
				errors.list[0].what,
				errors.list[0].remedy
			);
		SL_ASSERT_ROW(
			rows[i].what == NULL || strstr(all, rows[i].what) != NULL, rows[i].sentence
		);
		sl_config_errors_free(&errors);
		sl_config_free(config);
	}
}

static int
setup(void)
{
	return mkdtemp(dir) == NULL;
}

static int
teardown(void)
{
	char command[64];

	(void)snprintf(command, sizeof(command), "rm -r %s", dir);
	return system(command);
}

static const struct sl_test_case cases[] = {
	{ "key: base64 as WireGuard writes it, there and back", test_base64 },
	{ "key: base64 that is not canonical is refused and leaves nothing behind",
	  test_base64_strict },
	{ "key: the public half is RFC 7748's", test_public },
	{ "key: a new key file has mode 0600 under any umask and replaces nothing", test_generate },
	{ "key: a file that others may read, or that holds no key, is refused", test_load },
	{ "key: --check says what is wrong with a key file and how to mend it", test_checked },
};

int
main(int argc, char **argv)
{
	return sl_test_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]), setup, teardown);
}
