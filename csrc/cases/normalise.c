/* From drawn fields to a valid case: indices into range, and for a reachable one, what a real system would have.
 *
 * It changes as little as it can, so that a small change of the drawn fields stays a small change of the case. The result is
 * its own nearest one. The fields may have any value of valid_range() in harness/skdiff/cases/valid_values.py.
 * harness/skdiff/cases/validity.py judges what comes out, and reachable.py names the kernel's functions for it.
 */
#include <netinet/in.h>
#include <sys/socket.h>

#include "rules.h"
#include "addresses.h"
#include "states.h"

struct plain plain;

#include "normalise_packet.h"
#include "normalise_udp.h"
#include "normalise_groups.h"

#define MANY_REFERENCES 3

static int in_range(int index, int count)
{
	return index < count ? index : count ? index % count : NONE;
}

static void valid_packet(struct scenario_record *s)
{
	struct packet_record *p = &s->packet;

	if (!is_ipv6_lookup(s->lookup)) {
		as_ipv4(p->saddr);
		as_ipv4(p->daddr);
	}
	p->netns %= s->n_netns;
	p->sk = in_range(p->sk, s->n_socks);
	if (p->data_len > p->len)
		p->data_len = 0;
	if (is_udp_lookup(s->lookup))
		p->doff = plain.udp_header;
	else if (s->caller == CALLER_DEMUX)
		s->caller = CALLER_RECEIVE;
	if (s->caller == CALLER_HELPER) {
		p->sk = NONE;
		p->destructor = DESTRUCTOR_NONE;
	}
}

static void valid_sock(const struct scenario_record *s, struct sock_record *sock)
{
	sock->netns %= s->n_netns;
	if (sock->kind == KIND_FULL) {
		if (sock->state == TCP_NEW_SYN_RECV || sock->state == TCP_TIME_WAIT)
			sock->state = TCP_CLOSE;
		sock->group = in_range(sock->group, s->n_groups);
		sock->listener = NONE;
		sock->syncookie = 0;
		if (sock->hashed == HASHED_UDP) {
			sock->protocol = IPPROTO_UDP;
			with_port(sock);
		}
	} else {
		sock->state = mini_state(sock->kind);
		sock->group = NONE;
		sock->rcu_free = 0;
		if (sock->hashed == HASHED_LHASH2 || sock->hashed == HASHED_UDP)
			sock->hashed = HASHED_EHASH;
		if (sock->kind == KIND_REQUEST) {
			sock->listener = in_range(sock->listener, s->n_socks);
		} else {
			sock->listener = NONE;
			sock->syncookie = 0;
		}
	}
	fit_family(sock);
}

static void valid_group(const struct scenario_record *s, struct group_record *group)
{
	if (!s->n_socks)
		group->n_slots = 0;
	for (int i = 0; i < group->n_slots; i++)
		group->slots[i] = modulo(group->slots[i], s->n_socks);
	if (group->num_socks > group->n_slots)
		group->num_socks = group->n_slots;
	if (group->num_closed_socks > group->n_slots - group->num_socks)
		group->num_closed_socks = group->n_slots - group->num_socks;
	group->select = in_range(group->select, s->n_socks);
}

static void valid_programs(const struct scenario_record *s, struct netns_record *net)
{
	for (int i = 0; i < net->n_progs; i++) {
		struct program_record *program = &net->progs[i];

		program->assign = in_range(program->assign, s->n_socks);
		if (program->assign >= 0 && s->socks[program->assign].kind != KIND_FULL)
			program->assign = LEAVE;
	}
}

/* A bound socket that is in no table. */
static void close_sock(struct sock_record *sock)
{
	sock->kind = KIND_FULL;
	sock->hashed = HASHED_NOWHERE;
	sock->state = TCP_CLOSE;
	sock->group = sock->listener = NONE;
	no_address(sock->daddr);
	sock->dport = sock->syncookie = 0;
	sock->ipv6only = is_ipv6(sock->rcv_saddr);
}

/* A second SYN of a connection finds the first one's request. */
static bool is_requested(const struct scenario_record *s, int number)
{
	for (int i = 0; i < number; i++)
		if (s->socks[i].kind == KIND_REQUEST && same_places(plain.connection, &s->socks[i], &s->socks[number]))
			return true;
	return false;
}

