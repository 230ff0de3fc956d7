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
