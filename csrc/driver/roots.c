/* The call of the root of the lookup, and a case from its record to its outcome. */

static struct inet_hashinfo *hashinfo_of_caller(void)
{
	struct inet_hashinfo *own = net_at(in->packet.netns)->ipv4.tcp_death_row.hashinfo;

	return !in->foreign_hashinfo ? own : own == &arena.tables[0] ? &arena.tables[1] : &arena.tables[0];
}

/* The packet's addresses as a lookup is called with them. */
#define SADDR low_word(in->packet.saddr)
#define DADDR low_word(in->packet.daddr)
#define SADDR6 ((const struct in6_addr *)in->packet.saddr)
#define DADDR6 ((const struct in6_addr *)in->packet.daddr)

#ifdef HAVE_TCP6
/* What tcp_v6_rcv() passes: the device that the packet came in by, and the one below an L3 master. */
static int iif_of_caller(void)
{
	return inet6_iif(&arena.skb);
}

static int sdif_of_caller(void)
{
	return inet6_sdif(&arena.skb);
}
#endif

/* Room for an answer of the root that nobody here asks for, such as a drop reason. */
static void *zeroed_answer(void)
{
	static uint64_t answer;

	answer = 0;
	return &answer;
}

/* Whether a datagram goes to all sockets that want it (__udp4_lib_mcast_deliver() and its like), which is not looked at. */
static bool is_for_many(void)
{
	__be32 daddr = low_word(in->packet.daddr);

	return is_ipv6() ? in->packet.daddr[0] == 0xff : is_multicast(daddr) || daddr == 0xffffffff;
}

/* The packet as early demux has it: without a route, and skb->data is at the header of IPv4 or IPv6. */
static void before_demux(struct sk_buff *skb)
{
	unsigned int length = skb->data - skb->head - skb->network_header;

	skb->data -= length;
	skb->len += length;
	skb->_skb_refdst = 0;
	skb->slow_gro = 0;
}

/* What comes behind early demux: the packet gets a route, if the socket had none for it, and ip_local_deliver_finish() or
 * ip6_protocol_deliver_rcu() pull the header. A route that the socket has is the same one here. What early demux should not
 * have left stays, as something that was written.
 */
static void after_demux(struct sk_buff *skb)
{
	unsigned int length = skb->transport_header - skb->network_header;
	bool has_route = skb->sk && skb->sk->sk_rx_dst;
	unsigned long route = (unsigned long)&arena.route.dst | SKB_DST_NOREF;

	skb->data += length;
	skb->len -= length;
	if (skb->_skb_refdst == (has_route ? route : 0) && skb->slow_gro == has_route) {
		skb->_skb_refdst = route;
		skb->slow_gro = 1;
	}
}

#ifdef HAVE_UDP4
/* As udp_rcv() does it, or __udp4_lib_rcv(), and ip_rcv_finish_core() before it. */
static struct sock *receive_udp4(bool *refcounted)
{
	struct sock *sk;

	if (in->caller == CALLER_DEMUX && !arena.skb.sk) {
		before_demux(&arena.skb);
		if (DEMUX_CALL_UDP4)
			return NULL;	/* a reason to drop it */
		after_demux(&arena.skb);
	}
	sk = STEAL_CALL_UDP4;
	if (sk || is_for_many())
		return IS_ERR(sk) ? NULL : sk;
	return ROOT_CALL_UDP4;
}
#endif

#ifdef HAVE_UDP6
/* As udpv6_rcv() does it, or __udp6_lib_rcv(), and ip6_rcv_finish_core() before it. */
static struct sock *receive_udp6(bool *refcounted)
{
	struct sock *sk;

	if (in->caller == CALLER_DEMUX && !arena.skb.sk) {
		before_demux(&arena.skb);
		DEMUX_CALL_UDP6;
		after_demux(&arena.skb);
	}
	sk = STEAL_CALL_UDP6;
	if (sk || is_for_many())
		return IS_ERR(sk) ? NULL : sk;
	return ROOT_CALL_UDP6;
}
#endif

/* The call, with the arguments that this kernel's functions have: harness/skdiff/kernel/root_call.py defines ROOT_CALL_TCP4
 * and its like.
 */