/* What a full socket that is not in UDP's tables has by its protocol and its table. */
static void reachable_full(struct sock_record *sock)
{
	if (sock->protocol != IPPROTO_TCP) {
		sock->hashed = HASHED_NOWHERE;
		if (sock->state != TCP_ESTABLISHED)
			sock->state = TCP_CLOSE;
		if (sock->protocol == IPPROTO_UDP)
			sock->rcu_free = 1;
	} else if (sock->hashed == HASHED_LHASH2) {
		sock->state = TCP_LISTEN;
		sock->rcu_free = 1;
		sock->dport = 0;
	} else if (sock->hashed == HASHED_NOWHERE) {
		sock->state = TCP_CLOSE;
	} else if (sock->state == TCP_LISTEN || sock->state == TCP_CLOSE) {
		sock->state = TCP_ESTABLISHED;
	}
}

static void reachable_sock(const struct scenario_record *s, int number, struct sock_record *sock)
{
	sock->hash_kind = sock->no_pprev = 0;
	if (sock->refcnt < 1 || sock->refcnt > plain.most_references)
		sock->refcnt = sock->refcnt ? MANY_REFERENCES : 1;
	if (sock->bound_dev_if < 0)
		sock->bound_dev_if = 0;
	with_port(sock);
	if (sock->family != AF_INET && sock->family != AF_INET6)
		sock->family = AF_INET;
	if (sock->protocol == IPPROTO_TCP && is_ipv6(sock->rcv_saddr) && is_for_many(sock->rcv_saddr))
		set_plain(sock->rcv_saddr, plain.here, true);
	if (sock->kind != KIND_FULL) {
		sock->hashed = HASHED_EHASH;
		sock->protocol = IPPROTO_TCP;
		if (sock->kind == KIND_REQUEST)
			sock->reuseport = 0;
	} else if (sock->hashed == HASHED_UDP) {
		settle(sock);
		return;
	} else {
		reachable_full(sock);
	}
	if (sock->hashed == HASHED_EHASH) {
		connect_sock(sock);
		if (sock->kind == KIND_REQUEST && is_requested(s, number))
			close_sock(sock);
	} else if (sock->family == AF_INET6 && !is_any(sock->rcv_saddr)) {
		if (sock->state != TCP_ESTABLISHED || is_mapped(sock->rcv_saddr))
			sock->ipv6only = is_ipv6(sock->rcv_saddr);
	} else if (sock->family == AF_INET) {
		sock->ipv6only = 0;
	}
}

/* Who has SO_REUSEPORT in listen() comes into a group there; who is in none has set it later. */
static void reachable_in_listen(struct sock_record *sock)
{
	if (sock->hashed == HASHED_LHASH2 && sock->group == NONE)
		sock->reuseport_changed = sock->reuseport;
}

static bool is_listener_of(const struct sock_record *listener, const struct sock_record *request)
{
	return listener->kind == KIND_FULL && listener->protocol == IPPROTO_TCP && listener->netns == request->netns &&
	       (listener->state == TCP_LISTEN || listener->state == TCP_CLOSE) &&
	       !(listener->ipv6only && !is_ipv6(request->rcv_saddr)) &&
	       !(listener->family != AF_INET6 && is_ipv6(request->rcv_saddr));
}

static void reachable_request(struct scenario_record *s, int number)
{
	struct sock_record *sock = &s->socks[number];
	const struct sock_record *listener = sock->listener == NONE ? NULL : &s->socks[sock->listener];

	if (!listener || !is_listener_of(listener, sock)) {
		sock->kind = KIND_TIMEWAIT;
		sock->listener = NONE;
		sock->syncookie = 0;
		sock->state = mini_state(KIND_TIMEWAIT);
		return;
	}
	sock->family = listener->family;
	if (sock->syncookie && s->packet.sk == number && listener->state == TCP_LISTEN) {
		sock->hashed = HASHED_NOWHERE;
		sock->refcnt = 0;
	} else {
		sock->syncookie = 0;
	}
}

/* TPROXY, or TCP's early demux, hands such a socket over: derived.py is_handed_over(). */
static bool is_handed_over(unsigned int lookup, const struct sock_record *sock)
{
	bool udp = is_udp_lookup(lookup), ipv6 = is_ipv6_lookup(lookup);

	if ((sock->hashed == HASHED_UDP) != udp || sock->hashed == HASHED_NOWHERE)
		return false;
	if (ipv6)
		return sock->family == AF_INET6 && !is_mapped(sock->rcv_saddr);
	return !(udp && sock->ipv6only) && !is_ipv6(sock->rcv_saddr);
}

