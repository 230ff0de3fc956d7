/* Any bytes are a case: each byte chooses a value of its field's table (harness/skdiff/cases/wire.py has the layout). */
#include <netinet/in.h>
#include <sys/socket.h>

#include "rules.h"
#include "addresses.h"

struct format format;

static const uint8_t *draw_places(const struct drawn_places *of, const uint8_t *bytes, void *record)
{
	for (unsigned int i = 0; i < of->count; i++) {
		const struct drawn_place *drawn = &of->places[i];
		unsigned int size = drawn->place.size;

		memcpy((uint8_t *)record + drawn->place.offset, drawn->values + bytes[i] * size, size);
	}
	return bytes + of->count;
}

static unsigned int bytes_of_netns(void)
{
	return format.netns.count + MAX_PROGS * format.program.count;
}

static unsigned int bytes_of_group(void)
{
	return format.group.count + format.slots * format.slot.count;
}

static void draw_netns(const uint8_t *bytes, struct netns_record *net)
{
	bytes = draw_places(&format.netns, bytes, net);
	for (unsigned int i = 0; i < net->n_progs; i++)
		bytes = draw_places(&format.program, bytes, &net->progs[i]);
}

static void draw_group(const uint8_t *bytes, struct group_record *group)
{
	bytes = draw_places(&format.group, bytes, group);
	for (unsigned int i = 0; i < group->n_slots; i++)
		bytes = draw_places(&format.slot, bytes, &group->slots[i]);
}

/* What is drawn of a lookup that the run has not is one that it has: each has the same share of what is drawn. */
static void draw_lookup(const uint8_t *head, struct lookups of, struct scenario_record *s)
{
	if (!of.count || memchr(of.lookups, s->lookup, of.count))
		return;
	for (unsigned int i = 0; i < format.head.count; i++)
		if (format.head.places[i].place.offset == offsetof(struct scenario_record, lookup))
			s->lookup = of.lookups[head[i] % of.count];
}

/* Bytes that are not there are zeros. */
void draw(const uint8_t *data, size_t n_bytes, struct lookups of, struct scenario_record *s)
{
	unsigned int most = format.counts.count + format.head.count + format.packet.count + MAX_NETNS * bytes_of_netns() +
			    MAX_GROUPS * bytes_of_group() + format.socks * format.sock.count;
	uint8_t padded[most];
	const uint8_t *at = data;

	if (n_bytes < most) {
		memcpy(padded, data, n_bytes);
		memset(padded + n_bytes, 0, most - n_bytes);
		at = padded;
	}
	at = draw_places(&format.counts, at, s);
	s->n_events = 0;	/* theirs are behind all this: wire_events.py */
	draw_places(&format.head, at, s);
	draw_lookup(at, of, s);
	at += format.head.count;
	at = draw_places(&format.packet, at, &s->packet);
	for (unsigned int i = 0; i < s->n_netns; i++)
		draw_netns(at + i * bytes_of_netns(), &s->netns[i]);
	at += MAX_NETNS * bytes_of_netns();
	for (unsigned int i = 0; i < s->n_groups; i++)
		draw_group(at + i * bytes_of_group(), &s->groups[i]);
	at += MAX_GROUPS * bytes_of_group();
	for (unsigned int i = 0; i < s->n_socks; i++)
		at = draw_places(&format.sock, at, &s->socks[i]);
	of_lookup(s);
}

static void exchange(uint16_t *protocol, uint8_t *table)
{
	if (*protocol == IPPROTO_TCP)
		*protocol = IPPROTO_UDP;
	else if (*protocol == IPPROTO_UDP)
		*protocol = IPPROTO_TCP;
	if (*table == HASHED_LHASH2)
		*table = HASHED_UDP;
	else if (*table == HASHED_UDP)
		*table = HASHED_LHASH2;
}

/* The pools are those of TCP over IPv4. For UDP what is TCP's is UDP's and the other way, for IPv6 what is AF_INET is
 * AF_INET6 and the other way. Its own inverse.
 */
void of_lookup(struct scenario_record *s)
{
	bool udp = is_udp_lookup(s->lookup), ipv6 = is_ipv6_lookup(s->lookup);

	if (ipv6) {
		to_other_family(s->packet.saddr);
		to_other_family(s->packet.daddr);
	}
	for (unsigned int i = 0; i < s->n_socks; i++) {
		struct sock_record *sock = &s->socks[i];

		if (udp)
			exchange(&sock->protocol, &sock->hashed);
		if (!ipv6)
			continue;
		to_other_family(sock->daddr);
		to_other_family(sock->rcv_saddr);
		if (sock->family == AF_INET || sock->family == AF_INET6)
			sock->family = sock->family == AF_INET ? AF_INET6 : AF_INET;
	}
}

/* Another packet (addresses, ports, devices), CPU and secrets for the tables of a valid case. */
void draw_frame(const uint8_t *data, struct scenario_record *s)
{
	struct packet_record *p = &s->packet;

	draw_places(&format.frame_packet, draw_places(&format.frame_head, data, s), p);
	if (is_ipv6_lookup(s->lookup)) {
		to_other_family(p->saddr);
		to_other_family(p->daddr);
	} else {
		as_ipv4(p->saddr);
		as_ipv4(p->daddr);
	}
	if (!s->hostile)
		come_in(p, s->lookup, s->caller);
}
