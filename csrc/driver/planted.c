/* Faults on purpose: a byte that changes beside a lookup, so that tests see whether the comparison notices it. */

static uint32_t planted_at, planted_when;

/* Where the byte number `at` is, counted from 0 over all that written.c compares; how many there are. */
static unsigned char *planted_byte(size_t at, size_t *count)
{
	int tables = tables_used();
	struct {
		void *from;
		size_t length;
	} runs[2 + 2 * N_HASH_TABLES] = {
		{ &arena, offsetof(struct arena, udp_tables) + sizeof(arena.udp_tables) },	/* padding follows */
		{ arena.socks, in->n_socks * sizeof(arena.socks[0]) },
	};
	unsigned int n_runs = 2;
	unsigned char *found = NULL;

	for (int t = 0; t < tables; t++)
		for (unsigned int i = 0; i < N_HASH_TABLES; i++, n_runs++) {
			runs[n_runs].from = (char *)hash_tables[i].now + t * hash_tables[i].one;
			runs[n_runs].length = hash_table_bytes(i);
		}
	*count = 0;
	for (unsigned int i = 0; i < n_runs; *count += runs[i++].length)
		if (at >= *count && at - *count < runs[i].length)
			found = (unsigned char *)runs[i].from + (at - *count);
	for (int i = 0; kernel_objects[i].at; *count += kernel_objects[i++].size)
		if (at >= *count && at - *count < kernel_objects[i].size)
			found = (unsigned char *)kernel_objects[i].at + (at - *count);
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
