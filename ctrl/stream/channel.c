#include "internal.h"

#include <openssl/err.h>

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

// What OpenSSL means by its return value.
static enum channel_io
verdict(struct channel *c, int rc)
{
	int error = SSL_get_error(c->ssl, rc);

	c->wants_write = error == SSL_ERROR_WANT_WRITE;
	ERR_clear_error();
	if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
		return CHANNEL_AGAIN;
	return error == SSL_ERROR_ZERO_RETURN ? CHANNEL_END : CHANNEL_BROKEN;
}

static enum channel_io
done(struct channel *c)
{
	c->wants_write = false;
	return CHANNEL_OK;
}

static enum channel_io
socket_verdict(ssize_t rc)
{
	if (rc == 0)
		return CHANNEL_END;
	return errno == EAGAIN || errno == EINTR ? CHANNEL_AGAIN : CHANNEL_BROKEN;
}

enum channel_io
channel_handshake(struct channel *c)
{
	int rc = SSL_do_handshake(c->ssl);

	if (rc != 1)
		return verdict(c, rc);
	c->is_handshaking = false;
	return done(c);
}

enum channel_io
channel_read(struct channel *c, void *to, size_t room, size_t *nb)
{
	ssize_t rc;

	*nb = 0;
	if (c->ssl != NULL) {
		int ok = SSL_read_ex(c->ssl, to, room, nb);

		return ok == 1 ? done(c) : verdict(c, ok);
	}
	rc = recv(c->fd, to, room, 0);
	if (rc <= 0)
		return socket_verdict(rc);
	*nb = (size_t)rc;
	return CHANNEL_OK;
}

enum channel_io
channel_write(struct channel *c, const void *from, size_t nb_bytes, size_t *nb)
{
	ssize_t rc;

	*nb = 0;
	if (c->ssl != NULL) {
		int ok = SSL_write_ex(c->ssl, from, nb_bytes, nb);

		return ok == 1 ? done(c) : verdict(c, ok);
	}
	rc = send(c->fd, from, nb_bytes, MSG_NOSIGNAL);
	if (rc <= 0)
		return socket_verdict(rc);
	*nb = (size_t)rc;
	return CHANNEL_OK;
}

void
channel_watch(
	struct sl_streams *s, struct channel *c, enum watched what, uint32_t index, uint32_t events
)
{
	struct epoll_event event = { .events = events, .data.u64 = (uint64_t)what << 32 | index };

	if (c->wants_write)
		event.events |= EPOLLOUT;
	// A descriptor that is watched for nothing still says that it is broken.
	if (event.events == c->events)
		return;
	if (epoll_ctl(s->epoll, EPOLL_CTL_MOD, c->fd, &event) != 0)
		(void)epoll_ctl(s->epoll, EPOLL_CTL_ADD, c->fd, &event);
	c->events = event.events;
}
