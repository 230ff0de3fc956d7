/* Kernel: what looks for bugs while it runs, and what is said to compiler and processor. Here: mostly nothing. */

/* Kernel: a data race that is meant, for KCSAN. Here: the expression. */
#define data_race(expression) (expression)
/* Kernel: lockdep's answer: does this context hold the socket's lock. Here: yes. */
#define lockdep_sock_is_held(sk) 1
/* Kernel: lockdep's complaint about RCU. Here: nothing. */
#define RCU_LOCKDEP_WARN(condition, text) ((void)0)
/* Kernel: loads a pointer that RCU or a lock protects. Here: loads it. */
#define rcu_dereference_check(p, c) READ_ONCE(p)
/* Kernel: the same. Here: loads it. */
#define rcu_dereference_bh(p) READ_ONCE(p)
/* Kernel: the same. Here: loads it. */
#define rcu_dereference_bh_check(p, c) READ_ONCE(p)
/* Kernel: the same. Here: loads it. */
#define rcu_dereference_sched(p) READ_ONCE(p)
/* Kernel: the same. Here: loads it. */
#define rcu_dereference_sched_check(p, c) READ_ONCE(p)
/* Kernel: the same. Here: loads it. */
#define rcu_dereference_rtnl(p) READ_ONCE(p)
/* Kernel: the same, for what runs in BPF programs. Here: loads it. */
#define rcu_dereference_all(p) READ_ONCE(p)
/* Kernel: the same. Here: loads it. */
#define rcu_dereference_all_check(p, c) READ_ONCE(p)
/* Kernel: a pointer that RCU protects, only to compare it. Here: loads it. */
#define rcu_access_pointer(p) READ_ONCE(p)
/* Kernel: a pointer as it was under RCU. Here: the pointer. */
#define rcu_pointer_handoff(p) (p)
/* Kernel: fetches a cache line before it is read. Here: nothing. */
#define prefetch(address) ((void)(address))
/* Kernel: fetches one that will be written. Here: nothing. */
#define prefetchw(address) ((void)(address))
/* Kernel: ticks since the boot. Here: none has come. */
#define jiffies 0UL
/* Kernel: lets other tasks run. Here: there is none. */
#define cond_resched() 0
/* Kernel: rests in a loop that waits. Here: one step of a walk, so that an endless one ends. */
#define cpu_relax() reference_burn()
/* Kernel: complains where it may not sleep. Here: nothing. */
#define might_sleep() ((void)0)
/* Kernel: the same, under a condition. Here: nothing. */
#define might_sleep_if(condition) ((void)(condition))
/* Kernel: loads, and orders what follows behind it. Here: loads. */
#define smp_load_acquire(p) READ_ONCE(*(p))
/* Kernel: stores, behind all that was before. Here: stores. */
#define smp_store_release(p, v) WRITE_ONCE(*(p), v)
/* Kernel: stores, with a full barrier. Here: stores. */
#define smp_store_mb(object, value) WRITE_ONCE(object, value)
/* Kernel: stores the new value if the old one is there, returns what was there. Here: the same. */
#define cmpxchg(p, old, new) __sync_val_compare_and_swap(p, old, new)
/* Kernel: the same, without order. Here: the same. */
#define cmpxchg_relaxed(p, old, new) cmpxchg(p, old, new)
/* Kernel: the same, returns whether it did, and leaves there what it found. Here: the same. */
#define try_cmpxchg(p, old, new) __atomic_compare_exchange_n(p, old, new, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)
/* Kernel: stores, returns what was there. Here: the same. */
#define xchg(p, value) __atomic_exchange_n(p, value, __ATOMIC_SEQ_CST)
/* Kernel: hides from the optimiser what a variable holds. Here: the same. */
#define OPTIMIZER_HIDE_VAR(variable) __asm__("" : "=r"(variable) : "0"(variable))
/* Kernel: says that the next label is meant to be reached. Here: the same. */
#define fallthrough __attribute__((__fallthrough__))
/* Kernel: may be unused. Here: the same. */
#define __maybe_unused __attribute__((__unused__))
/* Kernel: is unused. Here: the same. */
#define __always_unused __attribute__((__unused__))
/* Kernel: is used, whatever it looks like. Here: the same. */
#define __used __attribute__((__used__))
/* Kernel: is not inlined. Here: the same. */
#define noinline __attribute__((__noinline__))
/* Kernel: is seldom called. Here: the same. */
#define __cold __attribute__((__cold__))
/* Kernel: is often called. Here: the same. */
#define __hot __attribute__((__hot__))
/* Kernel: gives the same answer for the same arguments and memory. Here: the same. */
#define __pure __attribute__((__pure__))
/* Kernel: memory of a user, for sparse. Here: nothing. */
#define __user
/* Kernel: is thrown away after the boot. Here: nothing. */
#define __init
/* Kernel: a lock that is taken, for sparse. Here: nothing. */
#define __acquires(lock)
/* Kernel: a lock that is given back, for sparse. Here: nothing. */
#define __releases(lock)
/* Kernel: the number of an array's elements. Here: the same. */
#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))
/* Kernel: the smaller one, of one type. Here: the same. */
#define min(x, y) ({ typeof(x) x__ = (x); typeof(y) y__ = (y); x__ < y__ ? x__ : y__; })
/* Kernel: the larger one, of one type. Here: the same. */
#define max(x, y) ({ typeof(x) x__ = (x); typeof(y) y__ = (y); x__ > y__ ? x__ : y__; })
/* Kernel: the smaller one, of a given type. Here: the same. */
#define min_t(type, x, y) ({ type x__ = (x), y__ = (y); x__ < y__ ? x__ : y__; })
/* Kernel: the larger one, of a given type. Here: the same. */
#define max_t(type, x, y) ({ type x__ = (x), y__ = (y); x__ > y__ ? x__ : y__; })
/* Kernel: a value, or the bound that it is beyond. Here: the same. */
#define clamp(value, low, high) ({ typeof(value) v__ = (value); v__ < (low) ? (low) : v__ > (high) ? (high) : v__; })
/* Kernel: the same, of a given type. Here: the same. */
#define clamp_t(type, value, low, high) ({ type v__ = (value), l__ = (low), h__ = (high); v__ < l__ ? l__ : v__ > h__ ? h__ : v__; })
/* Kernel: exchanges two values. Here: the same. */
#define swap(a, b) do { typeof(a) s__ = (a); (a) = (b); (b) = s__; } while (0)
/* Kernel: in which kind of interrupt this runs. Here: in a soft one, where packets are received. */
#define in_softirq() 1
/* Kernel: whether a task runs this. Here: no. */
#define in_task() 0
/* Kernel: marks code that is never reached. Here: the case ends as crashed. */
#define unreachable() reference_stop(ENDED_CRASHED)