static void reachable_attached(struct scenario_record *s)
{
	struct packet_record *p = &s->packet;
	struct sock_record *sock;
	bool elsewhere;

	if (p->sk == NONE) {
		p->destructor = DESTRUCTOR_NONE;
		return;
	}
	sock = &s->socks[p->sk];
	if (p->destructor != DESTRUCTOR_PFREE && p->destructor != DESTRUCTOR_EDEMUX)
		p->destructor = DESTRUCTOR_EDEMUX;
	if (!is_handed_over(s->lookup, sock))
		p->destructor = DESTRUCTOR_PFREE;
	elsewhere = sock->protocol == IPPROTO_UDP && !is_udp_lookup(s->lookup);
	if (sock->netns != p->netns || (sock->hashed == HASHED_NOWHERE && !sock->syncookie && !elsewhere)) {
		p->sk = NONE;
		p->destructor = DESTRUCTOR_NONE;
		if (sock->syncookie) {
			sock->syncookie = 0;
			sock->hashed = HASHED_EHASH;
			sock->refcnt = 1;
		}
		return;
	}
	if (!sock->syncookie && sock->refcnt < 2 &&
	    (p->destructor != DESTRUCTOR_PFREE || sock->kind != KIND_FULL || !sock->rcu_free))
		sock->refcnt = 2;
}

/* bpf_sk_lookup_assign() refuses others: reachable.py assignable(). */
static bool is_assignable(unsigned int lookup, const struct sock_record *sock)
{
	bool udp = is_udp_lookup(lookup), other = is_ipv6_lookup(lookup) ? sock->family == AF_INET : sock->ipv6only;

	return sock->hashed == (udp ? HASHED_UDP : HASHED_LHASH2) && sock->state == (udp ? TCP_CLOSE : TCP_LISTEN) && !other;
}

static void reachable_programs(const struct scenario_record *s, struct netns_record *net)
{
	net->run_array = net->n_progs > 0;
	for (int i = 0; i < net->n_progs; i++) {
		struct program_record *program = &net->progs[i];

		if (program->verdict > SK_PASS)
			program->verdict = SK_PASS;
		program->assign = in_range(program->assign, s->n_socks);
		if (program->assign >= 0 && !is_assignable(s->lookup, &s->socks[program->assign]))
			program->assign = LEAVE;
	}
}

static void reachable(struct scenario_record *s)
{
	struct packet_record *p = &s->packet;
	uint8_t daddr[ADDRESS_BYTES];

	set_address(daddr, p->daddr);
	reachable_packet(p, s->lookup, s->caller);
	if (p->pkt_type == PKT_MULTICAST && !same_address(p->daddr, daddr))
		go_with(s, daddr);
	for (int i = 0; i < s->n_socks; i++)
		reachable_sock(s, i, &s->socks[i]);
	for (int i = 0; i < s->n_groups; i++)
		reachable_group(s, i);
	for (int i = 0; i < s->n_socks; i++)
		reachable_in_listen(&s->socks[i]);
	for (int i = 0; i < s->n_socks; i++)
		if (s->socks[i].kind == KIND_REQUEST)
			reachable_request(s, i);
	reachable_attached(s);
	if (p->sk == NONE && p->pkt_type)
		come_in(p, s->lookup, s->caller);	/* it may have lost a socket, whose group moved it */
	s->ehash_nulls_xor = s->foreign_hashinfo = s->sk_lookup_enabled = 0;
	for (int i = 0; i < s->n_netns; i++) {
		reachable_programs(s, &s->netns[i]);
		s->sk_lookup_enabled |= s->netns[i].run_array;
	}
	if (s->cpu < 0 || s->cpu >= (int64_t)plain.most_cpus)
		s->cpu = 0;
}

/* What only a socket of some tables has. */
static void fit_table(struct sock_record *sock)
{
	if (sock->hashed == HASHED_UDP) {
		if (is_wildcard(sock->rcv_saddr))
			sock->hash2 = HASH2_BOUND;
	} else {
		sock->hash2 = HASH2_BOUND;
		sock->mc_refuses = 0;
		if (sock->hashed != HASHED_LHASH2)
			sock->reuseport_changed = 0;
	}
}

/* There is one namespace at least. Events go: harness/skdiff/cases/normalise_events.py puts those that fit to a valid case. */
void normalise(struct scenario_record *s)
{
	s->n_events = 0;
	valid_packet(s);
	for (int i = 0; i < s->n_socks; i++)
		valid_sock(s, &s->socks[i]);
	for (int i = 0; i < s->n_groups; i++)
		valid_group(s, &s->groups[i]);
	if (is_udp_lookup(s->lookup))
		into_udp_tables(s);
	if (s->hostile)
		for (int i = 0; i < s->n_netns; i++)
			valid_programs(s, &s->netns[i]);
	else
		reachable(s);
	for (int i = 0; i < s->n_socks; i++)
		fit_table(&s->socks[i]);
}
