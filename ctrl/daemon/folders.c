// folders: what the daemon writes to, made with root's rights for the user it becomes.
#include "daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// Make a folder that the daemon's user can write.
static void
make_folder(const char *path, mode_t mode, const struct passwd *user)
{
	if (mkdir(path, mode) != 0 && errno != EEXIST) {
		fprintf(stderr, "sluice: %s: %s\n", path, strerror(errno));
		return;
	}
	if (user != NULL && geteuid() == 0 && chown(path, user->pw_uid, user->pw_gid) != 0)
		fprintf(stderr, "sluice: %s: %s\n", path, strerror(errno));
}

// The flow log is opened by the daemon's user, again and again: its folder, if it is not there, and
// the file become theirs. A folder that is there stays as it is.
static void
make_flow_log(const char *path, const struct passwd *user)
{
	char *copy = path == NULL ? NULL : strdup(path);
	struct stat st;
	int fd;

	if (copy == NULL)
		return;
	if (stat(dirname(copy), &st) != 0)
		make_folder(copy, 0750, user);
	free(copy);
	fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0640);
	if (fd < 0)
		return; // said when the log is begun
	if (user != NULL && geteuid() == 0 && fchown(fd, user->pw_uid, user->pw_gid) != 0)
		fprintf(stderr, "sluice: %s: %s\n", path, strerror(errno));
	close(fd);
}

int
folders_make(const struct sl_config_system *system, const struct passwd *user)
{
	char *socket_path = strdup(system->control_socket);

	if (socket_path == NULL)
		return -ENOMEM;
	make_folder(system->state_dir, 0700, user);
	make_folder(dirname(socket_path), 0755, user);
	make_flow_log(system->flow_log, user);
	free(socket_path);
	return 0;
}
