/* Drawn cases and how they are made valid: what module.c calls, and what it has from Python's tables.
 *
 * A case is a record of record.h all the time; what is behind its last socket, group or slot means nothing.
 */
#ifndef RULES_H
#define RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "record.h"

/* Where a member of a record is, and how many bytes it has. */
struct place {
	uint16_t offset;
	uint16_t size;
};

/* What a byte of the wire format means at a place: 256 values of the place's size, of the record's own byte order. */
struct drawn_place {
	struct place place;
	const uint8_t *values;
};

#define MOST_PLACES 64

struct drawn_places {
	unsigned int count;
	struct drawn_place places[MOST_PLACES];
};

/* The wire format, from harness/skdiff/cases/wire.py. `socks` and `slots` are the most that a drawn case has. */
struct format {
	struct drawn_places counts, head, packet, netns, program, group, slot, sock, frame_head, frame_packet;
	unsigned int socks, slots;
};

/* What a reachable case is given where it needs something, and its limits: from pools.py, derived.py and reachable.py. */
struct plain {
	uint8_t here[ADDRESS_BYTES], peer[ADDRESS_BYTES], many[ADDRESS_BYTES], many6[ADDRESS_BYTES];
	uint32_t port, peer_port;
	uint32_t doff, len, data_len;	/* of a packet of which nothing is said */
	uint32_t udp_header;
	uint32_t most_bytes, most_cpus, most_references;
	struct place connection[8], group_key[8], udp_group_key[8];	/* of a sock_record, up to one of size 0 */
};

extern struct format format;
extern struct plain plain;

/* The lookups of a run, as bytes; none for all. */
struct lookups {
	const uint8_t *lookups;
	size_t count;
};

void draw(const uint8_t *data, size_t n_bytes, struct lookups of, struct scenario_record *s);
void draw_frame(const uint8_t *data, struct scenario_record *s);
void come_in(struct packet_record *p, unsigned int lookup, unsigned int caller);
void of_lookup(struct scenario_record *s);
void normalise(struct scenario_record *s);

#endif
