/* The driver of the reference: a record becomes an sk_buff, sockets and tables; the root is called; the outcome is read.
 *
 * It is compiled behind the closure, in one unit with it, so that it uses the kernel's own types and static functions.
 * Nothing is allocated: all that a case needs lies in the arena and is written anew for each case.
 */

#define FUEL 20000
#define POISON 0x6b
#define HEADROOM 512

/* A socket of any kind. What lies behind a mini socket is poison, as it would be somebody else's memory. */
union any_sock {
	struct sock sk;
	struct request_sock req;
	struct inet_timewait_sock tw;
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

static struct {
	union any_sock socks[MAX_SOCKS] __attribute__((aligned(64)));
	struct any_reuseport groups[MAX_GROUPS];
	struct any_prog group_progs[MAX_GROUPS];
	struct net nets[MAX_NETNS];
	struct any_prog_array arrays[MAX_NETNS];
	struct any_prog progs[MAX_NETNS][MAX_PROGS];
	struct glimpse seen[MAX_SHOWN + 1];
	struct net_device devices[MAX_NETNS];
	struct rtable route;
	struct sk_buff skb;
	unsigned char data[HEADROOM + 64];
} arena;

/* Two sets of tables: the one that all namespaces share, and a namespace's own. */
static struct inet_hashinfo tables[2];
static struct inet_ehash_bucket ehash[2][MAX_TABLE];
static struct inet_listen_hashbucket lhash2[2][MAX_TABLE];

static const struct scenario_record *in;
static struct outcome_record *out;
static unsigned int raced;

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

static int sock_or_drop(const struct sock *sk)
{
	return IS_ERR(sk) ? DROP : index_of(sk);
}

/* The closure of a mutated build asks MUTANT(n) at each of its sites, whether mutant n is the one that is on. */
#ifndef MUTANT
static uint32_t reference_mutant, reference_reached;
#endif
static uint32_t mutant;

/* From now on mutant n is on while the kernel's function runs, 0 for none; returns whether the last one was reached. */
uint32_t reference_mutate(uint32_t n)
{
	uint32_t reached = reference_reached;

	mutant = n;
	reference_reached = 0;
	return reached;
}

static struct trace_record *trace;

/* Where a traced build notes its steps; NULL for nowhere. */
void reference_trace(struct trace_record *into)
{
	trace = into;
}

static void reference_step(unsigned int step, int64_t one, int64_t two, int64_t three)
{
	if (trace && trace->n_steps < MAX_STEPS)
		trace->steps[trace->n_steps++] = (struct step_record) { step, { one, two, three } };
}

/* What functions are called in this tree and what they are known as, from harness/skdiff/kernel/build.py. */
static const char *const renamed[][2] = { RENAMED { NULL, NULL } };

static void reference_warn(const char *function)
{
	unsigned int i;

	for (i = 0; renamed[i][0]; i++)
		if (!__builtin_strcmp(function, renamed[i][0]))
			function = renamed[i][1];
	for (i = 0; i < out->n_warns && i < MAX_WARNS; i++)
		if (!__builtin_strncmp(out->warns[i], function, sizeof(out->warns[i]) - 1))
			return;
	if (i < MAX_WARNS)
		__builtin_strncpy(out->warns[i], function, sizeof(out->warns[i]) - 1);
	out->n_warns++;
}

static void reference_freed(const struct sock *sk, int kind)
{
	int i = index_of(sk);

	if (i >= 0)
		out->freed |= 1u << i | (in->socks[i].kind != kind ? 1u << (MAX_SOCKS + i) : 0);
}

static u32 run_sk_lookup(const struct any_prog *any, void *data)
{
	struct bpf_sk_lookup_kern *ctx = data;

	arena.seen[out->n_shown].lookup = *ctx;
	if (any->assigns) {
		ctx->selected_sk = any->sk;
		ctx->no_reuseport = any->no_reuseport;
	}
	return any->verdict;
}

static u32 run_filter(const struct any_prog *any, void *data)
{
	struct sk_buff *skb = data;

	arena.seen[out->n_shown].skb = *skb;
	arena.seen[out->n_shown].clone = skb == &reference_clone;
	if (any->prog.cb_access)
		*bpf_skb_cb(skb) = 0x7f;	/* what it writes must not be seen behind it */
	return any->verdict;
}

static u32 run_sk_reuseport(const struct any_prog *any, void *data)
{
	struct sk_reuseport_kern *ctx = data;

	arena.seen[out->n_shown].selection = *ctx;
	ctx->selected_sk = any->sk;
	return any->verdict;
}

static u32 reference_run_program(const struct bpf_prog *prog, const void *ctx)
{
	const struct any_prog *any = (const struct any_prog *)prog;
	u32 verdict;

	arena.seen[out->n_shown].any = any;
	verdict = any->run(any, (void *)ctx);
	out->n_shown += out->n_shown < MAX_SHOWN;
	return verdict;
}

static void fill_tables(void)
{
	for (int t = 0; t < 2; t++) {
		tables[t].ehash = ehash[t];
		tables[t].ehash_mask = in->ehash_size - 1;
		tables[t].lhash2 = lhash2[t];
		tables[t].lhash2_mask = in->lhash2_size - 1;
		for (u32 i = 0; i < in->ehash_size; i++)
			INIT_HLIST_NULLS_HEAD(&ehash[t][i].chain, (i ^ in->ehash_nulls_xor));
		for (u32 i = 0; i < in->lhash2_size; i++)
			INIT_HLIST_NULLS_HEAD(&lhash2[t][i].nulls_head, i + LISTENING_NULLS_BASE);
	}
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

static void fill_netns(int i)
{
	const struct netns_record *from = &in->netns[i];
	struct net *net = net_at(i);
	struct bpf_prog_array *array = &arena.arrays[i].array;

	__builtin_memset(net, 0, sizeof(*net));
	net->hash_mix = from->hash_mix;
#ifdef CONFIG_NET_L3_MASTER_DEV
	net->ipv4.sysctl_tcp_l3mdev_accept = from->tcp_l3mdev_accept;
	net->ipv4.sysctl_udp_l3mdev_accept = from->udp_l3mdev_accept;
#endif
	net->ipv4.tcp_death_row.hashinfo = &tables[from->own_hashinfo];
	for (int j = 0; j < from->n_progs; j++) {
		const struct program_record *prog = &from->progs[j];

		arena.progs[i][j] = (struct any_prog) {
			.prog.type = BPF_PROG_TYPE_SK_LOOKUP,
			.run = run_sk_lookup,
			.sk = sock_at(prog->assign),
			.verdict = prog->verdict,
			.assigns = prog->assign != LEAVE,
			.no_reuseport = prog->no_reuseport,
			.netns = i,
			.number = j,
		};
		array->items[j].prog = &arena.progs[i][j].prog;
	}
	array->items[from->n_progs].prog = NULL;
	net->bpf.run_array[NETNS_BPF_SK_LOOKUP] = from->run_array ? array : NULL;
#ifdef CONFIG_NET_NS
	arena.devices[i].nd_net.net = net;
#endif
}

static void fill_group(int i)
{
	const struct group_record *from = &in->groups[i];
	struct sock_reuseport *reuse = &arena.groups[i].reuse;

	__builtin_memset(reuse, 0, sizeof(arena.groups[i]));
	reuse->max_socks = MAX_SLOTS;
	reuse->num_socks = from->num_socks;
	reuse->num_closed_socks = from->num_closed_socks;
	reuse->incoming_cpu = from->incoming_cpu;
	reuse->reuseport_id = from->reuseport_id;
	reuse->bind_inany = from->bind_inany;
	for (int j = 0; j < from->n_slots; j++)
		reuse->socks[j] = sock_at(from->slots[j]);
	if (from->prog != PROG_NONE) {
		bool filter = from->prog == PROG_FILTER;

		arena.group_progs[i] = (struct any_prog) {
			.prog.type = filter ? BPF_PROG_TYPE_SOCKET_FILTER : BPF_PROG_TYPE_SK_REUSEPORT,
			.prog.cb_access = from->cb_access,
			.run = filter ? run_filter : run_sk_reuseport,
			.sk = sock_at(from->select),
			.verdict = filter ? from->returns : from->verdict,
			.number = i,
		};
		reuse->prog = &arena.group_progs[i].prog;
	}
}

static u32 hash_of_packet(void)
{
	const struct packet_record *p = &in->packet;

	return inet_ehashfn(net_at(p->netns), htonl(p->daddr), p->dport, htonl(p->saddr), htons(p->sport));
}

/* The mark that the end of a chain carries belongs to the slot: insertion is the kernel's own. */
static void hash_sock(struct sock *sk, const struct sock_record *from)
{
	struct net *net = net_at(from->netns);
	struct inet_hashinfo *table = net->ipv4.tcp_death_row.hashinfo;
	u32 hash;

	if (from->hashed == HASHED_EHASH) {
		hash = from->hash_kind == HASH_PACKET ? hash_of_packet() :
			inet_ehashfn(net, sk->sk_rcv_saddr, sk->sk_num, sk->sk_daddr, sk->sk_dport);
		sk->sk_hash = hash ^ (from->hash_kind == HASH_WRONG);
		__sk_nulls_add_node_rcu(sk, &inet_ehash_bucket(table, hash)->chain);
	} else if (from->hashed == HASHED_LHASH2) {
		struct hlist_nulls_head *head;

		/* An AF_INET6 socket is bound to :: or to a mapped address: ipv6_portaddr_hash() then gives this too. */
		hash = ipv4_portaddr_hash(net, sk->sk_rcv_saddr, sk->sk_num);
		head = &inet_lhash2_bucket(table, hash)->nulls_head;
		if (IS_ENABLED(CONFIG_IPV6) && sk->sk_reuseport && sk->sk_family == AF_INET6)
			__sk_nulls_add_node_tail_rcu(sk, head);
		else
			__sk_nulls_add_node_rcu(sk, head);
	}
}

/* Once all are in their places: who comes or goes writes its neighbour's pprev. */
static void spoil_nodes(void)
{
	for (int i = 0; i < in->n_socks; i++)
		if (in->socks[i].no_pprev)
			arena.socks[i].sk.sk_nulls_node.pprev = NULL;
}

/* Another CPU, right after the lookup took a reference: it does this once to each socket. Returns 1. */
static int reference_race(const void *counter)
{
	uint32_t on = reference_mutant;

	reference_mutant = 0;
	for (int i = 0; i < in->n_socks; i++) {
		struct sock_record next = in->socks[i];
		struct sock *sk = &arena.socks[i].sk;
		int count = refcount_read(&sk->sk_refcnt);

		if (counter != &sk->sk_refcnt || next.race == RACE_STAYS || raced & 1u << i)
			continue;
		raced |= 1u << i;
		hlist_nulls_del_init_rcu(&sk->sk_nulls_node);
		if (next.race == RACE_LEAVES && count > 0)
			refcount_set(&sk->sk_refcnt, count - 1);
		if (next.race == RACE_REUSED) {
			next.dport ^= 1;
			next.hash_kind = HASH_OWN;
			sk->sk_dport = htons(next.dport);
			hash_sock(sk, &next);
		}
		spoil_nodes();
	}
	reference_mutant = on;
	return 1;
}

static void fill_sock(union any_sock *any, const struct sock_record *from)
{
	struct sock *sk = &any->sk;

	__builtin_memset(any, POISON, sizeof(*any));
	__builtin_memset(&sk->__sk_common, 0, sizeof(sk->__sk_common));
	sk->sk_daddr = htonl(from->daddr);
	sk->sk_rcv_saddr = htonl(from->rcv_saddr);
	sk->sk_dport = htons(from->dport);
	sk->sk_num = from->num;
	sk->sk_family = from->family;
	sk->sk_state = from->state;
	sk->sk_reuseport = from->reuseport;
	sk->sk_ipv6only = from->ipv6only;
	sk->sk_bound_dev_if = from->bound_dev_if;
#ifdef CONFIG_NET_NS
	sk->sk_net.net = net_at(from->netns);
#endif
	sk->sk_incoming_cpu = from->incoming_cpu;
	refcount_set(&sk->sk_refcnt, from->refcnt);
	if (from->kind == KIND_REQUEST) {
		any->req.rsk_listener = sock_at(from->listener);
		any->req.syncookie = from->syncookie;
	} else if (from->kind == KIND_TIMEWAIT) {
		sk->sk_flags = ~0UL;	/* not flags there: a pointer lies at the same place */
		any->tw.tw_substate = from->state;
		any->tw.tw_family = from->family;
	} else {
		sk->sk_flags = from->rcu_free ? 1UL << SOCK_RCU_FREE : 0;
		sk->sk_protocol = from->protocol;
		sk->sk_reuseport_cb = from->group < 0 ? NULL : &arena.groups[from->group].reuse;
	}
	hash_sock(sk, from);
}

static void fill_packet(void)
{
	static void (*const destructors[])(struct sk_buff *) = {
		[DESTRUCTOR_PFREE] = sock_pfree, [DESTRUCTOR_EDEMUX] = sock_edemux, [DESTRUCTOR_OTHER] = other_destructor,
	};
	const struct packet_record *from = &in->packet;
	struct sk_buff *skb = &arena.skb;
	struct iphdr *iph = (struct iphdr *)(arena.data + HEADROOM - sizeof(struct iphdr));

	__builtin_memset(skb, 0, sizeof(*skb));
	__builtin_memset(skb->cb, POISON, sizeof(skb->cb));
	__builtin_memset(iph, 0, sizeof(*iph));
	iph->saddr = htonl(from->saddr);
	iph->daddr = htonl(from->daddr);
	skb->head = arena.data;
	skb->data = arena.data + HEADROOM;
	skb->network_header = (unsigned char *)iph - arena.data;
	skb->len = from->len;
	skb->data_len = from->data_len;
	skb->skb_iif = from->skb_iif;
	refcount_set(&skb->users, from->users);
	skb->sk = sock_at(from->sk);
	skb->destructor = destructors[from->destructor];
	__builtin_memset(&arena.route, 0, sizeof(arena.route));
	arena.route.dst.dev = &arena.devices[from->netns];
	arena.route.rt_iif = from->rt_iif;
	skb->_skb_refdst = (unsigned long)&arena.route.dst | SKB_DST_NOREF;
}

static void fill(void)
{
	reference_fuel = FUEL;
	reference_cpu = in->cpu;
	reference_secret = in->hash_secret;
#ifdef HAVE_INET_EHASH_SECRET
	/* Linux 6.9 on: a member of net_hotdata, from some 7.x on set when the first socket is hashed, which no lookup does. */
	inet_ehash_secret = in->hash_secret;
#endif
	reference_pull_fails = in->packet.pull_fails;
	reference_clone_fails = in->packet.clone_fails;
	bpf_sk_lookup_enabled.enabled = in->sk_lookup_enabled;
	reference_clones = raced = reference_sections = 0;
	fill_tables();
	for (int i = 0; i < in->n_netns; i++)
		if (IS_ENABLED(CONFIG_NET_NS) || i == in->packet.netns)
			fill_netns(i);
	for (int i = 0; i < in->n_groups; i++)
		fill_group(i);
	for (int i = 0; i < in->n_socks; i++)
		fill_sock(&arena.socks[i], &in->socks[i]);
	spoil_nodes();
	fill_packet();
}

static unsigned int destructor_of(const struct sk_buff *skb)
{
	return !skb->destructor ? DESTRUCTOR_NONE :
		skb->destructor == sock_pfree ? DESTRUCTOR_PFREE :
		skb->destructor == sock_edemux ? DESTRUCTOR_EDEMUX : DESTRUCTOR_OTHER;
}

static int data_offset(const struct sk_buff *skb)
{
	return skb->data - arena.data - HEADROOM;
}

static void read_seen(const struct glimpse *seen, struct shown_record *shown)
{
	const struct bpf_sk_lookup_kern *lookup = &seen->lookup;
	const struct sk_reuseport_kern *reuse = &seen->selection;
	int64_t *args = shown->args;

	if (seen->any->run == run_sk_lookup) {
		shown->program = SHOWN_SK_LOOKUP;
		args[0] = seen->any->netns;
		args[1] = seen->any->number;
		args[2] = lookup->family;
		args[3] = lookup->protocol;
		args[4] = ntohl(lookup->v4.saddr);
		args[5] = ntohs(lookup->sport);
		args[6] = ntohl(lookup->v4.daddr);
		args[7] = lookup->dport;
		args[8] = (int)lookup->ingress_ifindex;
		args[9] = index_of(lookup->selected_sk);
		args[10] = lookup->no_reuseport;
	} else if (seen->any->run == run_filter) {
		shown->program = SHOWN_FILTER;
		args[0] = seen->any->number;
		args[1] = seen->clone;
		args[2] = data_offset(&seen->skb);
		args[3] = seen->skb.len;
		args[4] = seen->skb.data_len;
		args[5] = 0;
		for (unsigned int i = 0; i < sizeof(seen->skb.cb); i++)
			args[5] += seen->skb.cb[i] != 0;
	} else {
		shown->program = SHOWN_SK_REUSEPORT;
		args[0] = seen->any->number;
		args[1] = index_of(reuse->sk);
		args[2] = reuse->hash;
		args[3] = reuse->reuseport_id;
		args[4] = reuse->bind_inany;
		args[5] = index_of(reuse->selected_sk);
		args[6] = index_of(reuse->migrating_sk);
		args[7] = reuse->skb == &arena.skb;
		args[8] = (unsigned char *)reuse->data_end - (arena.data + HEADROOM);
	}
}

static void read_outcome(const struct sock *sk)
{
	const struct sk_buff *skb = &arena.skb;

	out->sk = index_of(sk);
	out->skb_sk = index_of(skb->sk);
	out->destructor = destructor_of(skb);
	out->skb_data = data_offset(skb);
	out->skb_len = skb->len;
	out->skb_data_len = skb->data_len;
	out->skb_users = refcount_read(&skb->users);
	out->clones = reference_clones;
	out->sections = reference_sections;
	out->skb_cb = 0;
	for (unsigned int i = 0; i < sizeof(skb->cb); i++)
		out->skb_cb += skb->cb[i] != POISON;
	for (unsigned int i = 0; i < out->n_shown; i++)
		read_seen(&arena.seen[i], &out->shown[i]);
	for (int i = 0; i < in->n_socks; i++) {
		out->refcnt[i] = refcount_read(&arena.socks[i].sk.sk_refcnt);
		out->listener[i] = in->socks[i].kind == KIND_REQUEST ?
			index_of(arena.socks[i].req.rsk_listener) : NONE;
	}
}

static struct inet_hashinfo *hashinfo_of_caller(void)
{
	struct inet_hashinfo *own = net_at(in->packet.netns)->ipv4.tcp_death_row.hashinfo;

	return !in->foreign_hashinfo ? own : own == &tables[0] ? &tables[1] : &tables[0];
}

/* Room for an answer of the root that nobody here asks for, such as a drop reason. */
static void *zeroed_answer(void)
{
	static uint64_t answer;

	answer = 0;
	return &answer;
}

/* The call, with the arguments that this kernel's root has: harness/skdiff/kernel/root_call.py defines ROOT_CALL. */
static struct sock *call_root(bool *refcounted)
{
	struct sock *sk;

	reference_mutant = mutant;
	sk = ROOT_CALL;
	reference_mutant = 0;
	return sk;
}

/* For the benchmark of big tables: the case, and a crowd that has nothing to do with it, half connected, half listening. */
void reference_prepare(const struct scenario_record *scenario, struct outcome_record *outcome, uint32_t count)
{
	static union any_sock crowd[MAX_CROWD];

	in = scenario;
	out = outcome;
	fill();
	for (uint32_t i = 0; i < count && i < MAX_CROWD; i++) {
		struct sock_record from = {
			.rcv_saddr = 0x0b000000 + i, .num = 1024 + i % 50000, .netns = 0, .family = AF_INET, .refcnt = 1,
			.hashed = i % 2 ? HASHED_EHASH : HASHED_LHASH2, .state = i % 2 ? TCP_ESTABLISHED : TCP_LISTEN,
			.daddr = i % 2 ? 0x0c000000 + i : 0, .dport = i % 2 ? 1024 + i % 60000 : 0,
			.incoming_cpu = -1, .group = NONE, .protocol = IPPROTO_TCP,
		};

		fill_sock(&crowd[i], &from);
	}
}

void reference_again(void)
{
	bool refcounted;

	reference_fuel = FUEL;
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
	out->freed = out->n_warns = out->n_shown = 0;
	if (trace)
		trace->n_steps = 0;
	__builtin_memset(out->warns, 0, sizeof(out->warns));
	reference_mutant = 0;
	fill();
	sk = call_root(&refcounted.value);
	out->refcounted = refcounted.byte;
	read_outcome(sk);
}
