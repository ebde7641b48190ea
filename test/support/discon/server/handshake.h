/* The answer to a client's key, RFC 6455 section 4.2.2. */
#ifndef HANDSHAKE_H
#define HANDSHAKE_H

enum { ACCEPT_LENGTH = 28 };

/* Writes 28 characters and a zero byte. */
void accept_key(const char *client_key, char accept[ACCEPT_LENGTH + 1]);

#endif
