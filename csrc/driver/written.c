/* What a lookup wrote: all that it may touch is kept before it runs, and compared when it is over.
 *
 * What the Outcome says by name is left out: counts, listeners, and what happens to the packet.
 */

static struct arena kept;
static struct inet_ehash_bucket kept_ehash[2][MAX_TABLE + BEHIND];
static struct inet_listen_hashbucket kept_lhash2[2][MAX_TABLE + BEHIND];
static struct udp_hslot kept_udp_hash[2][MAX_TABLE + BEHIND];
static typeof(udp_hash2) kept_udp_hash2;
#ifdef HAVE_HASH4
static struct udp_hslot kept_udp_hash4[2][MAX_TABLE + BEHIND];
#endif
static unsigned char kept_objects[KERNEL_OBJECTS_BYTES];

/* The tables of sockets that a case has: TCP's or UDP's. What is kept of each stands beside it. */
static const struct {
	void *now, *before;
	size_t each, one;	/* bytes of a slot, and of one of the two tables */
	bool udp;
	int object;
} hash_tables[] = {
	{ ehash, kept_ehash, sizeof(ehash[0][0]), sizeof(ehash[0]), false, WRITTEN_EHASH },
	{ lhash2, kept_lhash2, sizeof(lhash2[0][0]), sizeof(lhash2[0]), false, WRITTEN_LHASH2 },
	{ udp_hash, kept_udp_hash, sizeof(udp_hash[0][0]), sizeof(udp_hash[0]), true, WRITTEN_UDP_HASH },
	{ udp_hash2, kept_udp_hash2, sizeof(udp_hash2[0][0]), sizeof(udp_hash2[0]), true, WRITTEN_UDP_HASH2 },
#ifdef HAVE_HASH4
	{ udp_hash4, kept_udp_hash4, sizeof(udp_hash4[0][0]), sizeof(udp_hash4[0]), true, WRITTEN_UDP_HASH4 },
#endif
};
#define N_HASH_TABLES (sizeof(hash_tables) / sizeof(hash_tables[0]))

static size_t arena_bytes(void)
{
	return offsetof(struct arena, socks) + in->n_socks * sizeof(arena.socks[0]);
}

/* The one set of tables that a case uses, or both. */
static int tables_used(void)
{
	for (int i = 0; i < in->n_netns; i++)
		if (in->netns[i].own_hashinfo)
			return 2;
	return 1 + (in->foreign_hashinfo != 0);
}

/* The bytes of one of hash_tables[] that a case uses, none if it is not of the packet's protocol. */
static size_t hash_table_bytes(unsigned int i)
{
	u32 slots = hash_tables[i].udp ? in->udp_size : i ? in->lhash2_size : in->ehash_size;

	return hash_tables[i].udp != is_udp() ? 0 : (slots + BEHIND) * hash_tables[i].each;
}

static void keep_all(void)
{
	unsigned char *to = kept_objects;

	allow(&arena, sizeof(arena));
	__builtin_memcpy(&kept, &arena, arena_bytes());
	for (unsigned int i = 0; i < N_HASH_TABLES; i++)
		for (int t = 0; t < tables_used() && hash_table_bytes(i); t++)
			__builtin_memcpy((char *)hash_tables[i].before + t * hash_tables[i].one,
					 (char *)hash_tables[i].now + t * hash_tables[i].one, hash_table_bytes(i));
	for (int i = 0; kernel_objects[i].at; to += kernel_objects[i++].size)
		__builtin_memcpy(to, kernel_objects[i].at, kernel_objects[i].size);
	for (int i = 0; i < in->n_socks; i++)
		forbid_strange_memory(&arena.socks[i], &in->socks[i]);
}

static int destructor_of(const struct sk_buff *skb);
static int data_offset(const struct sk_buff *skb);

