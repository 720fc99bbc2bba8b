// await: a port whose device is not there yet. The daemon says which, on its socket too, and goes on
// with its start when the device comes: no restart is needed for a card that is found late, a cable
// interface made by somebody else, or an address corrected by the firmware.
#include "daemon.h"

#include <dirent.h>
#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <sluice/ctrl/log.h>
#include <sluice/ctrl/notify.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define LOOK_AGAIN_MS 200

// Network cards of the machine, for whoever wrote the address of one that is not there.
static void
list_cards(char *text, size_t nb_bytes)
{
	DIR *dir = opendir("/sys/bus/pci/devices");
	size_t used = 0;
	struct dirent *e;

	*text = '\0';
	while (dir != NULL && (e = readdir(dir)) != NULL) {
		char path[300], class[16] = "";
		FILE *f;

		snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/class", e->d_name);
		f = fopen(path, "re");
		if (f == NULL)
			continue;
		// Base class 02: network controllers.
		if (fgets(class, sizeof(class), f) != NULL && strncmp(class, "0x02", 4) == 0 &&
		    used + strlen(e->d_name) + 2 < nb_bytes)
			used += (size_t)snprintf(
				text + used,
				nb_bytes - used,
				"%s%s",
				used == 0 ? "" : " ",
				e->d_name
			);
		fclose(f);
	}
	if (dir != NULL)
		closedir(dir);
}

static bool
is_card_there(const struct sl_config_port *port, char *why, size_t why_bytes)
{
	char path[300], cards[200];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s", port->device);
	if (access(path, F_OK) == 0)
		return true;
	list_cards(cards, sizeof(cards));
	snprintf(
		why,
		why_bytes,
		"port %s: there is no PCI device %s; network cards here: %s (sluice-nic status)",
		port->name,
		port->device,
		*cards == '\0' ? "none" : cards
	);
	return false;
}

// A virtual device on an interface of the kernel wants that: "...,iface=eth1,...".
static bool
is_interface_there(const struct sl_config_port *port, char *why, size_t why_bytes)
{
	const char *at = strstr(port->device, ",iface=");
	char name[IF_NAMESIZE];
	size_t len;

	if (at == NULL)
		return true;
	at += strlen(",iface=");
	len = strcspn(at, ",");
	if (len == 0 || len >= sizeof(name))
		return true; // the driver says what is wrong with it
	memcpy(name, at, len);
	name[len] = '\0';
	if (if_nametoindex(name) != 0)
		return true;
	snprintf(why, why_bytes, "port %s: there is no interface %s", port->name, name);
	return false;
}

static bool
are_devices_there(const struct sl_config *config, char *why, size_t why_bytes)
{
	for (unsigned i = 0; i < config->nb_ports; i++) {
		const struct sl_config_port *port = &config->ports[i];

		if (port->is_vdev ? !is_interface_there(port, why, why_bytes)
				  : !is_card_there(port, why, why_bytes))
			return false;
	}
	return true;
}

// The file may have been corrected meanwhile.
static void
serve_reload(void *arg, struct sl_api_request *request, unsigned nb_words, const char *const *words)
{
	(void)nb_words;
	(void)words;
	if (daemon_load(arg) != 0)
		sl_api_fail(request, "sluice -c FILE --check says what", "the file is wrong");
	else
		sl_api_reply(request, json_pack("{s:s}", "text", "the file has been read again"));
}

// What asks for health meanwhile, if the socket can be had.
static struct sl_api *
serve_health(struct daemon *d, struct sl_health *health)
{
	struct sl_api *api = NULL;

	if (folders_make(&d->config->system, NULL) != 0)
		return NULL;
	if (sl_api_open(&api, d->config->system.control_socket, NULL) != 0)
		return NULL;
	if (sl_health_serve(health, api) != 0 ||
	    sl_api_register(api, "reload", "", "Read the configuration again.", serve_reload, d) !=
		    0) {
		sl_api_close(api);
		return NULL;
	}
	return api;
}

// 0: all are there. -EINTR: told to stop.
static int
wait_for_them(struct daemon *d, struct sl_health *health, struct sl_api *api)
{
	int condition = sl_health_add(health, "ports", "ports are not there yet"), ret = 0;
	struct pollfd fds[] = { { .fd = d->signals, .events = POLLIN },
				{ .fd = api == NULL ? -1 : sl_api_fd(api), .events = POLLIN } };
	char why[SL_HEALTH_REASON_BYTES];

	while (ret == 0 && !are_devices_there(d->config, why, sizeof(why))) {
		struct signalfd_siginfo info;

		sl_health_fault(health, condition, "%s; waiting for it", why);
		sl_health_publish(health);
		poll(fds, api == NULL ? 1 : 2, LOOK_AGAIN_MS);
		if (read(d->signals, &info, sizeof(info)) == sizeof(info)) {
			if (info.ssi_signo != SIGHUP)
				ret = -EINTR;
			else if (daemon_load(d) != 0)
				sl_log(SL_LOG_ERROR, "reload-refused", "%s is wrong", d->path);
		}
		if (api != NULL)
			sl_api_process(api);
	}
	return ret;
}

int
await_ports(struct daemon *d)
{
	char why[SL_HEALTH_REASON_BYTES];
	struct sl_health *health;
	struct sl_api *api;
	int ret;

	if (are_devices_there(d->config, why, sizeof(why)))
		return 0;
	health = sl_health_new();
	if (health == NULL)
		return -ENOMEM;
	api = serve_health(d, health);
	ret = wait_for_them(d, health, api);
	if (api != NULL)
		sl_api_close(api);
	sl_health_free(health);
	if (ret == 0)
		sl_log(SL_LOG_NOTICE, "ports", "the devices of all ports are there");
	return ret;
}
