/* The guard around a case: a crash or an endless loop in the extracted code ends the case, not the process.
 *
 * It stands apart from the closure because libc's headers and the kernel's own do not get on (see <endian.h>).
 */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <sys/time.h>

#include "record.h"

#define TICK_US 100000

void reference_lookup(const struct scenario_record *scenario, struct outcome_record *outcome);
void reference_stop(int why);

static sigjmp_buf way_out;
static volatile sig_atomic_t running;
static volatile uint64_t cases, cases_at_tick;
static volatile int caught;
static pthread_t runner;
static const int crashes[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP };
static struct sigaction before[sizeof(crashes) / sizeof(crashes[0])];

void reference_stop(int why)
{
	running = 0;
	siglongjmp(way_out, why);
}

static void on_crash(int number)
{
	if (running && pthread_equal(pthread_self(), runner)) {
		caught = number;
		reference_stop(ENDED_CRASHED);
	}
	for (unsigned int i = 0; i < sizeof(crashes) / sizeof(crashes[0]); i++)
		if (crashes[i] == number)
			sigaction(number, &before[i], NULL);	/* not ours: happens again, and goes to its owner */
}

/* A loop that burns no fuel still burns CPU time: the same case at two ticks of it is stuck. */
static void on_tick(int number)
{
	if (running && !pthread_equal(pthread_self(), runner)) {
		pthread_kill(runner, number);
		return;
	}
	if (running && cases == cases_at_tick)
		reference_stop(ENDED_STUCK);
	cases_at_tick = cases;
}

void reference_guard(void)
{
	struct sigaction action = { .sa_handler = on_crash, .sa_flags = SA_NODEFER };
	struct itimerval tick = { { 0, TICK_US }, { 0, TICK_US } };

	for (unsigned int i = 0; i < sizeof(crashes) / sizeof(crashes[0]); i++)
		sigaction(crashes[i], &action, &before[i]);
	action.sa_handler = on_tick;
	action.sa_flags = SA_NODEFER | SA_RESTART;
	sigaction(SIGVTALRM, &action, NULL);
	setitimer(ITIMER_VIRTUAL, &tick, NULL);
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
	outcome->ended = ended;
	outcome->signal = ended == ENDED_CRASHED ? caught : 0;
	return ended;
}
