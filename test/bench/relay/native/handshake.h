/* The opening handshake, always with the same key: what is measured is who passes it on. */
#ifndef HANDSHAKE_H
#define HANDSHAKE_H

/* The sample of RFC 6455, section 1.3, and its answer. */
#define SAMPLE_KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define SAMPLE_ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

#define HEAD_END "\r\n\r\n"

enum { MAX_HEAD_BYTES = 4096 };

#endif
