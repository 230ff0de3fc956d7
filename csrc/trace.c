/* Edge coverage from gcc's -fsanitize-coverage=trace-pc, as clang's inline counters would give it.
 *
 * libFuzzer takes any array of 8-bit counters with a table of program counters beside it. gcc only calls a function on
 * each edge: this one gives each edge that it meets a counter of its own. With clang none of this is needed.
 */
#include <stdint.h>

#define COUNTERS 4096		/* more than there are edges in the closure */
#define SPAN (1 << 17)		/* bytes of code, at most, around the first edge met */

void __sanitizer_cov_8bit_counters_init(uint8_t *start, uint8_t *stop);
void __sanitizer_cov_pcs_init(const uintptr_t *start, const uintptr_t *stop);

__attribute__((visibility("hidden"))) uint8_t trace_counters[COUNTERS];
static struct { uintptr_t pc, flags; } pcs[COUNTERS];
static uint16_t counter_of[SPAN];
static uintptr_t base;
__attribute__((visibility("hidden"))) uint16_t trace_used;
/* Where an edge's code lies in the library: counters are numbered as they are met, which differs between processes. */
__attribute__((visibility("hidden"))) uint32_t trace_names[COUNTERS];

__attribute__((visibility("hidden"))) void __sanitizer_cov_trace_pc(void)
{
	uintptr_t pc = (uintptr_t)__builtin_return_address(0);
	uintptr_t at;

	if (!base)
		base = pc - SPAN / 2;
	at = (pc - base) % SPAN;
	if (!counter_of[at] && trace_used < COUNTERS - 1)
		trace_names[counter_of[at] = ++trace_used] = pc - (uintptr_t)__sanitizer_cov_trace_pc;
	trace_counters[counter_of[at]]++;
}

__attribute__((constructor)) static void announce(void)
{
	for (uintptr_t i = 0; i < COUNTERS; i++)
		pcs[i].pc = (uintptr_t)__sanitizer_cov_trace_pc + i;
	__sanitizer_cov_8bit_counters_init(trace_counters, trace_counters + COUNTERS);
	__sanitizer_cov_pcs_init((const uintptr_t *)pcs, (const uintptr_t *)(pcs + COUNTERS));
}