static struct sock *call_root(bool *refcounted)
{
	bool helper = in->caller == CALLER_HELPER;
	struct sock *sk = NULL;

	expect_no_report();
	reference_mutant = mutant;
	reference_in_kernel = 1;
	start_race();
	switch (in->lookup) {
	case LOOKUP_TCP4:
		sk = helper ? HELPER_CALL_TCP4 : ROOT_CALL_TCP4;
		break;
#ifdef HAVE_TCP6
	case LOOKUP_TCP6:
		sk = helper ? HELPER_CALL_TCP6 : ROOT_CALL_TCP6;
		break;
#endif
#ifdef HAVE_UDP4
	case LOOKUP_UDP4:
		sk = helper ? HELPER_CALL_UDP4 : receive_udp4(refcounted);
		break;
#endif
#ifdef HAVE_UDP6
	case LOOKUP_UDP6:
		sk = helper ? HELPER_CALL_UDP6 : receive_udp6(refcounted);
		break;
#endif
	default:
		reference_stop(ENDED_ABSENT);
	}
	end_race();
	reference_in_kernel = 0;
	reference_mutant = 0;
	end_if_reported();
	return sk;
}

/* The lookups that can be called: bit i is enum lookup's i. */
uint32_t reference_lookups(void)
{
	uint32_t found = 1u << LOOKUP_TCP4;

#ifdef HAVE_TCP6
	found |= 1u << LOOKUP_TCP6;
#endif
#ifdef HAVE_UDP4
	found |= 1u << LOOKUP_UDP4;
#endif
#ifdef HAVE_UDP6
	found |= 1u << LOOKUP_UDP6;
#endif
	return found;
}

/* For the benchmark of big tables: the case, and a crowd that has nothing to do with it, half connected, half listening. */
void reference_prepare(const struct scenario_record *scenario, struct outcome_record *outcome, uint32_t count)
{
	static union any_sock crowd[MAX_CROWD];

	in = scenario;
	out = outcome;
	fill_case();
	for (uint32_t i = 0; i < count && i < MAX_CROWD; i++) {
		struct sock_record from = {
			.rcv_saddr = { [12] = 0x0b, i >> 16, i >> 8, i }, .num = 1024 + i % 50000, .netns = 0, .family = AF_INET,
			.refcnt = 1, .rcu_free = is_udp(),
			.hashed = is_udp() ? HASHED_UDP : i % 2 ? HASHED_EHASH : HASHED_LHASH2,
			.state = i % 2 ? TCP_ESTABLISHED : is_udp() ? TCP_CLOSE : TCP_LISTEN,
			.dport = i % 2 ? 1024 + i % 60000 : 0, .incoming_cpu = -1, .group = NONE,
			.protocol = is_udp() ? IPPROTO_UDP : IPPROTO_TCP,
		};
		uint8_t peer[] = { 0x0c, i >> 16, i >> 8, i };

		if (i % 2)
			__builtin_memcpy(from.daddr + ADDRESS_BYTES - sizeof(peer), peer, sizeof(peer));
		fill_sock(&crowd[i], &from);
	}
}

void reference_again(void)
{
	bool refcounted;

	reference_fuel = FUEL + MAX_CROWD;
	call_root(&refcounted);
}

void reference_lookup(const struct scenario_record *scenario, struct outcome_record *outcome)
{
	union {
		bool value;
		unsigned char byte;
	} refcounted = { .byte = UNSET };
	struct sock *sk;

	in = scenario;
	out = outcome;
	out->freed = out->fired = out->freed_wrong = out->n_warns = out->n_shown = 0;
	if (trace)
		trace->n_steps = 0;
	__builtin_memset(out->warns, 0, sizeof(out->warns));
	__builtin_memset(out->written, 0, sizeof(out->written));
	__builtin_memset(out->written_member, 0, sizeof(out->written_member));
	reference_mutant = 0;
	fill_case();
	keep_all();
	plant(PLANTED_BEFORE);
	reference_fuel = trace ? FUEL_OF_TRACE : FUEL;
	sk = call_root(&refcounted.value);
	plant(PLANTED_BEHIND);
	out->refcounted = refcounted.byte;
	read_outcome(sk);
}
