// daemon: the parts of one running sluice and how they are put together.
#pragma once

#include <pthread.h>
#include <sluice/ctrl/api.h>
#include <sluice/ctrl/config.h>
#include <sluice/ctrl/health.h>
#include <sluice/ctrl/service.h>
#include <sluice/ctrl/store.h>
#include <sluice/ctrl/stream.h>
#include <sluice/dp/dp.h>
#include <sluice/dp/session.h>
#include <sluice/dp/snapshot.h>
#include <stdatomic.h>

struct http;
struct registry;

struct drain {
	bool is_on;
	bool is_to_stay; // the daemon goes on when it is empty
	bool is_done; // the daemon is to end
	unsigned nb_flows; // left, as counted last
	uint64_t since_ns;
	uint64_t next_ns; // when to count again: it reads every flow record
};

// A configuration that goes back to the one before unless it is confirmed.
struct trial {
	struct snapshot *before; // kept for it; NULL: none is on trial
	uint64_t until_ns;
};

struct daemon {
	const char *path; // of the configuration
	struct sl_config *config; // control thread: rw
	struct sl_private_key key;
	struct sl_private_key wireguard_key; // the node's, or one of its own
	struct sl_public_key wireguard_public;
	struct sl_name_key name_key; // of names in policies and tables
	struct sl_net net;
	struct sl_dp *dp;
	struct sl_clock clock;
	struct sl_sessions sessions;
	struct sl_stream_fds stream_fds; // until the streams have them
	struct sl_streams *streams; // DNS over TCP; NULL: none
	struct sl_store *store;
	struct sl_service *service; // session thread: rw
	struct sl_api *api; // control thread
	struct registry *ids; // control thread: names of things -> stable ids
	struct snapshot *snapshot; // control thread: the one in force
	pthread_t session_thread;
	int session_wake; // eventfd: control thread -> session thread
	atomic_bool stopping;
	bool has_session_thread;
	_Atomic(struct snapshot *) next; // control -> session thread: configuration to adopt
	_Atomic(struct snapshot *) adopted; // session thread -> control: the one it has adopted
	atomic_bool names_ready; // session thread -> control
	struct control *control; // control thread
	struct drain drain; // control thread
	struct trial trial; // control thread
	uint32_t generation; // control thread; of the policy, the last given
	char refused[512]; // control thread; why the file is not what is in force; "": it is
	int signals; // signalfd of the control thread
	struct http *http; // control thread; NULL: no metrics
	char *flow_log_path; // control thread; NULL: none is written
};

// ---- net.c: ports, routes and addresses as the packet path has them ------------------------------------

void daemon_net(struct sl_net *net, const struct sl_config *config);

// ---- streams.c: DNS over TCP ----------------------------------------------------------------------------

// Make the namespace: first of all, while this is the only thread. Without, the daemon serves no TCP.
void streams_open(struct daemon *d);
// What goes on there; while certificates can be read. 0 or -errno.
[[nodiscard]] int streams_create(struct daemon *d);
// Certificate and limits of a configuration that is about to be adopted. -EINVAL and a sentence in `why`.
[[nodiscard]] int
streams_reload(struct daemon *d, const struct sl_config *config, char *why, size_t why_bytes);

// ---- snapshot.c -------------------------------------------------------------------------------------

// A snapshot with all it points to.
struct snapshot {
	struct sl_snapshot dp; // first: what workers see
	struct sl_config *config; // owned
	struct sl_client *clients;
	struct sl_client_end *ends;
	struct sl_tenant *tenants;
	struct sl_network *networks;
	struct sl_service_peer *peers; // holds secrets: wiped by snapshot_free()
	unsigned nb_peers;
	struct sl_store_client *added; // at run time; secrets: likewise
	unsigned nb_added;
};

// Ids of clients, resources, networks and sessions, stable for the life of the process.
enum registry_kind { ID_CLIENT, ID_RESOURCE, ID_NETWORK, ID_SESSION, ID_KINDS };

struct registry *registry_create(void);
void registry_free(struct registry *r);
// The id of `name` of tenant `tenant`; a new one if it has none yet. Ids begin at 1 for clients, at
// 0 for the rest. UINT32_MAX: no memory.
uint32_t
registry_id(struct registry *r, enum registry_kind kind, unsigned tenant, const char *name);
uint32_t registry_nb(const struct registry *r, enum registry_kind kind);
// What an id was given to, also when it has gone from the configuration; NULL and UINT_MAX for an id
// that was never given.
const char *registry_name(const struct registry *r, enum registry_kind kind, uint32_t id);
unsigned registry_tenant(const struct registry *r, enum registry_kind kind, uint32_t id);

// Compile a configuration (taken over, also on failure). NULL and errors filled when it will not do.
struct snapshot *snapshot_build(
	struct daemon *d,
	struct sl_config *config,
	uint32_t generation,
	struct sl_config_errors *errors
);
void snapshot_free(struct snapshot *snapshot);
// The same configuration once more, with the clients that the store has now, and in force. 0 or
// -errno: then nothing has changed.
[[nodiscard]] int snapshot_renew(struct daemon *d);
// Back to the configuration of `from`, a snapshot that was in force and is kept; likewise. `from` stays the
// caller's.
[[nodiscard]] int snapshot_return(struct daemon *d, struct snapshot *from, uint32_t generation);
// For whoever fills a snapshot: a peer with its name and key; its preshared key from a file (NULL:
// none), or as the snapshot in force has it when the file is not ours to read any more.
struct sl_service_peer *
snapshot_add_peer(struct snapshot *s, const char *name, const struct sl_public_key *public_key);
[[nodiscard]] int
snapshot_load_psk(const struct daemon *d, struct sl_service_peer *p, const char *path);

