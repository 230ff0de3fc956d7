/* The objects of a case: sockets, groups, programs, namespaces, devices, tables and the packet, which lie in one arena.
 * What a case does not say is UNSET_BYTE, which is POISON: a lookup that clears it is seen. It is 0 in a tree whose lookup
 * reads what nobody sets, as after the boot: harness/skdiff/kernel/build.py defines it.
 *
 * The driver is compiled behind the closure, in one unit with it, so that it uses the kernel's own types and static
 * functions. closure.toml has the order of its files. Nothing is allocated: all that a case needs is written anew.
 */

/* Links that a lookup may follow before it is stuck: what a case that ends can need, for a stuck one burns them all. A chain
 * of all sockets has one link more than sockets. TCP walks one of ehash, anew for each socket that an event moves, and two of
 * lhash2. UDP walks one of hash and one of hash2 for early demux, and then one of hash4, two of hash2 and one of hash.
 */
#define WALKS 8	/* besides those that events add */
#define FUEL ((in->n_socks + in->n_events + WALKS) * (in->n_socks + 1))
/* What comes into the tables goes there by the kernel's functions, which end as well unless a patch has spoiled them. */
#define FUEL_OF_INSERTION 10000
#define FUEL_OF_TRACE 10000	/* a trace that is full shows which part of it comes again: findings/endless.py */
#define HEADROOM 512
#define REDZONE 64

/* A socket of any kind. Own members of the three never overlap: harness/skdiff/kernel/emit.py keeps them apart, as in the
 * kernel, where what lies behind a mini socket is somebody else's. Here it is POISON, and a redzone follows.
 */
union any_sock {
	struct sock sk;
	struct inet_sock inet;
	struct request_sock req;
	struct inet_timewait_sock tw;
	struct udp_sock udp;
	unsigned char room[sizeof(struct udp_sock) + REDZONE];
};

struct any_prog_array {
	struct bpf_prog_array array;
	struct bpf_prog_array_item room[MAX_PROGS + 1];
};

/* A BPF program, and what it does: bpf_prog_run() finds the effect behind the program. */
struct any_prog {
	struct bpf_prog prog;
	u32 (*run)(const struct any_prog *any, void *ctx);
	struct sock *sk;
	u32 verdict;
	bool assigns, no_reuseport;
	u8 netns, number;
};

/* The context of one run as the program saw it, kept as it is: it is read when the lookup is over. */
struct glimpse {
	const struct any_prog *any;
	union {
		struct bpf_sk_lookup_kern lookup;
		struct sk_reuseport_kern selection;
		struct sk_buff skb;
	};
	bool clone;
};

struct any_reuseport {
	struct sock_reuseport reuse;
	struct sock *room[MAX_SLOTS];
};

/* What a lookup may touch, the sockets last: outcome.c compares it with what it was before, up to the last socket of the
 * case. What programs were shown stands apart.
 */
struct arena {
	struct any_reuseport groups[MAX_GROUPS];
	struct any_prog group_progs[MAX_GROUPS];
	struct net nets[MAX_NETNS];
	struct any_prog_array arrays[MAX_NETNS];
	struct any_prog progs[MAX_NETNS][MAX_PROGS];
	struct net_device devices[MAX_NETNS];
	struct proto prot;
	struct rtable route;
	struct sk_buff skb;
	unsigned char data[HEADROOM + 64];
	struct inet_hashinfo tables[2];	/* the one that all namespaces share, and a namespace's own */
	struct udp_table udp_tables[2];	/* the same of UDP */
	union any_sock socks[MAX_SOCKS] __attribute__((aligned(64)));
};

static struct arena arena;
static struct glimpse seen[MAX_SHOWN + 1];

/* The buckets of the two tables, and one behind the last one, which is nobody's. */
#define BEHIND 1
static struct inet_ehash_bucket ehash[2][MAX_TABLE + BEHIND];
static struct inet_listen_hashbucket lhash2[2][MAX_TABLE + BEHIND];

static const struct scenario_record *in;
static struct outcome_record *out;

static bool comes_later(int i);

/* Whether the packet is of IPv6. */
static bool is_ipv6(void)
{
	return in->lookup == LOOKUP_TCP6 || in->lookup == LOOKUP_UDP6;
}

/* Whether the packet is of UDP, so that UDP's tables are there and TCP's are not. */
static bool is_udp(void)
{
	return in->lookup == LOOKUP_UDP4 || in->lookup == LOOKUP_UDP6;
}

static struct sock *sock_at(int index)
{
	return index < 0 ? NULL : &arena.socks[index].sk;
}

static int index_of(const struct sock *sk)
{
	if (!sk)
		return NONE;
	for (int i = 0; i < in->n_socks; i++)
		if (sk == &arena.socks[i].sk)
			return i;
	return FOREIGN;
}

/* The last four bytes of an address: all of an IPv4 one. */
static __be32 low_word(const uint8_t *address)
{
	__be32 word;

	__builtin_memcpy(&word, address + ADDRESS_BYTES - sizeof(word), sizeof(word));
	return word;
}

/* Whether an address of a socket is one of IPv4, or none. */
static bool has_ipv4(const struct sock_record *from, const uint8_t *address)
{
	static const uint8_t none[ADDRESS_BYTES], mapped[] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

	return from->family != AF_INET6 || !__builtin_memcmp(address, none, sizeof(none)) ||
		!__builtin_memcmp(address, mapped, sizeof(mapped));
}

/* What a socket has as its IPv4 address: net/ipv6/af_inet6.c __inet6_bind() keeps that of an IPv6 one, too. */
static __be32 ipv4_view(const struct sock_record *from, const uint8_t *address)
{
	return has_ipv4(from, address) ? low_word(address) : htonl(0x7f000006);
}

/* Whether steps tell of a listener that a search of IPv4 meets: one on an address of IPv6, which counts as 127.0.0.6, is met
 * by chance, as others of that bucket are.
 */
static bool is_told_of(const struct sock *sk)
{
	int i = index_of(sk);

	return !IS_ENABLED(CONFIG_IPV6) || i < 0 || has_ipv4(&in->socks[i], in->socks[i].rcv_saddr);
}

/* The first or the last eight bytes of an address of IPv6, as a number. */
static int64_t half_of(const void *address, int which)
{
	uint64_t half;

	__builtin_memcpy(&half, (const char *)address + which * sizeof(half), sizeof(half));
	return __builtin_bswap64(half);
}

static int sock_or_drop(const struct sock *sk)
{
	return IS_ERR(sk) ? DROP : index_of(sk);
}

/* Without namespaces the packet's is the only one: all that is said of another one is said of it. */
static struct net *net_at(int i)
{
#ifdef CONFIG_NET_NS
	return &arena.nets[i];
#else
	return &init_net;
#endif
}