/* What the Outcome tells by name, and whole, is no news. */
static void leave_out_told(void)
{
	struct sk_buff *skb = &kept.skb;

	for (int i = 0; i < in->n_socks; i++) {
		kept.socks[i].sk.sk_refcnt = arena.socks[i].sk.sk_refcnt;
		if (in->socks[i].kind == KIND_REQUEST && !(out->freed & 1ull << i))
			kept.socks[i].req.rsk_listener = arena.socks[i].req.rsk_listener;
	}
	skb->sk = arena.skb.sk;
	if (destructor_of(&arena.skb) != FOREIGN)
		skb->destructor = arena.skb.destructor;
	if (arena.skb.data == arena.data + HEADROOM + data_offset(&arena.skb))
		skb->data = arena.skb.data;
	skb->len = arena.skb.len;
	skb->data_len = arena.skb.data_len;
	skb->users = arena.skb.users;
	__builtin_memcpy(skb->cb, arena.skb.cb, sizeof(skb->cb));
}

/* The name of the smallest member that has this byte. */
static void note_member(int object, size_t at)
{
	size_t least = -1;

	for (unsigned int i = 0; member_names[i].object != WRITTEN_NOTHING; i++) {
		if (member_names[i].object != object || at < member_names[i].at ||
		    at >= member_names[i].at + member_names[i].size || member_names[i].size >= least)
			continue;
		least = member_names[i].size;
		__builtin_strncpy(out->written_member, member_names[i].name, sizeof(out->written_member) - 1);
	}
}

/* Notes the first byte that differs: which of the objects of that kind, and where in it. */
static void note_difference(int object, const void *now, const void *before, size_t n_bytes, size_t each)
{
	const unsigned char *one = now, *other = before;

	if (out->written[0] || !__builtin_memcmp(now, before, n_bytes))
		return;
	for (size_t i = 0; i < n_bytes; i++) {
		if (one[i] != other[i]) {
			out->written[0] = object;
			out->written[1] = i / each;
			out->written[2] = i % each;
			note_member(object, i % each);
			return;
		}
	}
}

#define NOTE(object, member) \
	note_difference(object, &arena.member, &kept.member, sizeof(arena.member), sizeof(arena.member[0]))
#define NOTE_ONE(object, member) \
	note_difference(object, &arena.member, &kept.member, sizeof(arena.member), sizeof(arena.member))

/* The kernel's own static objects, which a lookup reads. */
static void note_objects(void)
{
	const unsigned char *from = kept_objects;

	for (int i = 0; kernel_objects[i].at; from += kernel_objects[i++].size) {
		if (out->written[0] || !__builtin_memcmp(kernel_objects[i].at, from, kernel_objects[i].size))
			continue;
		note_difference(WRITTEN_KERNEL, kernel_objects[i].at, from, kernel_objects[i].size, kernel_objects[i].size);
		__builtin_strncpy(out->written_member, kernel_objects[i].name, sizeof(out->written_member) - 1);
	}
}

static void note_written(void)
{
	allow(&arena, sizeof(arena));
	leave_out_told();
	for (unsigned int i = 0; i < N_HASH_TABLES; i++)
		for (int t = 0; t < tables_used() && hash_table_bytes(i); t++)
			note_difference(hash_tables[i].object + t, (char *)hash_tables[i].now + t * hash_tables[i].one,
					(char *)hash_tables[i].before + t * hash_tables[i].one, hash_table_bytes(i),
					hash_tables[i].each);
	note_objects();
	if (!__builtin_memcmp(&arena, &kept, arena_bytes()))
		return;
	note_difference(WRITTEN_SOCK, arena.socks, kept.socks, in->n_socks * sizeof(arena.socks[0]), sizeof(arena.socks[0]));
	NOTE(WRITTEN_GROUP, groups);
	NOTE(WRITTEN_PROGRAM, group_progs);
	NOTE(WRITTEN_NETNS, nets);
	NOTE(WRITTEN_PROGRAM, arrays);
	NOTE(WRITTEN_PROGRAM, progs);
	NOTE(WRITTEN_DEVICE, devices);
	NOTE_ONE(WRITTEN_KERNEL, prot);
	NOTE_ONE(WRITTEN_ROUTE, route);
	NOTE_ONE(WRITTEN_PACKET, skb);
	NOTE_ONE(WRITTEN_DATA, data);
	NOTE(WRITTEN_TABLE, tables);
	NOTE(WRITTEN_UDP_TABLE, udp_tables);
}

/* A socket was freed: who reads it then finds POISON, and no reference; who writes it is seen. */
static void poison_freed(union any_sock *any)
{
	note_written();
	__builtin_memset(any, POISON, sizeof(*any));
	refcount_set(&any->sk.sk_refcnt, 0);
	keep_all();
}
