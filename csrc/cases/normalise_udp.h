/* Drawn sockets as UDP's tables can have them, and connections: the parts of normalise.c about what connect() leaves. */

static bool can_be_attached(const struct sock_record *sock, unsigned int netns)
{
	if (sock->netns != netns)
		return false;
	if (sock->kind != KIND_FULL)
		return true;
	return sock->hashed != HASHED_NOWHERE && (sock->protocol == IPPROTO_TCP || sock->protocol == IPPROTO_UDP);
}

/* Sockets of UDP are in UDP's tables if in any, mini sockets that the lookup could not meet are sockets of UDP, and what
 * cannot be attached to the packet is not, unless the case is hostile.
 */
static void into_udp_tables(struct scenario_record *s)
{
	struct packet_record *p = &s->packet;

	if (p->sk != NONE && !s->hostile && !can_be_attached(&s->socks[p->sk], p->netns))
		p->sk = NONE;
	for (int i = 0; i < s->n_socks; i++) {
		struct sock_record *sock = &s->socks[i];

		if (sock->kind != KIND_FULL) {
			if (i == p->sk)
				continue;
			sock->state = sock->kind == KIND_TIMEWAIT ? TCP_ESTABLISHED : TCP_CLOSE;
			sock->kind = KIND_FULL;
			sock->protocol = IPPROTO_UDP;
			sock->hashed = HASHED_UDP;
			sock->syncookie = 0;
			sock->listener = NONE;
			with_port(sock);
		} else if (sock->protocol == IPPROTO_UDP && sock->hashed == HASHED_NOWHERE) {
			if (!s->hostile)
				sock->group = NONE;
		} else if (sock->protocol == IPPROTO_UDP && sock->hashed != HASHED_UDP) {
			if (sock->hashed == HASHED_EHASH)
				sock->state = TCP_ESTABLISHED;
			sock->hashed = HASHED_UDP;
			with_port(sock);
		}
	}
}

/* Sockets on the address that was the packet's are on the one that it has now, if their family has it. */
static void go_with(struct scenario_record *s, const uint8_t *was)
{
	const uint8_t *now = s->packet.daddr;

	if (is_wildcard(was))
		return;
	for (int i = 0; i < s->n_socks; i++) {
		struct sock_record *sock = &s->socks[i];

		if (same_address(sock->rcv_saddr, was) && (sock->family == AF_INET6 || !is_ipv6(now)))
			set_address(sock->rcv_saddr, now);
	}
}

/* One end of a connection has an address of its family: its own, or the plain one. */
static void fit_end(uint8_t *address, const uint8_t *value, bool ipv6)
{
	if (!is_wildcard(address)) {
		if (is_ipv6(address) == ipv6)
			return;
		if (!ipv6 && low_word(address)) {
			as_ipv4(address);
			return;
		}
	}
	set_plain(address, value, ipv6);
}

/* Both ends of a connection have addresses, of one family, and ports. Any would do; those of a packet are found. */
static void connect_sock(struct sock_record *sock)
{
	bool tcp = sock->protocol == IPPROTO_TCP;
	bool ipv6 = is_ipv6(sock->rcv_saddr) || (is_ipv6(sock->daddr) && is_wildcard(sock->rcv_saddr));

	fit_end(sock->daddr, plain.peer, ipv6);
	fit_end(sock->rcv_saddr, plain.here, ipv6);
	if (tcp && is_for_many(sock->daddr))
		set_plain(sock->daddr, plain.peer, ipv6);
	if (is_for_many(sock->rcv_saddr) && (tcp || sock->hash2 != HASH2_BOUND || (!ipv6 && sock->family == AF_INET6)))
		set_plain(sock->rcv_saddr, plain.here, ipv6);
	if (!sock->dport)
		sock->dport = plain.peer_port;
	if (!ipv6)
		sock->ipv6only = 0;
}

static void no_peer(struct sock_record *sock)
{
	no_address(sock->daddr);
	sock->dport = 0;
}

/* In the middle of connect(). An AF_INET socket has its peer by then, or not, as the kernel's version has it: either is
 * drawn.
 */
static void settle_stale(struct sock_record *sock)
{
	bool ipv6 = sock->family == AF_INET6;
	bool has_peer = !is_wildcard(sock->daddr) && (sock->state == TCP_CLOSE || sock->state == TCP_ESTABLISHED);

	if (ipv6 || has_peer) {
		connect_sock(sock);
	} else {
		no_peer(sock);
		if (is_wildcard(sock->rcv_saddr) || is_for_many(sock->rcv_saddr))
			set_address(sock->rcv_saddr, plain.here);
	}
	sock->state = ipv6 && is_mapped(sock->rcv_saddr) ? TCP_ESTABLISHED : TCP_CLOSE;
}

/* Whether it has an IPv6 peer that disconnect() has left to it: reachable_udp.py remembers(). */
static bool remembers(const struct sock_record *sock)
{
	return sock->family == AF_INET6 && !sock->dport && is_ipv6(sock->daddr) &&
	       (is_ipv6(sock->rcv_saddr) || is_any(sock->rcv_saddr));
}

/* A member may be connected, which no address for many is of an AF_INET6 socket, and all have one address. */
static void fit_members_address(struct sock_record *sock)
{
	if (sock->family == AF_INET6 && is_mapped(sock->rcv_saddr) && is_for_many(sock->rcv_saddr))
		set_address(sock->rcv_saddr, plain.here);
}

/* Let a socket in UDP's tables be as bind(), connect() and disconnect() leave it, or as connect() has it for others to meet
 * if it is stale. It is connected if it is drawn as TCP_ESTABLISHED.
 */
static void settle(struct sock_record *sock)
{
	sock->rcu_free = 1;
	if (sock->group != NONE)
		fit_members_address(sock);
	if (sock->hash2 == HASH2_STALE) {
		settle_stale(sock);
	} else if (sock->state == TCP_ESTABLISHED) {
		if (is_wildcard(sock->rcv_saddr))
			sock->hash2 = HASH2_REHASHED;
		connect_sock(sock);
	} else {
		sock->state = TCP_CLOSE;
		sock->hash2 = HASH2_BOUND;
		if (!remembers(sock))
			no_peer(sock);
		else if (is_any(sock->rcv_saddr))	/* disconnecting has it rehashed */
			sock->reuseport_changed = sock->reuseport;
	}
	if (sock->family != AF_INET6 || is_mapped(sock->rcv_saddr))
		sock->ipv6only = 0;
	else if (sock->hash2 == HASH2_BOUND && is_ipv6(sock->rcv_saddr))
		sock->ipv6only = 1;
}
