#include "errors.h"
#include "source.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// What the scanner of libconfig would be in the middle of.
enum state { PLAIN, STRING, ESCAPE, LINE_COMMENT, BLOCK_COMMENT };

struct expander {
	struct sl_source *source;
	struct sl_config_errors *errors;
	unsigned depth;
	enum state state;
	struct sl_source_line opened; // where the string or comment that is open began
};

static void expand(struct expander *e, const char *text, const char *path);

static void
grow(struct sl_source *s, size_t nb_more_bytes)
{
	if (s->nb_bytes + nb_more_bytes + 1 > SL_SOURCE_BYTES_MAX) {
		s->failed = true;
		return;
	}
	if (s->nb_bytes + nb_more_bytes + 1 > s->room_bytes) {
		size_t room = (s->nb_bytes + nb_more_bytes + 1) * 2;
		char *text = realloc(s->text, room);

		if (text == NULL) {
			s->failed = true;
			return;
		}
		s->text = text;
		s->room_bytes = room;
	}
	if (s->nb_lines + 1 >= s->room_lines) {
		unsigned room = (s->nb_lines + 64) * 2;
		struct sl_source_line *lines = realloc(s->lines, room * sizeof(*lines));

		if (lines == NULL) {
			s->failed = true;
			return;
		}
		s->lines = lines;
		s->room_lines = room;
	}
}

// Append a line that ends in a newline of its own.
static void
append_line(struct sl_source *s, const char *text, size_t nb, struct sl_source_line here)
{
	grow(s, nb + 1);
	if (s->failed)
		return;
	memcpy(s->text + s->nb_bytes, text, nb);
	s->nb_bytes += nb;
	s->text[s->nb_bytes++] = '\n';
	s->text[s->nb_bytes] = '\0';
	s->lines[s->nb_lines++] = here;
}

static enum state
step(enum state state, const char *at, size_t *skip)
{
	*skip = 1;
	switch (state) {
	case STRING:
		return *at == '"' ? PLAIN : *at == '\\' ? ESCAPE : STRING;
	case ESCAPE:
		return STRING;
	case LINE_COMMENT:
		return LINE_COMMENT;
	case BLOCK_COMMENT:
		if (at[0] != '*' || at[1] != '/')
			return BLOCK_COMMENT;
		*skip = 2;
		return PLAIN;
	case PLAIN:
		break;
	}
	if (*at == '"')
		return STRING;
	if (*at == '#' || (at[0] == '/' && at[1] == '/'))
		return LINE_COMMENT;
	if (at[0] == '/' && at[1] == '*') {
		*skip = 2;
		return BLOCK_COMMENT;
	}
	return PLAIN;
}

// Follow the scanner over one line. False when an '@' stands where only @include may, which is at
// the beginning of a line and nowhere else in libconfig's grammar.
static bool
follow(struct expander *e, const char *text, size_t nb, struct sl_source_line here)
{
	size_t skip;
	bool fine = true;

	for (size_t i = 0; i < nb; i += skip) {
		if (e->state == PLAIN && text[i] == '@')
			fine = false;
		if (e->state == PLAIN)
			e->opened = here;
		e->state = step(e->state, text + i, &skip);
	}
	if (e->state == LINE_COMMENT)
		e->state = PLAIN;
	else if (e->state == ESCAPE)
		e->state = STRING;
	return fine;
}

// The path of an @include line: 1 found, 0 none, -1 malformed.
static int
include_of(const char *text, size_t nb, char path[PATH_MAX])
{
	static const char word[] = "@include";
	const char *end = text + nb;
	size_t nb_path = 0;

	while (text < end && (*text == ' ' || *text == '\t'))
		text++;
	if ((size_t)(end - text) < sizeof(word) - 1 || memcmp(text, word, sizeof(word) - 1) != 0)
		return 0;
	text += sizeof(word) - 1;
	while (text < end && (*text == ' ' || *text == '\t'))
		text++;
	if (text == end || *text++ != '"')
		return -1;
	for (; text < end && *text != '"' && nb_path < PATH_MAX - 1; text++)
		path[nb_path++] = *text;
	if (text == end || *text++ != '"' || nb_path == 0)
		return -1;
	path[nb_path] = '\0';
	while (text < end && (*text == ' ' || *text == '\t' || *text == '\r' || *text == ';'))
		text++;
	return text == end || *text == '#' || *text == '/' ? 1 : -1;
}

static int
read_whole(int fd, size_t nb_bytes, char **text)
{
	size_t nb = 0;
	ssize_t got;

	*text = malloc(nb_bytes + 1);
	if (*text == NULL)
		return -ENOMEM;
	while (nb < nb_bytes && (got = read(fd, *text + nb, nb_bytes - nb)) != 0) {
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			int rc = -errno;

			free(*text);
			return rc;
		}
		nb += (size_t)got;
	}
	(*text)[nb] = '\0';
	if (strlen(*text) != nb) {
		free(*text);
		return -EILSEQ;
	}
	return 0;
}

static int
read_text(const char *path, char **text)
{
	// Not blocking: a FIFO in the place of a file must not hang the control thread.
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	int rc;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) != 0)
		rc = -errno;
	else if (S_ISDIR(st.st_mode))
		rc = -EISDIR;
	else if (!S_ISREG(st.st_mode))
		rc = -ENOTSUP;
	else if (st.st_size >= SL_SOURCE_BYTES_MAX)
		rc = -EFBIG;
	else
		rc = read_whole(fd, (size_t)st.st_size, text);
	close(fd);
	return rc;
}

