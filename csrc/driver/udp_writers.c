/* What another CPU writes to UDP's sockets and tables (enum action): by the kernel's own udp_lib_get_port(), udp_lib_rehash(),
 * udp_lib_hash4() and udp_lib_unhash(). Plain stores around them, as those of connect(), are the driver's, in the kernel's order.
 */

/* In the middle of a group, or of a chain of hash2 or hash4: whether a lookup can follow this link. */
static bool is_udp_link(int i, const void *to)
{
	const struct udp_sock *up = &arena.socks[i].udp;

#ifdef HAVE_HASH4
	if (to == &up->udp_lrpa_node.next)
		return up->udp_lrpa_node.pprev;
#endif
	return to == &up->udp_portaddr_node.next && up->udp_portaddr_node.pprev;
}

static void rehash(int i)
{
#ifdef HAVE_UDP6
	if (has_ipv6_functions(&now[i]))
		udp_v6_rehash(sock_at(i));
	else
#endif
		udp_v4_rehash(sock_at(i));
}

static void bind_to_port(int i)
{
#ifdef HAVE_UDP6
	if (has_ipv6_functions(&now[i]))
		udp_v6_get_port(sock_at(i), now[i].num);
	else
#endif
		udp_v4_get_port(sock_at(i), now[i].num);
}

/* net/ipv4/udp.c udp_connect(), net/ipv6/udp.c udpv6_connect(). */
static void hash_connected(int i)
{
#ifdef HAVE_HASH4
#ifdef HAVE_UDP6
	if (has_ipv6_functions(&now[i]))
		udp6_hash4(sock_at(i));
	else
#endif
		udp4_hash4(sock_at(i));
#endif
}

static bool is_none(const uint8_t *address)
{
	static const uint8_t none[ADDRESS_BYTES], mapped[ADDRESS_BYTES] = { [10] = 0xff, [11] = 0xff };

	return !__builtin_memcmp(address, none, sizeof(none)) || !__builtin_memcmp(address, mapped, sizeof(mapped));
}

static void set_address(int i, const uint8_t *address)
{
	next_step();
	__builtin_memcpy(now[i].rcv_saddr, address, ADDRESS_BYTES);
	set_udp_address(sock_at(i), &now[i], false);
}

static void set_peer_address(int i, const uint8_t *address)
{
	struct sock *sk = sock_at(i);

	next_step();
	__builtin_memcpy(now[i].daddr, address, ADDRESS_BYTES);
	sk->sk_daddr = ipv4_peer(&now[i]);
#if IS_ENABLED(CONFIG_IPV6)
	if (now[i].family == AF_INET6)
		__builtin_memcpy(&sk->sk_v6_daddr, address, ADDRESS_BYTES);
#endif
}

static void set_peer_port(int i, uint16_t port)
{
	next_step();
	sock_at(i)->sk_dport = htons(port);
}

static void set_state(int i, uint8_t state)
{
	next_step();
	now[i].state = sock_at(i)->sk_state = state;
}

static void set_peer(int i, uint16_t port)
{
	set_peer_address(i, in->packet.saddr);
	set_peer_port(i, port);
}

/* net/ipv4/datagram.c __ip4_datagram_connect(): until hash4 came the peer was set behind the rehash. IPv6 always sets it first:
 * net/ipv6/datagram.c __ip6_datagram_connect(). Of a connect() that is in its middle, the rest.
 */
static void udp_connects(const struct event_record *event)
{
	int i = event->sk;
	bool peer_first = now[i].family == AF_INET6;

#ifdef HAVE_PEER_FIRST
	peer_first = true;
#endif
	if (now[i].hash2 == HASH2_STALE) {
		rehash(i);
		now[i].hash2 = HASH2_REHASHED;
		if (is_none(now[i].daddr))
			set_peer(i, event->value);
	} else {
		if (peer_first)
			set_peer(i, event->value);
		if (is_none(now[i].rcv_saddr)) {
			set_address(i, in->packet.daddr);
			now[i].hash2 = HASH2_REHASHED;
			rehash(i);
		}
		if (!peer_first)
			set_peer(i, event->value);
	}
	if (sock_at(i)->sk_reuseport_cb) {
		next_step();
		sock_at(i)->sk_reuseport_cb->has_conns = 1;	/* reuseport_has_conns_set() */
	}
	set_state(i, TCP_ESTABLISHED);
	hash_connected(i);
}

static bool is_unhashed_by_disconnect;	/* who had not asked for its port */

/* net/ipv4/udp.c __udp_disconnect(). The address of an IPv6 peer is not forgotten. */
static void reference_disconnect(struct sock *sk)
{
	static const uint8_t none[ADDRESS_BYTES];
	int i = index_within(sk);
	bool moved = now[i].hash2 != HASH2_BOUND;

	set_state(i, TCP_CLOSE);
	set_peer_address(i, now[i].family == AF_INET6 ? now[i].daddr : none);
	set_peer_port(i, 0);
	next_step();
	sk->sk_bound_dev_if = 0;
	if (moved) {
		set_address(i, none);	/* inet_reset_saddr(): connect() had given it */
		now[i].hash2 = HASH2_BOUND;
	}
	if (is_unhashed_by_disconnect)
		udp_lib_unhash(sk);
	else if (moved)
		rehash(i);
}

static void udp_disconnects(const struct event_record *event)
{
	is_unhashed_by_disconnect = false;
	udp_disconnect(sock_at(event->sk), 0);
}

/* A socket that had not asked for its port is disconnected, and bound to another one. */
static void udp_moves(const struct event_record *event)
{
	is_unhashed_by_disconnect = true;
	udp_disconnect(sock_at(event->sk), 0);
	now[event->sk].num = event->value;
	bind_to_port(event->sk);
}

static void udp_leaves(const struct event_record *event)
{
	udp_lib_unhash(sock_at(event->sk));
	next_step();
	put(sock_at(event->sk));
}

static void udp_comes(const struct event_record *event)
{
	join(event);
	bind_to_port(event->sk);
}

/* net/core/sock.c sock_bindtoindex_locked(). */
static void udp_is_rebound(const struct event_record *event)
{
	next_step();
	is_rebound(event);
	rehash(event->sk);
}

/* The actions that are not as TCP's. */
static void (*const udp_actions[])(const struct event_record *event) = {
	[ACTION_LEAVES] = udp_leaves, [ACTION_COMES] = udp_comes, [ACTION_REBOUND] = udp_is_rebound,
	[ACTION_CONNECTS] = udp_connects, [ACTION_DISCONNECTS] = udp_disconnects, [ACTION_MOVES] = udp_moves,
};

/* Whether it can come about as things are by now. Who is in the middle of connect() has a lock that others wait for. */
static bool is_possible_of_udp(const struct event_record *event)
{
	switch (event->action) {
	case ACTION_LEAVES:
	case ACTION_MOVES:
	case ACTION_CONNECTS:
		return is_hashed(event->sk);
	case ACTION_DISCONNECTS:
		return is_hashed(event->sk) && now[event->sk].state == TCP_ESTABLISHED;
	default:
		return true;
	}
}