// ---- wireguard.c: WireGuard clients of a snapshot ----------------------------------------------------

bool wireguard_is_served(const struct sl_config *config);
// Read the clients that were added and give them ids; fill their entries, after those of the file;
// give all a session.
[[nodiscard]] int wireguard_load(struct daemon *d, struct snapshot *s);
void wireguard_fill(struct daemon *d, struct snapshot *s);
[[nodiscard]] int wireguard_sessions(struct daemon *d, struct snapshot *s);
void wireguard_free(struct snapshot *s);
// Index of a tenant, or nb_tenants; bits of group names separated by spaces or commas, false if one
// is unknown.
unsigned wireguard_tenant(const struct sl_config *config, const char *name);
bool wireguard_groups(const struct sl_config_tenant *tenant, const char *names, uint64_t *groups);

// ---- run.c ------------------------------------------------------------------------------------------

// Start, run until SIGTERM or SIGINT, stop. The exit code of the process.
int daemon_run(const char *path);

// ---- start.c ----------------------------------------------------------------------------------------

// Make every part of the daemon and start its threads. 0, or -errno with the reason printed or logged:
// what was made is then for daemon_run() to take down.
[[nodiscard]] int daemon_start(struct daemon *d);
// Its first step, with root's rights: the file, and the keys it names. What was loaded before stays when
// the file is wrong. 0, or -errno with the reason printed.
[[nodiscard]] int daemon_load(struct daemon *d);
// When flows of a configuration expire.
struct sl_timeouts daemon_timeouts(const struct sl_config *config);

// ---- session_thread.c -------------------------------------------------------------------------------

// The thread's function; `arg` is the daemon.
void *session_thread_main(void *arg);
// Put a snapshot in force; takes it over. 0 or -errno.
int daemon_adopt(struct daemon *d, struct snapshot *next);

// ---- control.c: the control socket, readiness -------------------------------------------------------

[[nodiscard]] int control_open(struct daemon *d);
void control_close(struct daemon *d);
// What is done some times a second.
void control_tick(struct daemon *d);
// The conditions of readiness. Any thread, while the control socket is open.
struct sl_health *daemon_health(const struct daemon *d);

// ---- reload.c: another configuration ------------------------------------------------------------------

// Read the configuration again; with `trial_s` it goes back to the one before when that time has passed
// without a confirmation. `why` says what is wrong. 0, or -errno: then nothing has changed.
int reload_file(struct daemon *d, unsigned trial_s, char *why, size_t why_bytes);
// On SIGHUP: the outcome goes to the log.
void reload_logged(struct daemon *d);
void reload_tick(struct daemon *d);
[[nodiscard]] int reload_register(struct daemon *d);

// ---- await.c ------------------------------------------------------------------------------------------

// Before anything is opened: wait until the devices of all ports are there, saying which is not. 0, or
// -EINTR when a signal ends the daemon first.
[[nodiscard]] int await_ports(struct daemon *d);

// ---- telemetry.c: what DPDK's telemetry socket tells of Sluice ------------------------------------------

void telemetry_open(struct daemon *d);
// No answer is under way afterwards.
void telemetry_close(void);

// ---- folders.c ---------------------------------------------------------------------------------------

struct passwd;
// State directory, the folder of the control socket, the flow log. What cannot be made is said on
// stderr and shows where it is used. 0 or -ENOMEM.
[[nodiscard]] int folders_make(const struct sl_config_system *system, const struct passwd *user);

// ---- flow_log.c --------------------------------------------------------------------------------------

// Begin, change or end the flow log as the configuration in force says; what is wrong goes to the log.
void flow_log_apply(struct daemon *d);
// Some hundred times a second: hand on what workers told.
void flow_log_drain(struct daemon *d);
// Workers have stopped: hand on the rest, and close.
void flow_log_close(struct daemon *d);
[[nodiscard]] int flow_log_register(struct daemon *d);
// Lines that never came to be, wherever they got lost.
uint64_t flow_log_nb_lost(const struct daemon *d);

// ---- http.c: /metrics and /health --------------------------------------------------------------------

// Serve what system.metrics says. NULL when it is off, or cannot be: then the log says why, and the
// daemon goes on without, since traffic matters more than figures about it.
struct http *http_open(struct daemon *d);
void http_close(struct http *http);
// Readable when http_process() has something to do; -1 for none.
int http_fd(const struct http *http);
void http_process(struct http *http);

// ---- show.c: what sluicectl show prints ----------------------------------------------------------------

[[nodiscard]] int show_register(struct daemon *d);
// ---- trace.c, explain.c -----------------------------------------------------------------------------------

[[nodiscard]] int trace_register(struct daemon *d);
void trace_tick(struct daemon *d);
[[nodiscard]] int explain_register(struct daemon *d);

// ---- clients.c: sluicectl client add, remove, show -------------------------------------------------------

[[nodiscard]] int clients_register(struct daemon *d);

// Id of the client called `name` ("laptop", or "acme/laptop" where several tenants have one);
// SL_NO_CLIENT when there is none.
uint32_t daemon_client(const struct daemon *d, const char *name);

// ---- drain.c ------------------------------------------------------------------------------------------

// Answer "drain" on the control socket. 0 or -errno.
[[nodiscard]] int drain_register(struct daemon *d);
// Count the flows that are left, and decide whether the daemon is to end. About once a second.
void drain_tick(struct daemon *d);
