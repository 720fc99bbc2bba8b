// notify: tell the service manager, by the protocol of sd_notify(3): one datagram to the Unix
// socket named by NOTIFY_SOCKET. Written out here because it is ten lines, where libsystemd is a
// dependency.
#pragma once

// Send `state`: newline-separated assignments such as "READY=1\nSTATUS=serving". Returns 1 when it
// was sent, 0 when there is no service manager, or -errno. Never blocks.
int sl_notify(const char *state);

// "STATUS=" and the formatted text, to say what start-up is waiting for.
int sl_notify_status(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