static void
complain(struct sl_config_errors *errors, struct sl_config_where where, const char *path, int rc)
{
	if (rc == -EISDIR)
		sl_config_error(errors, where, "'%s' is a folder|name a file", path);
	else if (rc == -ENOTSUP)
		sl_config_error(errors, where, "'%s' is not a regular file|name a file", path);
	else if (rc == -EFBIG)
		sl_config_error(errors, where, "'%s' is larger than 64 MB|name a text file", path);
	else if (rc == -EILSEQ)
		sl_config_error(errors, where, "'%s' holds a NUL octet|name a text file", path);
	else
		sl_config_error(
			errors,
			where,
			"cannot read '%s': %s|give the path of a file that exists and may be read",
			path,
			strerror(-rc)
		);
}

static unsigned
add_file(struct sl_source *s, const char *path)
{
	char **files = realloc(s->files, (s->nb_files + 1) * sizeof(*files));

	if (files == NULL || (files[s->nb_files] = strdup(path)) == NULL) {
		s->files = files == NULL ? s->files : files;
		s->failed = true;
		return 0;
	}
	s->files = files;
	return s->nb_files++;
}

static void
include(struct expander *e, const char *from, const char *path, struct sl_config_where where)
{
	const char *slash = strrchr(from, '/');
	char full[PATH_MAX * 2];
	char *text;
	int rc;

	if (e->depth == SL_SOURCE_DEPTH_MAX) {
		sl_config_error(
			e->errors,
			where,
			"@include goes more than %u files deep|does a file include itself?",
			SL_SOURCE_DEPTH_MAX
		);
		return;
	}
	// A path that is not absolute starts at the folder of the file that names it.
	if (path[0] == '/' || slash == NULL)
		(void)snprintf(full, sizeof(full), "%s", path);
	else
		(void)snprintf(full, sizeof(full), "%.*s/%s", (int)(slash - from), from, path);
	rc = read_text(full, &text);
	if (rc != 0) {
		complain(e->errors, where, full, rc);
		return;
	}
	e->depth++;
	expand(e, text, full);
	e->depth--;
	free(text);
}

static void
expand(struct expander *e, const char *text, const char *path)
{
	unsigned file_idx = add_file(e->source, path);
	char included[PATH_MAX];

	for (unsigned line = 1; *text != '\0' && !e->source->failed; line++) {
		size_t nb = strcspn(text, "\n");
		struct sl_config_where where = { path, line };
		struct sl_source_line here = { file_idx, line };
		int found = e->state == PLAIN ? include_of(text, nb, included) : 0;

		if (found == 1) {
			include(e, path, included, where);
		} else if (found < 0 || !follow(e, text, nb, here)) {
			sl_config_error(
				e->errors,
				where,
				"'@' outside a string|write @include \"FILE\" on a line of its own"
			);
		} else {
			append_line(e->source, text, nb, here);
		}
		text += nb + (text[nb] == '\n');
	}
}

static int
finish(struct expander *e, const char *name, unsigned nb_errors_before)
{
	if (e->source->failed) {
		struct sl_config_where where = { name, 0 };

		sl_config_error(
			e->errors, where, "more than 64 MB of text, or no memory for it|split it"
		);
		return -EFBIG;
	}
	// libconfig would name the last line of all, and lose some memory.
	if (e->state != PLAIN && e->source->nb_files > 0) {
		struct sl_config_where where = {
			e->source->files[e->opened.file_idx],
			e->opened.line,
		};

		sl_config_error(
			e->errors,
			where,
			e->state == BLOCK_COMMENT
				? "a comment begins here and never ends|close it with */"
				: "a string begins here and never ends|close it with \""
		);
	}
	grow(e->source, 1); // an empty file is a text as well
	if (!e->source->failed && e->source->nb_bytes == 0)
		e->source->text[0] = '\0';
	return e->source->failed ? -ENOMEM : e->errors->nb > nb_errors_before ? -EINVAL : 0;
}

int
sl_source_read_file(struct sl_source *source, const char *path, struct sl_config_errors *errors)
{
	struct expander e = { .source = source, .errors = errors };
	unsigned before = errors->nb;
	char *text;
	int rc = read_text(path, &text);

	*source = (struct sl_source){ 0 };
	if (rc != 0) {
		complain(errors, (struct sl_config_where){ NULL, 0 }, path, rc);
		return rc;
	}
	expand(&e, text, path);
	free(text);
	return finish(&e, path, before);
}

int
sl_source_read_text(
	struct sl_source *source,
	const char *text,
	const char *name,
	struct sl_config_errors *errors
)
{
	struct expander e = { .source = source, .errors = errors };
	unsigned before = errors->nb;

	*source = (struct sl_source){ 0 };
	expand(&e, text, name);
	return finish(&e, name, before);
}

void
sl_source_free(struct sl_source *source)
{
	for (unsigned i = 0; i < source->nb_files; i++)
		free(source->files[i]);
	free(source->files);
	free(source->lines);
	free(source->text);
	*source = (struct sl_source){ 0 };
}

struct sl_config_where
sl_source_where(const struct sl_source *source, unsigned line)
{
	struct sl_config_where where = { NULL, 0 };

	if (source->nb_lines > 0) {
		// The end of the text counts as its last line.
		unsigned idx = line == 0 ? 0 : line - 1;
		const struct sl_source_line
			*at = &source->lines[idx < source->nb_lines ? idx : source->nb_lines - 1];

		where.file = source->files[at->file_idx];
		where.line = at->line;
	} else if (source->nb_files > 0) {
		where.file = source->files[0];
	}
	return where;
}
