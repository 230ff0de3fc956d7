/* Faults on purpose: a byte that changes beside a lookup, so that tests see whether the comparison notices it. */

static uint32_t planted_at, planted_when;

/* Where the byte number `at` is, counted from 0 over all that written.c compares; how many there are. */
static unsigned char *planted_byte(size_t at, size_t *count)
{
	int tables = tables_used();
	const struct {
		void *from;
		size_t length;
	} runs[] = {
		{ &arena, offsetof(struct arena, tables) + sizeof(arena.tables) },	/* padding follows */
		{ arena.socks, in->n_socks * sizeof(arena.socks[0]) },
		{ &init_net, sizeof(init_net) },
		{ &bpf_sk_lookup_enabled.enabled, sizeof(bpf_sk_lookup_enabled.enabled) },
		{ ehash[0], in->ehash_size * sizeof(ehash[0][0]) },
		{ lhash2[0], in->lhash2_size * sizeof(lhash2[0][0]) },
		{ ehash[1], tables < 2 ? 0 : in->ehash_size * sizeof(ehash[0][0]) },
		{ lhash2[1], tables < 2 ? 0 : in->lhash2_size * sizeof(lhash2[0][0]) },
	};
	unsigned char *found = NULL;

	*count = 0;
	for (unsigned int i = 0; i < sizeof(runs) / sizeof(runs[0]); i++) {
		if (at >= *count && at - *count < runs[i].length)
			found = (unsigned char *)runs[i].from + (at - *count);
		*count += runs[i].length;
	}
	return found;
}

/* From now on a byte changes in each case, `when` of enum planted; returns how many could have changed in the last one. */
uint32_t reference_plant(uint32_t at, uint32_t when)
{
	size_t count = 0;

	planted_at = at;
	planted_when = when;
	if (in)
		planted_byte(at, &count);
	return count;
}

static void plant(uint32_t when)
{
	unsigned char *byte;
	size_t count;

	if (when != planted_when)
		return;
	byte = planted_byte(planted_at, &count);
	if (byte)
		*byte ^= 0xff;
}
