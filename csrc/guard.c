/* The guard around a case: a crash or an endless loop in the extracted code ends the case, not the process.
 *
 * It stands apart from the closure because libc's headers and the kernel's own do not get on (see <endian.h>).
 */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <sys/time.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "record.h"

#define TICK_US 50000

void reference_lookup(const struct scenario_record *scenario, struct outcome_record *outcome);
void reference_prepare(const struct scenario_record *scenario, struct outcome_record *outcome, uint32_t crowd);
void reference_again(void);
void reference_stop(int why);

static sigjmp_buf way_out;
volatile int reference_in_kernel;
static volatile sig_atomic_t running;
static volatile uint64_t cases, cases_at_tick;
static volatile int caught;
static pthread_t runner;
static const int crashes[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP };
#define N_CRASHES (sizeof(crashes) / sizeof(crashes[0]))

/* Who had the signals before: another kernel's reference in this process, perhaps, whose case it may be. */
static struct sigaction before[N_CRASHES], tick_before;

void reference_stop(int why)
{
	running = reference_in_kernel = 0;
	siglongjmp(way_out, why);
}

/* Another CPU's writer that stands still in the middle has a stack of its own. */
static ucontext_t lookup_place, writer_place;
static char writer_stack[1 << 18] __attribute__((aligned(64)));
static void (*writer)(void);
static int stands_still;

static void run_writer(void)
{
	writer();
	stands_still = 0;
}

/* Until it ends, or calls reference_stands_still(). */
void reference_start_writer(void (*function)(void))
{
	writer = function;
	stands_still = 1;
	getcontext(&writer_place);
	writer_place.uc_stack.ss_sp = writer_stack;
	writer_place.uc_stack.ss_size = sizeof(writer_stack);
	writer_place.uc_link = &lookup_place;
	makecontext(&writer_place, run_writer, 0);
	swapcontext(&lookup_place, &writer_place);
}

/* The writer that stands still, if there is one, until it ends. */
void reference_goes_on(void)
{
	while (stands_still)
		swapcontext(&lookup_place, &writer_place);
}

void reference_stands_still(void)
{
	swapcontext(&writer_place, &lookup_place);
}

/* Of the last case, which may have ended in the middle. */
void reference_forget_writer(void)
{
	stands_still = 0;
}

static int is_function(const struct sigaction *action)
{
	return !(action->sa_flags & SA_SIGINFO) && action->sa_handler != SIG_DFL && action->sa_handler != SIG_IGN;
}

static void on_crash(int number)
{
	if (running && pthread_equal(pthread_self(), runner)) {
		caught = number;
		reference_stop(reference_in_kernel ? ENDED_CRASHED : ENDED_BROKEN);
	}
	for (unsigned int i = 0; i < N_CRASHES; i++) {
		if (crashes[i] != number)
			continue;
		if (is_function(&before[i]))
			before[i].sa_handler(number);
		sigaction(number, &before[i], NULL);	/* not ours: happens again, and goes to its owner */
	}
}

/* AddressSanitizer's, in a build that has it: a report takes long, and must not be left half-way. */
extern int __asan_report_present(void) __attribute__((weak));

/* A loop that burns no fuel still burns CPU time: the same case at two ticks of it is stuck. */
static void on_tick(int number)
{
	if (running && !pthread_equal(pthread_self(), runner)) {
		pthread_kill(runner, number);
		return;
	}
	if (running && cases == cases_at_tick && !(__asan_report_present && __asan_report_present()))
		reference_stop(ENDED_STUCK);
	cases_at_tick = cases;
	if (!running && is_function(&tick_before))
		tick_before.sa_handler(number);
}

void reference_guard(void)
{
	struct sigaction action = { .sa_handler = on_crash, .sa_flags = SA_NODEFER };
	struct itimerval tick = { { 0, TICK_US }, { 0, TICK_US } };
	static pid_t guarded;

	if (guarded == getpid())
		return;
	if (!guarded) {
		for (unsigned int i = 0; i < N_CRASHES; i++)
			sigaction(crashes[i], &action, &before[i]);
		action.sa_handler = on_tick;
		action.sa_flags = SA_NODEFER | SA_RESTART;
		sigaction(SIGVTALRM, &action, &tick_before);
	}
	guarded = getpid();
	setitimer(ITIMER_VIRTUAL, &tick, NULL);	/* a fork has the handlers of its parent, but no timer */
}

/* A guided build's counters: clang's section, or those of trace.c. libFuzzer clears them before each case. */
extern uint8_t __start___sancov_cntrs[] __attribute__((weak, visibility("hidden")));
extern uint8_t __stop___sancov_cntrs[] __attribute__((weak, visibility("hidden")));
extern uint8_t trace_counters[] __attribute__((weak, visibility("hidden")));
extern uint32_t trace_names[] __attribute__((weak, visibility("hidden")));
extern uint16_t trace_used __attribute__((weak, visibility("hidden")));

static uint8_t seen[MAX_EDGES];

static uint8_t *edges(uint32_t *count)
{
	if (trace_counters) {
		*count = trace_used;
		return trace_counters;
	}
	*count = __stop___sancov_cntrs - __start___sancov_cntrs;
	return __start___sancov_cntrs;
}

static void remember_edges(void)
{
	uint32_t count;
	const uint8_t *counters = edges(&count);

	for (uint32_t i = 0; i < count && i < MAX_EDGES; i++)
		seen[i] |= counters[i];
}

/* How many edges the closure has (gcc: had, so far), and those that any case has taken, of which up to MAX_EDGES are
 * written to `taken`. A number means the same edge in each process that has loaded this library.
 */
uint32_t reference_edges(uint32_t *taken, uint32_t *n_taken)
{
	uint32_t count;

	edges(&count);
	*n_taken = 0;
	for (uint32_t i = 0; i < count && i < MAX_EDGES; i++)
		if (seen[i])
			taken[(*n_taken)++] = trace_counters ? trace_names[i] : i;
	return count;
}

int reference_call(const struct scenario_record *scenario, struct outcome_record *outcome)
{
	int ended = sigsetjmp(way_out, 0);

	if (!ended) {
		caught = 0;
		cases++;
		runner = pthread_self();
		running = 1;
		reference_lookup(scenario, outcome);
		running = 0;
	}
	remember_edges();
	outcome->ended = ended;
	outcome->signal = ended == ENDED_CRASHED || ended == ENDED_BROKEN ? caught : 0;
	return ended;
}

static double now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1e9 + now.tv_nsec;
}

/* Nanoseconds of one lookup, the mean of many, with a crowd in the tables. */
double reference_crowded(const struct scenario_record *scenario, struct outcome_record *outcome, uint32_t crowd,
			 uint32_t repeat)
{
	double start;

	reference_prepare(scenario, outcome, crowd);
	start = now_ns();
	for (uint32_t i = 0; i < repeat; i++)
		reference_again();
	return (now_ns() - start) / repeat;
}
