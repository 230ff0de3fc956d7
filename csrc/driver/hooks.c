/* What stubs and probes call while a lookup runs: mutants, steps, warnings, freed sockets. */

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

static unsigned int append(char *to, unsigned int at, const char *text, unsigned int n_bytes)
{
	for (unsigned int i = 0; i < n_bytes && at < sizeof(out->warns[0]) - 1; i++)
		to[at++] = text[i];
	return at;
}

/* A warning: its function, and its text if it has one, without the full stop and the end of the line. */
static void reference_warn(const char *function, const char *text)
{
	unsigned int i, at, length = __builtin_strlen(text);
	char name[sizeof(out->warns[0])] = {};

	for (i = 0; renamed[i][0]; i++)
		if (!__builtin_strcmp(function, renamed[i][0]))
			function = renamed[i][1];
	while (length && (text[length - 1] == '\n' || text[length - 1] == '.'))
		length--;
	at = append(name, 0, function, __builtin_strlen(function));
	if (length)
		append(name, append(name, at, ": ", 2), text, length);
	for (i = 0; i < out->n_warns && i < MAX_WARNS; i++)
		if (!__builtin_memcmp(out->warns[i], name, sizeof(name)))
			return;
	if (i < MAX_WARNS)
		__builtin_memcpy(out->warns[i], name, sizeof(name));
	out->n_warns++;
}

static bool is_multicast(__be32 address)
{
	return (ntohl(address) & 0xf0000000) == 0xe0000000;
}

/* Whether these are the packet's group, if it is one, and source: a device is in all groups, and in nothing else. */
static bool reference_mc_has(u32 group, u32 source)
{
	return is_multicast(group) && group == low_word(in->packet.daddr) && source == low_word(in->packet.saddr);
}

/* Whether this is another multicast packet than the case's, or another device. */
static bool reference_mc_refuses(unsigned long skb, unsigned long group, unsigned long source, unsigned long tos,
				 unsigned long device, unsigned long in_dev)
{
	const struct net_device *dev = arena.skb.dev;

	return skb != (unsigned long)&arena.skb || group != low_word(in->packet.daddr) || source != low_word(in->packet.saddr) ||
	       tos || device != (unsigned long)dev || in_dev != (unsigned long)__in_dev_get_rcu(dev);
}

/* Whether a socket is a member of the multicast group that the packet goes to; of no group all are. */
static bool reference_mc_allows(const struct sock *sk, u32 group, u32 source, int dif, int sdif)
{
	int i = index_of(sk);

	if (!is_multicast(group))
		return true;
	return i >= 0 && !in->socks[i].mc_refuses && reference_mc_has(group, source) && dif == in->packet.skb_iif &&
	       sdif == (IS_ENABLED(CONFIG_NET_L3_MASTER_DEV) ? in->packet.sdif : 0);
}

static void reference_freed(const struct sock *sk, int kind)
{
	int i = index_of(sk);

	if (i < 0)
		return;
	if (in->socks[i].kind != kind || out->freed >> i & 1)
		out->freed_wrong |= 1ull << i;
	out->freed |= 1ull << i;
	poison_freed(&arena.socks[i]);
}
